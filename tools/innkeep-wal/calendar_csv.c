#include "tools/innkeep-wal/calendar_csv.h"

#include "engine/base/civil_date.h"
#include "engine/objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for one more element, or false (and the array as it was). */
static bool array_grow(void **array, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity == 0 ? 64 : 2 * *capacity;
    void *larger = reallocarray(*array, wanted, element_size);
    if (larger == NULL)
        return false;
    *array = larger;
    *capacity = wanted;
    return true;
}

static void night_collect(struct calendar_csv *csv, struct calendar_row row)
{
    void *array = csv->rows;
    if (row.sold == 0)
        return;
    if (!array_grow(&array, csv->rows_count, &csv->rows_capacity, sizeof *csv->rows)) {
        csv->no_memory = true;
        return;
    }
    csv->rows = array;
    csv->rows[csv->rows_count++] = row;
}

static void result_collect(struct calendar_csv *csv, uint64_t property, const struct calendar_result *result)
{
    const uint8_t *at = (const uint8_t *)(result + 1);
    for (uint32_t t = 0; t < result->types_count; t++) {
        const struct calendar_type *type = (const struct calendar_type *)(const void *)at;
        const struct calendar_night *nights = (const struct calendar_night *)(const void *)(type + 1);
        for (int32_t n = 0; n < result->nights; n++)
            night_collect(csv, (struct calendar_row){ .property = property,
                                                      .room_type = type->room_type,
                                                      .night = result->first_night + n,
                                                      .sold = nights[n].sold });
        at += sizeof *type + result->nights * sizeof *nights;
    }
}

/* The window begins at the business date, which any query of the property names. */
static int32_t window_first(const struct engine *engine, uint64_t property, struct calendar_result *result)
{
    struct calendar query = {
        .header = { .size = sizeof query, .kind = OPERATION_CALENDAR, .version = 1, .property = property },
        .room_type = ROOM_TYPE_ALL,
        .first_night = DAY_NUMBER_MIN,
        .nights = 1,
    };
    (void)engine_query(engine, &query.header, &result->header);
    ENSURE(result->header.status == STATUS_OK);
    return result->business_date;
}

static void property_collect(struct calendar_csv *csv, const struct engine *engine, uint64_t property,
                             struct calendar_result *result)
{
    struct calendar query = {
        .header = { .size = sizeof query, .kind = OPERATION_CALENDAR, .version = 1, .property = property },
        .room_type = ROOM_TYPE_ALL,
        .first_night = window_first(engine, property, result),
        .nights = (uint16_t)engine_limits_of(engine)->horizon_nights,
    };
    do {
        (void)engine_query(engine, &query.header, &result->header);
        ENSURE(result->header.status == STATUS_OK);
        result_collect(csv, property, result);
        query.after_type = result->next_after_type;
    } while (query.after_type != 0);
}

void calendar_csv_collect(struct calendar_csv *csv, const struct engine *engine)
{
    struct calendar_result *result = malloc(RESULT_SIZE_MAX);
    struct engine_object object;
    csv->no_memory |= result == NULL;
    for (uint64_t place = 0; result != NULL && engine_object_next(engine, &place, &object);)
        if (object.kind == ENGINE_OBJECT_PROPERTY)
            property_collect(csv, engine, object.property, result);
    free(result);
}

static int row_compare(const void *left, const void *right)
{
    const struct calendar_row *a = left;
    const struct calendar_row *b = right;
    if (a->property != b->property)
        return a->property < b->property ? -1 : 1;
    if (a->room_type != b->room_type)
        return a->room_type < b->room_type ? -1 : 1;
    return (a->night > b->night) - (a->night < b->night);
}

int calendar_csv_write(struct calendar_csv *csv, const char *path)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    if (csv->no_memory)
        return -ENOMEM;
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return -errno;
    if (csv->rows_count > 0)
        qsort(csv->rows, csv->rows_count, sizeof *csv->rows, row_compare);
    fputs("property,room_type,night,sold\n", out);
    for (size_t i = 0; i < csv->rows_count; i++)
        fprintf(out, "%" PRIu64 ",%u,%s,%u\n", csv->rows[i].property, csv->rows[i].room_type,
                civil_date_format(csv->rows[i].night, date), csv->rows[i].sold);
    int error = ferror(out) ? -EIO : 0;
    if (fclose(out) != 0 && error == 0)
        error = -errno;
    return error;
}

void calendar_csv_free(struct calendar_csv *csv)
{
    free(csv->rows);
    *csv = (struct calendar_csv){ .rows = NULL };
}
