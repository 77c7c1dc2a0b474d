#include "bench/hotels.h"

#include "engine/command.h"

#include <string.h>

static const char *const hotel_names[HOTELS_COUNT] = {
    [HOTEL_CITY] = "City Hotel",
    [HOTEL_RESORT] = "Resort Hotel",
};

bool hotel_parse(const char *text, enum hotel *hotel)
{
    for (int i = 0; i < HOTELS_COUNT; i++) {
        if (strcmp(text, hotel_names[i]) == 0) {
            *hotel = (enum hotel)i;
            return true;
        }
    }
    return false;
}

uint32_t hotel_property(enum hotel hotel)
{
    return (uint32_t)hotel + 1;
}

bool room_type_parse(const char *text, uint8_t *room_type)
{
    if (text[0] < 'A' || text[0] > 'Z' || text[1] != '\0')
        return false;
    *room_type = (uint8_t)(text[0] - 'A' + 1);
    return true;
}

bool count_parse(const char *text, uint32_t *count)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint32_t)(text[i] - '0');
    *count = value;
    return true;
}

static const char *capacity_take_row(void *context, const char *const *fields, size_t line)
{
    struct capacity *capacity = context;
    (void)line;
    enum hotel hotel;
    uint8_t room_type;
    uint32_t rooms;
    if (!hotel_parse(fields[0], &hotel))
        return "the hotel is neither City Hotel nor Resort Hotel";
    if (!room_type_parse(fields[1], &room_type))
        return "the room type is not a letter from A to Z";
    if (!count_parse(fields[2], &rooms) || rooms > ROOMS_MAX)
        return "the rooms are not a number from 0 to 32767";
    if (capacity->named[hotel][room_type])
        return "this hotel and room type were named before";
    capacity->named[hotel][room_type] = true;
    capacity->rooms[hotel][room_type] = (uint16_t)rooms;
    return NULL;
}

bool capacity_read(const char *path, struct capacity *capacity, struct table_error *error)
{
    static const char *const columns[] = { "hotel", "room_type", "rooms" };
    memset(capacity, 0, sizeof *capacity);
    return table_read(path, columns, ARRAY_COUNT(columns), capacity_take_row, capacity, error);
}
