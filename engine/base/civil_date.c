#include "engine/base/civil_date.h"

#define DAYS_PER_ERA 146097  /* 400 Gregorian years */
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01, where an era begins, to 1970-01-01 */

static int32_t floor_divide(int32_t value, int32_t divisor)
{
    return value >= 0 ? value / divisor : (value - divisor + 1) / divisor;
}

int32_t day_number_of(struct civil_date date)
{
    REQUIRE(date.month >= 1 && date.month <= 12);
    REQUIRE(date.day >= 1 && date.day <= 31);
    int32_t year = date.year - (date.month <= 2);
    int32_t era = floor_divide(year, 400);
    int32_t year_of_era = year - era * 400;
    int32_t month_from_march = (date.month + 9) % 12;
    int32_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

struct civil_date civil_date_of(int32_t day_number)
{
    REQUIRE(day_number >= DAY_NUMBER_MIN);
    REQUIRE(day_number <= DAY_NUMBER_MAX);
    int32_t days = day_number + DAYS_TO_EPOCH;
    int32_t era = floor_divide(days, DAYS_PER_ERA);
    int32_t day_of_era = days - era * DAYS_PER_ERA;
    int32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int32_t month_from_march = (5 * day_of_year + 2) / 153;
    struct civil_date date = {
        .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
    date.year = year_of_era + era * 400 + (date.month <= 2);
    return date;
}

int32_t weekday_of(int32_t day_number)
{
    /* Day 0 was a Thursday, which is 3 when Monday is 0. */
    int32_t weekday = (day_number % 7 + 3) % 7;
    return weekday < 0 ? weekday + 7 : weekday;
}

static bool parse_digits(const char *text, int count, int32_t *value)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (text[i] - '0');
    }
    return true;
}

bool civil_date_parse(const char *text, int32_t *day_number)
{
    struct civil_date date;
    if (!parse_digits(text, 4, &date.year) || text[4] != '-' || !parse_digits(text + 5, 2, &date.month) ||
        text[7] != '-' || !parse_digits(text + 8, 2, &date.day) || text[10] != '\0')
        return false;
    if (date.year < 1 || date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31)
        return false;
    int32_t number = day_number_of(date);
    struct civil_date back = civil_date_of(number);
    if (back.month != date.month || back.day != date.day)
        return false; /* 30 February and its kin come back as another date */
    *day_number = number;
    return true;
}

static void format_digits(int32_t value, int count, char *text)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        text[i] = (char)('0' + value % 10);
}

char *civil_date_format(int32_t day_number, char text[CIVIL_DATE_TEXT_SIZE])
{
    struct civil_date date = civil_date_of(day_number);
    format_digits(date.year, 4, text);
    text[4] = '-';
    format_digits(date.month, 2, text + 5);
    text[7] = '-';
    format_digits(date.day, 2, text + 8);
    text[10] = '\0';
    return text;
}
