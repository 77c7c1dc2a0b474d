#include "tests/client/replies.h"

#include <string.h>

void replies_clear(struct replies *replies)
{
    replies->size = 0;
    replies->open = 0;
}

static struct message_header *open_message(struct replies *replies)
{
    return (struct message_header *)(void *)(replies->bytes + replies->open);
}

void replies_begin(struct replies *replies, uint8_t operation, uint64_t correlation)
{
    REQUIRE(replies->size + sizeof(struct message_header) <= sizeof replies->bytes);
    replies->open = replies->size;
    *open_message(replies) = (struct message_header){
        .operation = operation,
        .flags = MESSAGE_REPLY,
        .correlation = correlation,
    };
    replies->size += sizeof(struct message_header);
}

void replies_add(struct replies *replies, const void *result)
{
    uint32_t size = ((const struct result_header *)result)->size;
    REQUIRE(replies->size + size <= sizeof replies->bytes);
    memcpy(replies->bytes + replies->size, result, size);
    replies->size += size;
    open_message(replies)->items_count++;
}

void replies_seal(struct replies *replies)
{
    open_message(replies)->size = (uint32_t)(replies->size - replies->open);
    message_seal(open_message(replies));
}

void replies_hello(struct replies *replies, uint64_t log_time_ns, uint64_t server_time_ns, uint8_t uuid_byte)
{
    struct hello_result hello = {
        .header = { .size = sizeof hello, .log_time_ns = log_time_ns },
        .version = PROTOCOL_VERSION,
        .shards = 2,
        .hash_rule = 1,
        .message_size_max = MESSAGE_SIZE_MAX,
        .items_max = MESSAGE_ITEMS_MAX,
        .requests_max = 65536,
        .horizon_nights = 1000,
        .server_time_ns = server_time_ns,
    };
    memset(hello.uuid, uuid_byte, sizeof hello.uuid);
    replies_begin(replies, OPERATION_HELLO, 0);
    replies_add(replies, &hello);
    replies_seal(replies);
}

void replies_farewell(struct replies *replies, enum status status)
{
    struct result_header result = result_bare(status, 0, 0);
    replies_begin(replies, OPERATION_NONE, 0);
    replies_add(replies, &result);
    replies_seal(replies);
}

struct mutation_result result_mutation(enum status status, uint16_t item, uint64_t lsn, uint64_t log_time_ns)
{
    return (struct mutation_result){
        .header = { .size = sizeof(struct mutation_result),
                    .status = (uint16_t)status,
                    .item = item,
                    .lsn = lsn,
                    .log_time_ns = log_time_ns },
    };
}

struct result_header result_bare(enum status status, uint16_t item, uint64_t log_time_ns)
{
    return (struct result_header){
        .size = sizeof(struct result_header), .status = (uint16_t)status, .item = item, .log_time_ns = log_time_ns
    };
}
