/* SPDX-License-Identifier: Apache-2.0 */
#include "node/when.h"

#include "base/label.h"

#define DAY_S INT64_C(86400)
#define LATEST_US (INT64_C(253402300799) * (int64_t)US_PER_S) /* the end of the year 9999 */
#define FRACTION_DIGITS 6

static bool take(struct reader *r, char c)
{
    if (reader_left(r) == 0 || r->in.data[r->pos] != (uint8_t)c) {
        return false;
    }
    r->pos++;
    return true;
}

static int64_t digits(struct reader *r, unsigned n)
{
    int64_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t c = reader_u8(r);
        r->failed = r->failed || c < '0' || c > '9';
        v = v * 10 + (c - '0');
    }
    return r->failed ? 0 : v;
}

/* Microseconds behind a point; further digits count nothing. */
static int64_t fraction(struct reader *r)
{
    int64_t v = 0;
    unsigned n = 0;
    while (reader_left(r) > 0 && r->in.data[r->pos] >= '0' && r->in.data[r->pos] <= '9') {
        int64_t digit = digits(r, 1);
        if (n < FRACTION_DIGITS) {
            v = v * 10 + digit;
        }
        n++;
    }
    r->failed = r->failed || n == 0;
    for (; n < FRACTION_DIGITS; n++) {
        v *= 10;
    }
    return v;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days since 1970-01-01, of the Gregorian calendar; false if there is no such day. */
static bool days_of(int64_t year, int64_t month, int64_t day, int64_t *ret)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    int64_t length = before[month] - before[month - 1] + (month == 2 && is_leap(year));
    int64_t y = year - 1; /* whole years before */
    *ret = (year - 1970) * 365 + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400) + before[month - 1] + (month > 2 && is_leap(year)) +
           day - 1;
    return day <= length;
}

static int64_t zone(struct reader *r, const struct when_here *here)
{
    bool is_east = take(r, '+');
    if (reader_left(r) == 0 && !is_east) {
        return here->offset_s;
    }
    if (take(r, 'Z') || take(r, 'z')) {
        return 0;
    }
    r->failed = r->failed || (!is_east && !take(r, '-'));
    int64_t hours = digits(r, 2);
    (void)take(r, ':');
    int64_t minutes = digits(r, 2);
    r->failed = r->failed || hours > 23 || minutes > 59;
    return (is_east ? 1 : -1) * (hours * 3600 + minutes * 60);
}

static enum ipx_err parse_date(struct slice text, const struct when_here *here, int64_t *ret_us)
{
    struct reader r = reader_of(text);
    int64_t days = 0, hours = 0, minutes = 0, seconds = 0, us = 0;
    int64_t year = digits(&r, 4);
    r.failed = r.failed || !take(&r, '-');
    int64_t month = digits(&r, 2);
    r.failed = r.failed || !take(&r, '-');
    int64_t day = digits(&r, 2);
    if (r.failed || !days_of(year, month, day, &days)) {
        return IPX_MALFORMED;
    }
    if (take(&r, 'T') || take(&r, 't') || take(&r, ' ')) {
        hours = digits(&r, 2);
        r.failed = r.failed || !take(&r, ':');
        minutes = digits(&r, 2);
        seconds = take(&r, ':') ? digits(&r, 2) : 0;
        us = take(&r, '.') ? fraction(&r) : 0;
    }
    int64_t offset_s = zone(&r, here);
    if (!reader_done(&r) || hours > 23 || minutes > 59 || seconds > 60) {
        return IPX_MALFORMED;
    }
    *ret_us =
        (days * DAY_S + hours * 3600 + minutes * 60 + seconds - offset_s) * (int64_t)US_PER_S + us;
    return IPX_OK;
}

static enum ipx_err parse_seconds(struct slice text, int64_t *ret_us)
{
    struct reader r = reader_of(text);
    int64_t v = 0, us = 0;
    while (reader_left(&r) > 0 && r.in.data[r.pos] != '.' && !r.failed) {
        v = v * 10 + digits(&r, 1);
        r.failed = r.failed || v > LATEST_US / (int64_t)US_PER_S;
    }
    us = take(&r, '.') ? fraction(&r) : 0;
    if (text.len == 0 || text.data[0] == '.' || !reader_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret_us = v * (int64_t)US_PER_S + us;
    return IPX_OK;
}

static enum ipx_err parse_ago(struct slice span, const struct when_here *here, int64_t *ret_us)
{
    struct label_scratch scratch;
    struct label_value v;
    if (label_value_parse(span, &scratch, &v) != IPX_OK || v.type != LABEL_NUMBER ||
        v.dim.bytes != 0 || v.dim.seconds != 1 || v.number < 0 ||
        v.number * 1e6 > (double)here->now_us) {
        return IPX_MALFORMED;
    }
    *ret_us = here->now_us - (int64_t)(v.number * 1e6);
    return IPX_OK;
}

enum ipx_err when_parse(struct slice text, const struct when_here *here, int64_t *ret_us)
{
    int64_t us = 0;
    enum ipx_err err;
    if (text.len > 0 && text.data[0] == '-') {
        err = parse_ago(slice_of(text.data + 1, text.len - 1), here, &us);
    } else if (text.len > 4 && text.data[4] == '-') {
        err = parse_date(text, here, &us);
    } else {
        err = parse_seconds(text, &us);
    }
    if (err != IPX_OK || us < 0 || us > LATEST_US) {
        return IPX_MALFORMED;
    }
    *ret_us = us;
    return IPX_OK;
}
