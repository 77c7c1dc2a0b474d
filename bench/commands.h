/* The commands of innkeep-bench. Each parses its own arguments (argv[0] is its name), runs, prints its report on stdout and returns
 * an enum exit_code. */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

int command_demand(int argc, char **argv);
int command_reserve(int argc, char **argv);

#endif
