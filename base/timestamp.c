/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

void timestamp_format(char ret[TIMESTAMP_SIZE], int64_t realtime_ns)
{
    int64_t ns = realtime_ns % NS_PER_S;
    int64_t s = realtime_ns / NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    time_t seconds = (time_t)s;
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    /* Years outside 0..9999 cannot be written in RFC 3339; int64 nanoseconds reach only 1677..2262. */
    char date[24];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret, TIMESTAMP_SIZE, "%.19s.%09dZ", date, (int)ns);
}

/* Reads exactly `digits` decimal digits; -1 when they are not there. */
static int take_digits(const char **at, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (*(*at)++ - '0');
    }
    return value;
}

static bool take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

/* ".123" as nanoseconds; absent means 0; more than nine digits or none after the dot means -1. */
static int64_t take_fraction_ns(const char **at)
{
    if (!take_char(at, '.'))
        return 0;
    int64_t ns = 0;
    int digits = 0;
    for (; isdigit((unsigned char)**at); (*at)++, digits++)
        if (digits < 9)
            ns = ns * 10 + (**at - '0');
    if (digits == 0 || digits > 9)
        return -1;
    for (; digits < 9; digits++)
        ns *= 10;
    return ns;
}

/* "Z" or "+hh:mm"; the offset in seconds, or INT32_MIN where neither stands. */
static int take_zone_s(const char **at)
{
    if (take_char(at, 'Z') || take_char(at, 'z'))
        return 0;
    int sign = **at == '+' ? 1 : **at == '-' ? -1 : 0;
    if (sign == 0)
        return INT32_MIN;
    (*at)++;
    int hours = take_digits(at, 2);
    if (hours < 0 || hours > 23 || !take_char(at, ':'))
        return INT32_MIN;
    int minutes = take_digits(at, 2);
    if (minutes < 0 || minutes > 59)
        return INT32_MIN;
    return sign * (hours * 3600 + minutes * 60);
}

int timestamp_parse(const char *text, int64_t *ret_realtime_ns, struct err *err)
{
    const char *at = text;
    struct tm tm = {0};
    bool ok = (tm.tm_year = take_digits(&at, 4)) >= 1678 && take_char(&at, '-') &&
              (tm.tm_mon = take_digits(&at, 2)) >= 1 && tm.tm_mon <= 12 && take_char(&at, '-') &&
              (tm.tm_mday = take_digits(&at, 2)) >= 1 && tm.tm_mday <= 31 &&
              (take_char(&at, 'T') || take_char(&at, 't') || take_char(&at, ' ')) &&
              (tm.tm_hour = take_digits(&at, 2)) >= 0 && tm.tm_hour <= 23 && take_char(&at, ':') &&
              (tm.tm_min = take_digits(&at, 2)) >= 0 && tm.tm_min <= 59 && take_char(&at, ':') &&
              (tm.tm_sec = take_digits(&at, 2)) >= 0 && tm.tm_sec <= 60;
    int64_t ns = ok ? take_fraction_ns(&at) : -1;
    int zone_s = ns >= 0 ? take_zone_s(&at) : INT32_MIN;
    if (zone_s == INT32_MIN || *at != '\0' || tm.tm_year > 2261)
        return err_set(err, ERR_INVALID, "'%s' is not an RFC 3339 time such as 2026-01-02T03:04:05Z", text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    int wanted_mon = day.tm_mon;
    timegm(&day); /* normalises: 31 February becomes a day in March */
    if (day.tm_mon != wanted_mon)
        return err_set(err, ERR_INVALID, "'%s' names a day that does not exist", text);
    int64_t seconds = (int64_t)timegm(&tm);
    *ret_realtime_ns = (seconds - zone_s) * NS_PER_S + ns;
    return 0;
}

/* The unit at *at, which moves behind it; 0 if there is none. */
static int64_t take_unit_ns(const char **at)
{
    static const struct {
        const char *name;
        int64_t ns;
    } UNITS[] = {{"ms", NS_PER_S / 1000}, {"us", NS_PER_S / 1000000}, {"ns", 1},
                 {"s", NS_PER_S},         {"m", 60 * NS_PER_S},       {"h", 3600 * NS_PER_S},
                 {"d", 86400 * NS_PER_S}};
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (strncmp(*at, UNITS[i].name, strlen(UNITS[i].name)) != 0)
            continue;
        *at += strlen(UNITS[i].name);
        return UNITS[i].ns;
    }
    return 0;
}

/* "1h30m", "1.5s" or "500ms", as Go writes durations, and days: true and the sum, or false when the text is
 * no duration (or one beyond 200 years). */
static bool parse_duration(const char *at, int64_t *ret_ns)
{
    int64_t total = 0;
    const int64_t limit = 200LL * 365 * 86400 * NS_PER_S;
    if (*at == '\0')
        return false;
    while (*at != '\0') {
        int64_t value = 0;
        if (!isdigit((unsigned char)*at))
            return false;
        for (; isdigit((unsigned char)*at); at++) {
            value = value * 10 + (*at - '0');
            if (value > limit / NS_PER_S)
                return false;
        }
        int64_t fraction_ns = take_fraction_ns(&at);
        int64_t unit = fraction_ns < 0 ? 0 : take_unit_ns(&at);
        if (unit == 0 || value >= (limit - total) / unit)
            return false;
        __extension__ __int128 part = (__int128)fraction_ns * unit / NS_PER_S;
        total += value * unit + (int64_t)part;
    }
    *ret_ns = total;
    return true;
}

int timestamp_parse_user(const char *text, int64_t now_ns, int64_t *ret_realtime_ns, struct err *err)
{
    int64_t back_ns;
    if (parse_duration(text, &back_ns)) {
        *ret_realtime_ns = now_ns - back_ns;
        return 0;
    }
    const char *at = text;
    int64_t seconds = 0;
    int digits = 0;
    for (; isdigit((unsigned char)*at) && digits < 11; at++, digits++)
        seconds = seconds * 10 + (*at - '0');
    int64_t ns = digits > 0 ? take_fraction_ns(&at) : -1;
    if (digits > 0 && digits <= 10 && ns >= 0 && *at == '\0' && seconds <= 9000000000LL) {
        *ret_realtime_ns = seconds * NS_PER_S + ns;
        return 0;
    }
    if (timestamp_parse(text, ret_realtime_ns, NULL) == 0)
        return 0;
    return err_set(
        err, ERR_INVALID,
        "'%s' is not a time: give RFC 3339 (2026-01-02T03:04:05Z), Unix seconds, or an age such as 10m",
        text);
}

void duration_format(char *ret, size_t size, int64_t duration_ns)
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    int64_t s = duration_ns < 0 ? 0 : duration_ns / NS_PER_S;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t count = s / units[i].s;
        if (count > 0 || units[i].s == 1) {
            snprintf(ret, size, "%lld %s%s", (long long)count, units[i].name, count == 1 ? "" : "s");
            return;
        }
    }
}
