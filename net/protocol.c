#include "net/protocol.h"

static uint64_t checksum_of(const struct message_header *message)
{
    size_t covered_from = offsetof(struct message_header, magic);
    return hash64((const uint8_t *)message + covered_from, message->size - covered_from, 0);
}

void message_seal(struct message_header *message)
{
    REQUIRE(message->size >= sizeof *message);
    REQUIRE(message->size % MESSAGE_ALIGNMENT == 0);
    message->magic = MESSAGE_MAGIC;
    message->version = PROTOCOL_VERSION;
    message->checksum = checksum_of(message);
}

enum status message_header_check(const struct message_header *message, uint32_t size_max)
{
    if (message->magic != MESSAGE_MAGIC)
        return STATUS_BAD_MAGIC;
    if (message->version != PROTOCOL_VERSION)
        return STATUS_BAD_PROTOCOL_VERSION;
    if (message->size < sizeof *message || message->size > size_max || message->size % MESSAGE_ALIGNMENT != 0)
        return STATUS_BAD_MESSAGE_SIZE;
    if ((message->flags & ~(uint32_t)MESSAGE_REPLY) != 0 || message->items_count == 0)
        return STATUS_BAD_MESSAGE;
    return STATUS_OK;
}

/* Requests count their bytes in the first u16 of each item, replies in the first u32 of each result. */
static uint32_t part_size(const uint8_t *part, bool reply)
{
    if (reply)
        return ((const struct result_header *)(const void *)part)->size;
    return ((const struct record_header *)(const void *)part)->size;
}

static bool parts_fill_message(const struct message_header *message)
{
    bool reply = (message->flags & MESSAGE_REPLY) != 0;
    size_t part_min = reply ? sizeof(struct result_header) : sizeof(struct record_header);
    const uint8_t *part = (const uint8_t *)(message + 1);
    size_t left = message->size - sizeof *message;
    for (uint32_t i = 0; i < message->items_count; i++) {
        if (left < part_min)
            return false;
        uint32_t size = part_size(part, reply);
        if (size < part_min || size > left || size % RECORD_ALIGNMENT != 0)
            return false;
        part += size;
        left -= size;
    }
    return left == 0;
}

enum status message_check(const struct message_header *message)
{
    if (message->checksum != checksum_of(message))
        return STATUS_BAD_CHECKSUM;
    return parts_fill_message(message) ? STATUS_OK : STATUS_BAD_MESSAGE;
}
