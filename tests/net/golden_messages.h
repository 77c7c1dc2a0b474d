/* One message of every kind, built from the structs with fixed contents: the source of the golden bytes. */
#ifndef TESTS_NET_GOLDEN_MESSAGES_H
#define TESTS_NET_GOLDEN_MESSAGES_H

#include "net/protocol.h"

#define GOLDEN_SIZE_MAX 1024

/* Room for any golden message, aligned as a message is. */
union golden_bytes {
    struct message_header header;
    uint8_t bytes[GOLDEN_SIZE_MAX];
    uint64_t alignment;
};

struct golden {
    const char *name;  /* of the file, without .hex */
    const char *title; /* one sentence for people */
    uint8_t operation;
    bool reply;
    /* Appends the parts behind the header, which is all zero but for operation, flags and size = 32: raises size and items_count. */
    void (*build)(struct message_header *message);
};

extern const struct golden golden_messages[];
extern const uint32_t golden_messages_count;

/* The whole message, sealed. Bytes behind its size are zero. */
void golden_build(const struct golden *golden, union golden_bytes *out);

#endif
