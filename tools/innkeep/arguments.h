/* One invocation of innkeep, read from the command line: which command, and what it was given. */
#ifndef TOOLS_INNKEEP_ARGUMENTS_H
#define TOOLS_INNKEEP_ARGUMENTS_H

#include "net/include/innkeep/innkeep.h"
#include "tools/innkeep/values.h"

/* Exit codes; scripts rely on them. */
enum exit_code { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NO_ANSWER = 3 };

struct arguments {
    /* of every command */
    const char *server;
    bool json;
    bool retry;
    uint64_t timeout_ns; /* 0: the library's */

    /* given to the command; zero unless given */
    uint64_t property;
    bool has_property;
    uint32_t room_type;
    const char *resource_text;
    uint64_t resource;
    uint64_t token;
    struct inn_key reservation; /* the KEY that confirm, release, cancel and lookup name */
    struct inn_key key;         /* --key */
    bool has_key;
    struct inn_key session; /* --session */
    int32_t business_date;
    int32_t arrival;
    int32_t from;
    int32_t to;
    uint16_t nights;
    uint16_t rooms;
    uint8_t weekdays;
    uint64_t hold_ns;
    uint64_t within_ns;
    uint64_t not_after_ns; /* 0: within_ns from now */
    uint64_t ttl_ns;
    uint64_t external_reference;
    uint32_t expected_version;
    struct fence fence;
    const char *owner;
    bool with_hash;
    uint32_t level;
    const char *directory; /* backup: to be made */
    uint64_t rate;         /* backup: bytes a second; 0: as fast as it goes */
};

/* Runs one command on an open connection; gives the exit code. */
typedef enum exit_code command_run(struct inn_connection *connection, const struct arguments *arguments);

/* Reads the command line into *arguments and gives what to run. Exits with EXIT_USAGE and a message, or with EXIT_DONE
 * after --help and --version. Texts in *arguments are borrowed from argv and the environment. */
command_run *arguments_read(int argc, char **argv, struct arguments *arguments);

#endif
