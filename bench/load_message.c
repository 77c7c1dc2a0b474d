#include "bench/load_message.h"

static struct reserve *reserves_of(struct message_header *message)
{
    return (struct reserve *)(void *)(message + 1);
}

void load_message_init(struct message_header *message, uint32_t batch, uint16_t stay)
{
    REQUIRE(batch >= 1);
    REQUIRE(load_message_size(batch) <= MESSAGE_SIZE_MAX);
    message->size = load_message_size(batch);
    message->operation = OPERATION_RESERVE;
    message->items_count = batch;
    struct reserve *reserves = reserves_of(message);
    for (uint32_t i = 0; i < batch; i++) {
        reserves[i].mutation.header.size = sizeof *reserves;
        reserves[i].mutation.header.kind = OPERATION_RESERVE;
        reserves[i].mutation.header.version = 1;
        reserves[i].nights = stay;
        reserves[i].lines_count = 1;
        reserves[i].lines[0].rooms = 1;
    }
}

void load_message_fill(struct message_header *message, const struct load_fill *fill, const struct load_targets *targets,
                       struct random_source *random)
{
    struct reserve *reserves = reserves_of(message);
    for (uint32_t i = 0; i < message->items_count; i++) {
        const struct load_target *target = &targets->items[sampler_draw(&targets->sampler, random)];
        struct reserve *reserve = &reserves[i];
        reserve->mutation.header.property = target->property;
        reserve->mutation.header.key = random_key(random);
        reserve->mutation.not_after_ns = fill->not_after_ns;
        reserve->arrival = target->business_date + (int32_t)random_below(random, fill->arrivals_count);
        reserve->lines[0].room_type = target->room_type;
    }
    message->correlation = fill->correlation;
    message_seal(message);
}
