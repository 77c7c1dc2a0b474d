/* innkeep-wal's command line: the commands, the options each of them takes, and what they are told in --help. */
#ifndef TOOLS_INNKEEP_WAL_ARGUMENTS_H
#define TOOLS_INNKEEP_WAL_ARGUMENTS_H

#include "tools/innkeep-wal/tool.h"

/* Reads the command line into *tool and returns the command's function. What is wrong ends the process: exit TOOL_USAGE with a
 * message on stderr; --help and --version end it with 0. */
tool_command *arguments_parse(int argc, char **argv, struct tool *tool);

/* What can only be judged once the directory is open. False with the reason on stderr. */
MUST_USE bool arguments_fit(const struct tool *tool);

#endif
