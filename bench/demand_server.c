#include "bench/demand_server.h"

#include <inttypes.h>

/* Turns the verdict of a call into a failure; `what` says what was tried. */
static bool judge(int verdict, const char *what, uint64_t property, const struct inn_connection *connection,
                  struct failure *failure)
{
    if (verdict == INN_OK)
        return true;
    if (verdict == INN_ALREADY_EXISTS)
        return failure_set(failure, EXIT_REFUSED,
                           "%s: property %" PRIu64
                           " exists already (ALREADY_EXISTS). The replay needs hotels of its own: "
                           "use a fresh data directory, or --property-base N for other property numbers",
                           what, property);
    if (verdict > 0)
        return failure_set(failure, EXIT_REFUSED, "%s: property %" PRIu64 ": %s: %s", what, property,
                           inn_verdict_name(verdict), inn_verdict_text(verdict));
    return failure_set(failure, EXIT_NO_ANSWER, "%s: property %" PRIu64 ": %s: %s", what, property,
                       inn_verdict_name(verdict), inn_last_error(connection));
}

static bool create_property(const struct demand_plan *plan, enum hotel hotel, struct inn_connection *connection,
                            struct failure *failure)
{
    struct inn_property_create_request request = { .business_date = plan->business_date };
    request.mutation.property = demand_plan_property(plan, hotel);
    request.mutation.key = demand_plan_key(plan, DEMAND_KEY_PROPERTY, (uint32_t)hotel);
    int verdict = inn_property_create(connection, &request, NULL);
    return judge(verdict, "creating the hotel", request.mutation.property, connection, failure);
}

static bool create_room_type(const struct demand_plan *plan, enum hotel hotel, uint32_t room_type,
                             struct inn_connection *connection, struct failure *failure)
{
    struct inn_room_type_create_request request = { .room_type = room_type };
    request.rooms = plan->capacity.rooms[hotel][room_type];
    request.mutation.property = demand_plan_property(plan, hotel);
    request.mutation.key = demand_plan_key(plan, DEMAND_KEY_ROOM_TYPE, (uint32_t)hotel * 256 + room_type);
    int verdict = inn_room_type_create(connection, &request, NULL);
    return judge(verdict, "creating a room type", request.mutation.property, connection, failure);
}

static bool create_hotel(const struct demand_plan *plan, enum hotel hotel, struct inn_connection *connection,
                         struct failure *failure)
{
    if (!create_property(plan, hotel, connection, failure))
        return false;
    for (uint32_t room_type = 1; room_type <= ROOM_TYPE_LETTERS; room_type++)
        if (plan->room_type_used[hotel][room_type] && !create_room_type(plan, hotel, room_type, connection, failure))
            return false;
    return true;
}

bool demand_server_prepare(const struct demand_plan *plan, struct inn_connection *connection, struct failure *failure)
{
    uint32_t horizon = inn_hello(connection)->horizon_nights;
    if ((int64_t)plan->nights > (int64_t)horizon)
        return failure_set(
            failure, EXIT_REFUSED,
            "the bookings span %d nights and the server sells %u nights ahead: it needs a longer horizon", plan->nights,
            horizon);
    for (int hotel = 0; hotel < HOTELS_COUNT; hotel++)
        if (!create_hotel(plan, (enum hotel)hotel, connection, failure))
            return false;
    return true;
}

static void write_row(FILE *out, enum hotel hotel, uint32_t room_type, int32_t night, uint32_t sold)
{
    char date[INN_DATE_TEXT_SIZE];
    if (out != NULL)
        fprintf(out, "%u,%u,%s,%u\n", hotel_property(hotel), room_type, inn_date_format(night, date), sold);
}

static bool read_room_type(const struct demand_plan *plan, enum hotel hotel, uint32_t room_type,
                           struct inn_connection *connection, FILE *out, size_t *rows, struct failure *failure)
{
    const struct inn_calendar_result *calendar = NULL;
    struct inn_calendar_request request = { .room_type = room_type };
    request.property = demand_plan_property(plan, hotel);
    request.first_night = plan->business_date;
    request.nights = (uint16_t)plan->nights;
    int verdict = inn_calendar(connection, &request, &calendar);
    if (!judge(verdict, "reading the calendar", request.property, connection, failure))
        return false;
    if (calendar->types_count != 1 || calendar->first_night != plan->business_date || calendar->nights != plan->nights)
        return failure_set(failure, EXIT_REFUSED, "reading the calendar: the answer is not what was asked for");
    const struct inn_calendar_night *nights = NULL;
    (void)inn_calendar_at(calendar, 0, &nights);
    for (int32_t i = 0; i < plan->nights; i++) {
        if (nights[i].sold == 0)
            continue;
        write_row(out, hotel, room_type, plan->business_date + i, nights[i].sold);
        ++*rows;
    }
    return true;
}

bool demand_server_calendar(const struct demand_plan *plan, struct inn_connection *connection, FILE *out, size_t *rows,
                            struct failure *failure)
{
    *rows = 0;
    if (out != NULL)
        fprintf(out, "property,room_type,night,sold\n");
    for (int hotel = 0; hotel < HOTELS_COUNT; hotel++)
        for (uint32_t room_type = 1; room_type <= ROOM_TYPE_LETTERS; room_type++)
            if (plan->room_type_used[hotel][room_type] &&
                !read_room_type(plan, (enum hotel)hotel, room_type, connection, out, rows, failure))
                return false;
    return true;
}
