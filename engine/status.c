#include "engine/status.h"

const char *status_name(uint16_t status)
{
    switch (status) {
#define STATUS_NAME(name, number, class, text) \
    case number:                               \
        return #name;
        STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "UNKNOWN_STATUS";
    }
}

const char *status_text(uint16_t status)
{
    switch (status) {
#define STATUS_TEXT(name, number, class, text) \
    case number:                               \
        return text;
        STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "a status this version does not know";
    }
}

enum status_class status_class(uint16_t status)
{
    switch (status) {
#define STATUS_CLASS(name, number, class, text) \
    case number:                                \
        return STATUS_CLASS_##class;
        STATUS_MAP(STATUS_CLASS)
#undef STATUS_CLASS
    default:
        return STATUS_CLASS_UNTOUCHED;
    }
}
