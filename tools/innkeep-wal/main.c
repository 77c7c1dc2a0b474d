/* innkeep-wal: looks at a data directory without changing it. It takes no lock, so it works on a live directory and on a copy alike. Only
 * cut changes anything, and takes the lock. */
#include "tools/innkeep-wal/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum tool_exit command_run(struct tool *tool, tool_command *command)
{
    char why[512];
    if (wal_directory_inspect(tool->io, tool->path, &tool->directory, why, sizeof why) != 0) {
        fprintf(stderr, "innkeep-wal: %s\n", why);
        return TOOL_UNREADABLE;
    }
    if (tool->directory.cutting && command != cut_command)
        fprintf(
            stderr,
            "innkeep-wal: a cut of %s was interrupted: what is seen is between two states. Run the same cut again to "
            "finish it.\n",
            tool->path);
    enum tool_exit verdict = arguments_fit(tool) ? command(tool) : TOOL_USAGE;
    wal_directory_close(tool->io, &tool->directory);
    return verdict;
}

/* Output that did not arrive is no success, whatever the log is like. */
static enum tool_exit output_check(enum tool_exit verdict)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return verdict;
    fprintf(stderr, "innkeep-wal: cannot write the output: %s\n", strerror(errno));
    return TOOL_UNREADABLE;
}

int main(int argc, char **argv)
{
    struct tool tool;
    tool_command *command = arguments_parse(argc, argv, &tool);
    const struct io_options io_options = { .ring_entries = 0 };
    const char *why = NULL;
    int error = io_create(&io_options, &tool.io, &why);
    if (error != 0) {
        fprintf(stderr, "innkeep-wal: %s\n", why != NULL ? why : strerror(-error));
        return TOOL_UNREADABLE;
    }
    enum tool_exit verdict = command_run(&tool, command);
    io_destroy(tool.io);
    return (int)output_check(verdict);
}
