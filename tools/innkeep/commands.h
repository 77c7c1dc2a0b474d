/* What each command of innkeep does: asks the server once and prints the answer (commands.c); snapshot.c and backup.c ask until it is done. */
#ifndef TOOLS_INNKEEP_COMMANDS_H
#define TOOLS_INNKEEP_COMMANDS_H

#include "tools/innkeep/answer.h"

/* What they share: the exit status for a verdict, and what is known of an answer that brought it. */
enum exit_code exit_code_of(int verdict);
struct answer answer_of(struct inn_connection *connection, const struct arguments *a, unsigned operation, int verdict);

command_run command_property_create;
command_run command_room_type_create;
command_run command_rooms_set;
command_run command_reserve;
command_run command_confirm;
command_run command_release;
command_run command_cancel;
command_run command_lookup;
command_run command_barrier;
command_run command_raise_level;
command_run command_snapshot;
command_run command_backup;
command_run command_calendar;
command_run command_lease_acquire;
command_run command_lease_renew;
command_run command_lease_release;
command_run command_lease_show;
command_run command_status;

#endif
