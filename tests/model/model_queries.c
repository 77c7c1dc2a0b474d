/* Queries; see model.h. */
#include "tests/model/model.h"

#include <string.h>

static enum status lookup(struct model *model, const struct lookup *query, struct lookup_result *result)
{
    struct model_key_use use = model_find_key(model, query->header.property, query->header.key);
    if (use.outcome == NULL) {
        return STATUS_NO_SUCH_KEY;
    }
    result->header.original_lsn = use.outcome->lsn;
    result->outcome_operation = use.outcome->kind;
    result->outcome_status = use.outcome->result.header.status;
    if (use.reservation == NULL) {
        result->what = LOOKUP_OUTCOME;
        result->state = use.outcome->result.state;
        result->version = use.outcome->result.version;
        return STATUS_OK;
    }
    const struct reserve *request = &use.reservation->request;
    result->what = LOOKUP_RESERVATION;
    result->state = model_state_now(model, use.reservation);
    result->nights = request->nights;
    result->arrival = request->arrival;
    result->version = use.reservation->version;
    result->hold_deadline_ns = use.reservation->hold_deadline_ns;
    result->external_reference = request->external_reference;
    result->room_type = request->lines[0].room_type;
    result->rooms = request->lines[0].rooms;
    result->lines_count = request->lines_count;
    return STATUS_OK;
}

static enum status lease_show(struct model *model, const struct lease_show *query, struct lease_result *result)
{
    const struct model_lease *lease = model_find_lease(model, query->header.property, query->resource);
    if (lease == NULL) {
        return STATUS_NO_SUCH_LEASE;
    }
    model_describe_lease(model, lease, result);
    return STATUS_OK;
}

static void *append(struct result_header *result, size_t size)
{
    void *place = (uint8_t *)result + result->size;
    result->size += (uint32_t)size;
    return place;
}

static void calendar_add(const struct model *model, const struct model_property *property,
                         const struct model_room_type *type, struct calendar_result *result)
{
    struct calendar_type *head = append(&result->header, sizeof *head);
    *head = (struct calendar_type){ .room_type = type->number };
    for (int32_t night = result->first_night; night < result->first_night + result->nights; night++) {
        struct calendar_night *cell = append(&result->header, sizeof *cell);
        int32_t sellable = type->sellable[night - property->business_date];
        int32_t sold = model_rooms_in_state(model, type, night, RESERVATION_CONFIRMED);
        int32_t held = model_rooms_in_state(model, type, night, RESERVATION_HELD);
        *cell = (struct calendar_night){ .sellable = (int16_t)sellable,
                                         .sold = (uint16_t)sold,
                                         .held = (uint16_t)held,
                                         .available = (int16_t)(sellable - sold - held) };
    }
    result->types_count++;
}

static void calendar_add_all(struct model *model, const struct model_property *property, uint32_t after_type,
                             struct calendar_result *result)
{
    size_t type_size = sizeof(struct calendar_type) + result->nights * sizeof(struct calendar_night);
    bool behind = after_type == 0;
    uint32_t last = 0;
    for (size_t i = 0; i < model->room_types_count; i++) {
        const struct model_room_type *type = &model->room_types[i];
        if (type->property != property->number) {
            continue;
        }
        if (!behind) {
            behind = type->number == after_type;
            continue;
        }
        if (result->types_count > 0 && result->header.size + type_size > RESULT_SIZE_MAX) {
            model->events[MODEL_EVENT_CALENDAR_CUT]++;
            result->next_after_type = last;
            return;
        }
        calendar_add(model, property, type, result);
        last = type->number;
    }
}

/* Keeps what of the asked nights lies in the property's window. */
static void calendar_window(const struct model *model, const struct model_property *property,
                            const struct calendar *query, struct calendar_result *result)
{
    int32_t window_end = property->business_date + (int32_t)model->limits.horizon_nights;
    for (int32_t night = query->first_night; night < query->first_night + query->nights; night++) {
        if (night >= property->business_date && night < window_end) {
            result->first_night = result->nights == 0 ? night : result->first_night;
            result->nights++;
        }
    }
}

static enum status calendar(struct model *model, const struct calendar *query, struct calendar_result *result)
{
    const struct model_property *property = model_find_property(model, query->header.property);
    if (property == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    uint32_t named = query->room_type != ROOM_TYPE_ALL ? query->room_type : query->after_type;
    const struct model_room_type *type = model_find_room_type(model, property->number, named);
    if (named != 0 && type == NULL) {
        return STATUS_NO_SUCH_ROOM_TYPE;
    }
    result->business_date = property->business_date;
    calendar_window(model, property, query, result);
    if (result->nights == 0) {
        return STATUS_OK;
    }
    if (query->room_type != ROOM_TYPE_ALL) {
        calendar_add(model, property, type, result);
    } else {
        calendar_add_all(model, property, query->after_type, result);
    }
    return STATUS_OK;
}

static uint32_t query_result_size(uint8_t kind)
{
    switch (kind) {
    case OPERATION_LOOKUP:
        return sizeof(struct lookup_result);
    case OPERATION_CALENDAR:
        return sizeof(struct calendar_result);
    default:
        return sizeof(struct lease_result);
    }
}

uint32_t model_query(struct model *model, const struct record_header *item, struct result_header *result)
{
    enum status status;
    uint32_t size = query_result_size(item->kind);
    memset(result, 0, size);
    result->size = size;
    result->lsn = model->last_lsn;
    result->log_time_ns = model->log_time_ns;
    if (item->kind == OPERATION_LOOKUP) {
        status = lookup(model, (const void *)item, (void *)result);
    } else if (item->kind == OPERATION_CALENDAR) {
        status = calendar(model, (const void *)item, (void *)result);
    } else {
        status = lease_show(model, (const void *)item, (void *)result);
    }
    result->status = (uint16_t)status;
    return result->size;
}
