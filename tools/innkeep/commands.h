/* What each command of innkeep does: asks the server once and prints the answer (commands.c). */
#ifndef TOOLS_INNKEEP_COMMANDS_H
#define TOOLS_INNKEEP_COMMANDS_H

#include "tools/innkeep/arguments.h"

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
command_run command_calendar;
command_run command_lease_acquire;
command_run command_lease_renew;
command_run command_lease_release;
command_run command_lease_show;
command_run command_status;

#endif
