/* The wire: messages of items, and replies of results. PROTOCOL.md explains it; this file is the same truth for the compiler.
 *
 * A message is a 32-byte header and 1..n items of one operation. Items of one message may belong to different shards; each is
 * decided on its own. A request is answered by one or more reply messages with the same correlation id, each
 * carrying the results of some of its items (result_header.item says which); the client counts them. Results of one
 * shard come in the order in which that shard's items were sent on this connection. So the server keeps no state that gathers
 * replies, and no shard waits for another. */
#ifndef NET_PROTOCOL_H
#define NET_PROTOCOL_H

#include "engine/command.h"

#define PROTOCOL_VERSION 1
#define PROTOCOL_PORT_DEFAULT 7433
#define MESSAGE_MAGIC UINT32_C(0x504b4e49) /* "INKP" in memory order */
#define MESSAGE_SIZE_MAX (128 * KIB)       /* of a request, header included */
#define MESSAGE_ITEMS_MAX 4096             /* of a request */
#define MESSAGE_ALIGNMENT 8

enum message_flag { MESSAGE_REPLY = 1u << 0 };

struct message_header {
    uint64_t checksum; /* XXH3-64, seed 0, of everything behind this field */
    uint32_t magic;
    uint32_t size; /* bytes of the whole message, header included; a multiple of MESSAGE_ALIGNMENT */
    uint8_t
        operation; /* enum operation; every item's kind equals it. OPERATION_NONE: the server speaks of the connection */
    uint8_t version;      /* PROTOCOL_VERSION */
    uint16_t flags;       /* enum message_flag */
    uint32_t items_count; /* of items, or of results in a reply */
    uint64_t correlation; /* the client's; comes back in every reply */
};

static_assert(sizeof(struct message_header) == 32, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, magic) == 8, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, size) == 12, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, operation) == 16, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, flags) == 18, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, items_count) == 20, "PROTOCOL.md: message header");
static_assert(offsetof(struct message_header, correlation) == 24, "PROTOCOL.md: message header");
static_assert(sizeof(struct message_header) + RECORD_SIZE_MAX <= MESSAGE_SIZE_MAX, "an item fits a message");

/* Fills in magic, version and checksum of a message that is otherwise complete. */
void message_seal(struct message_header *message);

/* Judges a message's first bytes before the rest is there: available_bytes >= sizeof(struct message_header). STATUS_OK,
 * BAD_MAGIC, BAD_PROTOCOL_VERSION, BAD_MESSAGE_SIZE or BAD_MESSAGE. `size_max` bounds header->size. */
MUST_USE enum status message_header_check(const struct message_header *message, uint32_t size_max);

/* Judges a whole message whose header has passed: STATUS_OK, BAD_CHECKSUM, or BAD_MESSAGE where items and size do not agree. */
MUST_USE enum status message_check(const struct message_header *message);

/* Walks the items of a request that passed message_check: the first, then the one behind `item`. */
static inline const struct record_header *message_item_first(const struct message_header *message)
{
    return (const struct record_header *)(const void *)(message + 1);
}
static inline const struct record_header *message_item_next(const struct record_header *item)
{
    return (const struct record_header *)(const void *)((const uint8_t *)item + item->size);
}

#endif
