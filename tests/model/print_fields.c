/* See print_fields.h. One table of fields a struct; everything else walks the tables. */
#include "tests/model/print_fields.h"

#include <inttypes.h>
#include <string.h>

enum field_form { FIELD_UNSIGNED, FIELD_SIGNED, FIELD_HEX, FIELD_STATUS, FIELD_OPERATION };

struct field {
    const char *name;
    size_t offset;
    size_t size;
    enum field_form form;
};

#define FIELD(type, name, form)                                                               \
    {                                                                                         \
#name, offsetof(struct type, name), sizeof(((struct type *)NULL)->name), FIELD_##form \
    }
#define FIELDS_END            \
    {                         \
        NULL, 0, 0, FIELD_HEX \
    }

static const struct field record_fields[] = {
    FIELD(record_header, size, UNSIGNED),     FIELD(record_header, version, UNSIGNED), FIELD(record_header, flags, HEX),
    FIELD(record_header, property, UNSIGNED), FIELD(record_header, key, HEX),          FIELDS_END
};

#define MUTATION_FIELDS(type)                                                                  \
    FIELD(type, mutation.not_after_ns, UNSIGNED), FIELD(type, mutation.fence_token, UNSIGNED), \
        FIELD(type, mutation.fence_resource, UNSIGNED)

static const struct field property_create_fields[] = { MUTATION_FIELDS(property_create),
                                                       FIELD(property_create, business_date, SIGNED),
                                                       FIELD(property_create, reserved, HEX), FIELDS_END };
static const struct field room_type_create_fields[] = { MUTATION_FIELDS(room_type_create),
                                                        FIELD(room_type_create, room_type, UNSIGNED),
                                                        FIELD(room_type_create, rooms, UNSIGNED),
                                                        FIELD(room_type_create, reserved, HEX), FIELDS_END };
static const struct field rooms_set_fields[] = { MUTATION_FIELDS(rooms_set),
                                                 FIELD(rooms_set, room_type, UNSIGNED),
                                                 FIELD(rooms_set, first_night, SIGNED),
                                                 FIELD(rooms_set, last_night, SIGNED),
                                                 FIELD(rooms_set, weekdays, HEX),
                                                 FIELD(rooms_set, reserved, HEX),
                                                 FIELD(rooms_set, rooms, UNSIGNED),
                                                 FIELDS_END };
static const struct field reserve_fields[] = { MUTATION_FIELDS(reserve),
                                               FIELD(reserve, hold_ns, UNSIGNED),
                                               FIELD(reserve, external_reference, UNSIGNED),
                                               FIELD(reserve, arrival, SIGNED),
                                               FIELD(reserve, nights, UNSIGNED),
                                               FIELD(reserve, lines_count, UNSIGNED),
                                               FIELD(reserve, lines[0].room_type, UNSIGNED),
                                               FIELD(reserve, lines[0].rooms, UNSIGNED),
                                               FIELD(reserve, lines[0].reserved, HEX),
                                               FIELDS_END };
static const struct field reservation_change_fields[] = { MUTATION_FIELDS(reservation_change),
                                                          FIELD(reservation_change, reservation, HEX),
                                                          FIELD(reservation_change, expected_version, UNSIGNED),
                                                          FIELD(reservation_change, reserved, HEX), FIELDS_END };
static const struct field lease_acquire_fields[] = { FIELD(lease_acquire, resource, UNSIGNED),
                                                     FIELD(lease_acquire, ttl_ns, UNSIGNED),
                                                     FIELD(lease_acquire, owner, HEX), FIELDS_END };
static const struct field lease_renew_fields[] = { FIELD(lease_renew, resource, UNSIGNED),
                                                   FIELD(lease_renew, token, UNSIGNED),
                                                   FIELD(lease_renew, ttl_ns, UNSIGNED), FIELDS_END };
static const struct field lease_release_fields[] = { FIELD(lease_release, resource, UNSIGNED),
                                                     FIELD(lease_release, token, UNSIGNED), FIELDS_END };
static const struct field calendar_fields[] = {
    FIELD(calendar, room_type, UNSIGNED), FIELD(calendar, after_type, UNSIGNED), FIELD(calendar, first_night, SIGNED),
    FIELD(calendar, nights, UNSIGNED),    FIELD(calendar, reserved, HEX),        FIELDS_END
};
static const struct field lease_show_fields[] = { FIELD(lease_show, resource, UNSIGNED), FIELDS_END };
static const struct field config_fields[] = { FIELD(config_record, limits.properties_max, UNSIGNED),
                                              FIELD(config_record, limits.room_types_max, UNSIGNED),
                                              FIELD(config_record, limits.horizon_nights, UNSIGNED),
                                              FIELD(config_record, limits.reservations_max, UNSIGNED),
                                              FIELD(config_record, limits.outcomes_max, UNSIGNED),
                                              FIELD(config_record, limits.leases_max, UNSIGNED),
                                              FIELD(config_record, limits.deadline_ahead_max_ns, UNSIGNED),
                                              FIELD(config_record, limits.keep_ended_ns, UNSIGNED),
                                              FIELDS_END };
static const struct field commit_latency_fields[] = { FIELD(commit_latency_record, p99_ns, UNSIGNED),
                                                      FIELD(commit_latency_record, ttl_factor, UNSIGNED), FIELDS_END };

static const struct field raise_level_fields[] = { FIELD(raise_level, level, UNSIGNED), FIELDS_END };
static const struct field level_result_fields[] = { FIELD(level_result, level, UNSIGNED), FIELDS_END };

static const struct field result_fields[] = { FIELD(result_header, size, UNSIGNED),
                                              FIELD(result_header, status, STATUS),
                                              FIELD(result_header, flags, HEX),
                                              FIELD(result_header, item, UNSIGNED),
                                              FIELD(result_header, shard, UNSIGNED),
                                              FIELD(result_header, reserved, HEX),
                                              FIELD(result_header, lsn, UNSIGNED),
                                              FIELD(result_header, original_lsn, UNSIGNED),
                                              FIELD(result_header, log_time_ns, UNSIGNED),
                                              FIELDS_END };
static const struct field mutation_result_fields[] = { FIELD(mutation_result, night, SIGNED),
                                                       FIELD(mutation_result, room_type, UNSIGNED),
                                                       FIELD(mutation_result, available, SIGNED),
                                                       FIELD(mutation_result, version, UNSIGNED),
                                                       FIELD(mutation_result, state, UNSIGNED),
                                                       FIELD(mutation_result, limit, UNSIGNED),
                                                       FIELD(mutation_result, operation, OPERATION),
                                                       FIELD(mutation_result, reserved, HEX),
                                                       FIELD(mutation_result, hold_deadline_ns, UNSIGNED),
                                                       FIELD(mutation_result, token, UNSIGNED),
                                                       FIELDS_END };
static const struct field lease_result_fields[] = {
    FIELD(lease_result, token, UNSIGNED),  FIELD(lease_result, deadline_ns, UNSIGNED),
    FIELD(lease_result, ttl_ns, UNSIGNED), FIELD(lease_result, commit_p99_ns, UNSIGNED),
    FIELD(lease_result, flags, HEX),       FIELD(lease_result, state, UNSIGNED),
    FIELD(lease_result, owner, HEX),       FIELDS_END
};
static const struct field lookup_result_fields[] = { FIELD(lookup_result, what, UNSIGNED),
                                                     FIELD(lookup_result, state, UNSIGNED),
                                                     FIELD(lookup_result, outcome_operation, OPERATION),
                                                     FIELD(lookup_result, reserved0, HEX),
                                                     FIELD(lookup_result, outcome_status, STATUS),
                                                     FIELD(lookup_result, nights, UNSIGNED),
                                                     FIELD(lookup_result, arrival, SIGNED),
                                                     FIELD(lookup_result, version, UNSIGNED),
                                                     FIELD(lookup_result, hold_deadline_ns, UNSIGNED),
                                                     FIELD(lookup_result, external_reference, UNSIGNED),
                                                     FIELD(lookup_result, room_type, UNSIGNED),
                                                     FIELD(lookup_result, rooms, UNSIGNED),
                                                     FIELD(lookup_result, lines_count, UNSIGNED),
                                                     FIELDS_END };
static const struct field calendar_result_fields[] = {
    FIELD(calendar_result, first_night, SIGNED),   FIELD(calendar_result, nights, UNSIGNED),
    FIELD(calendar_result, types_count, UNSIGNED), FIELD(calendar_result, next_after_type, UNSIGNED),
    FIELD(calendar_result, business_date, SIGNED), FIELDS_END
};
static const struct field no_fields[] = { FIELDS_END };

static const struct shape {
    const struct field *item;
    const struct field *result;
} shapes[256] = {
    [OPERATION_PROPERTY_CREATE] = { property_create_fields, mutation_result_fields },
    [OPERATION_ROOM_TYPE_CREATE] = { room_type_create_fields, mutation_result_fields },
    [OPERATION_ROOMS_SET] = { rooms_set_fields, mutation_result_fields },
    [OPERATION_RESERVE] = { reserve_fields, mutation_result_fields },
    [OPERATION_CONFIRM] = { reservation_change_fields, mutation_result_fields },
    [OPERATION_RELEASE] = { reservation_change_fields, mutation_result_fields },
    [OPERATION_CANCEL] = { reservation_change_fields, mutation_result_fields },
    [OPERATION_LEASE_ACQUIRE] = { lease_acquire_fields, lease_result_fields },
    [OPERATION_LEASE_RENEW] = { lease_renew_fields, lease_result_fields },
    [OPERATION_LEASE_RELEASE] = { lease_release_fields, lease_result_fields },
    [OPERATION_RAISE_LEVEL] = { raise_level_fields, level_result_fields },
    [OPERATION_LOOKUP] = { no_fields, lookup_result_fields },
    [OPERATION_CALENDAR] = { calendar_fields, calendar_result_fields },
    [OPERATION_LEASE_SHOW] = { lease_show_fields, lease_result_fields },
    [OPERATION_CONFIG] = { config_fields, no_fields },
    [OPERATION_COMMIT_LATENCY] = { commit_latency_fields, no_fields },
};

static const struct field *or_none(const struct field *fields)
{
    return fields != NULL ? fields : no_fields;
}

static bool bytes_are_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void print_bytes(FILE *to, const uint8_t *bytes, size_t size)
{
    fputs("0x", to);
    for (size_t i = size; i-- > 0;) {
        fprintf(to, "%02x", bytes[i]);
    }
}

static void print_value(FILE *to, const struct field *field, const void *base)
{
    const uint8_t *bytes = (const uint8_t *)base + field->offset;
    uint64_t value = 0;
    memcpy(&value, bytes, field->size < sizeof value ? field->size : sizeof value);
    switch (field->form) {
    case FIELD_HEX:
        print_bytes(to, bytes, field->size);
        break;
    case FIELD_SIGNED:
        fprintf(to, "%" PRId32, (int32_t)value);
        break;
    case FIELD_STATUS:
        fputs(status_name((uint16_t)value), to);
        break;
    case FIELD_OPERATION:
        fputs(operation_name((uint8_t)value), to);
        break;
    case FIELD_UNSIGNED:
    default:
        fprintf(to, "%" PRIu64, value);
        break;
    }
}

static void print_fields(FILE *to, const struct field *fields, const void *base, size_t size)
{
    for (const struct field *field = fields; field->name != NULL; field++) {
        bool there = field->offset + field->size <= size;
        if (there && !bytes_are_zero((const uint8_t *)base + field->offset, field->size)) {
            fprintf(to, " %s=", field->name);
            print_value(to, field, base);
        }
    }
}

void print_record(FILE *to, const struct record_header *record)
{
    fprintf(to, "%s", operation_name(record->kind));
    print_fields(to, record_fields, record, sizeof *record);
    print_fields(to, or_none(shapes[record->kind].item), record, record->size);
    fputc('\n', to);
}

void print_result(FILE *to, uint8_t kind, const struct result_header *result)
{
    fprintf(to, "%s", status_name(result->status));
    print_fields(to, result_fields, result, sizeof *result);
    print_fields(to, or_none(shapes[kind].result), result, result->size);
    fputc('\n', to);
}

static void print_difference(FILE *to, const struct field *fields, const void *engine, const void *model, size_t size)
{
    for (const struct field *field = fields; field->name != NULL; field++) {
        if (field->offset + field->size > size) {
            continue;
        }
        const uint8_t *a = (const uint8_t *)engine + field->offset;
        const uint8_t *b = (const uint8_t *)model + field->offset;
        fprintf(to, "  %s %-20s engine ", memcmp(a, b, field->size) == 0 ? "  " : "->", field->name);
        print_value(to, field, engine);
        fputs("  model ", to);
        print_value(to, field, model);
        fputc('\n', to);
    }
}

void print_result_difference(FILE *to, uint8_t kind, const struct result_header *engine,
                             const struct result_header *model)
{
    size_t size = engine->size < model->size ? engine->size : model->size;
    size = size > sizeof *engine ? size : sizeof *engine;
    print_difference(to, result_fields, engine, model, sizeof *engine);
    print_difference(to, or_none(shapes[kind].result), engine, model, size);
    for (size_t i = 0; i < size; i++) {
        if (((const uint8_t *)engine)[i] != ((const uint8_t *)model)[i]) {
            fprintf(to, "  first differing byte: %zu\n", i);
            return;
        }
    }
}
