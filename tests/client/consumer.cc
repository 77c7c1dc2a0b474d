// Somebody's program in C++17, built against the installed library alone.
#include <innkeep/innkeep.h>

#include <cstdio>
#include <memory>
#include <string>

struct Close {
    void operator()(inn_pipeline *pipeline) const
    {
        inn_pipeline_close(pipeline);
    }
};

int main()
{
    inn_pipeline_options options;
    inn_pipeline_options_init(&options);
    options.batch_max = 64;
    inn_pipeline *opened = nullptr;
    inn_error error;
    int verdict = inn_pipeline_open(&opened, "127.0.0.1:1", &options, &error);
    std::unique_ptr<inn_pipeline, Close> pipeline(opened);
    char text[INN_KEY_TEXT_SIZE];
    std::string key = inn_key_format(inn_key_random(), text);
    inn_reserve_request request{};
    request.mutation.property = 1;
    verdict = pipeline ? inn_pipeline_reserve(pipeline.get(), &request, 0) : verdict;
    std::printf("%s: %s; a key is %zu characters\n", inn_verdict_name(verdict), error.text, key.size());
    return verdict == INN_NO_ANSWER && !pipeline && key.size() == 36 ? 0 : 1;
}
