/* innkeep-bench: loads a server and says how it went. */
#include "bench/commands.h"
#include "bench/failure.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *what;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "demand", "replay two years of real bookings and count what came of them", command_demand },
    { "reserve", "as many reserves as the server takes, with their latencies", command_reserve },
};

#define COMMANDS_COUNT (sizeof commands / sizeof commands[0])

static int print_usage(FILE *out, int exit_code)
{
    fprintf(out, "Usage: innkeep-bench COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].what);
    fprintf(out, "\n'innkeep-bench COMMAND --help' tells the options of a command.\n");
    return exit_code;
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        char name[64];
        snprintf(name, sizeof name, "innkeep-bench %s", commands[i].name);
        argv[1] = name;
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "innkeep-bench: there is no command '%s'\n", argv[1]);
    return print_usage(stderr, EXIT_USAGE);
}

int main(int argc, char **argv)
{
    argp_err_exit_status = EXIT_USAGE;
    if (argc < 2)
        return print_usage(stderr, EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0)
        return print_usage(stdout, EXIT_DONE);
    if (strcmp(argv[1], "--version") == 0)
        return printf("innkeep-bench %s\n", INNKEEP_VERSION) > 0 ? EXIT_DONE : EXIT_REFUSED;
    return run_command(argc, argv);
}
