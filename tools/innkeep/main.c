/* innkeep: one command, one connection, one answer. Exit codes: arguments.h. */
#include "tools/innkeep/answer.h"

static enum exit_code connect_failed(const struct arguments *arguments, const struct inn_error *error)
{
    struct answer answer = { .arguments = arguments, .verdict = error->verdict, .error = error->text };
    answer_print_failure(&answer);
    return error->verdict == INN_BAD_ARGUMENT ? EXIT_USAGE : EXIT_NO_ANSWER;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    command_run *run = arguments_read(argc, argv, &arguments);
    struct inn_options options;
    inn_options_init(&options);
    options.client = "innkeep";
    options.retry = arguments.retry;
    options.within_ns = arguments.within_ns;
    options.timeout_ns = arguments.timeout_ns;
    if (arguments.timeout_ns != 0 && arguments.timeout_ns < options.connect_timeout_ns)
        options.connect_timeout_ns = arguments.timeout_ns;
    struct inn_connection *connection = NULL;
    struct inn_error error;
    if (inn_connect(&connection, arguments.server, &options, &error) != INN_OK)
        return (int)connect_failed(&arguments, &error);
    enum exit_code code = run(connection, &arguments);
    inn_close(connection);
    return (int)code;
}
