/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and their units: how they are read, and how they are printed so that they read the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/label_core.h"

#define NUMBER_DIGITS_MAX 1024  /* no source is longer */
#define NUMBER_PRECISION_MAX 17 /* digits that tell any two doubles apart */

/* value = digits * 10^decimal * factor; both steps are exact or round once */
struct unit {
    const char *name;
    int8_t bytes, seconds;
    int8_t decimal;
    double factor;
};

#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define PIB (1024 * TIB)

static const struct unit units[] = {
    {"B", 1, 0, 0, 1},
    {"kB", 1, 0, 3, 1},
    {"MB", 1, 0, 6, 1},
    {"GB", 1, 0, 9, 1},
    {"TB", 1, 0, 12, 1},
    {"PB", 1, 0, 15, 1},
    {"KiB", 1, 0, 0, KIB},
    {"MiB", 1, 0, 0, MIB},
    {"GiB", 1, 0, 0, GIB},
    {"TiB", 1, 0, 0, TIB},
    {"PiB", 1, 0, 0, PIB},
    {"B/s", 1, -1, 0, 1},
    {"kB/s", 1, -1, 3, 1},
    {"MB/s", 1, -1, 6, 1},
    {"GB/s", 1, -1, 9, 1},
    {"TB/s", 1, -1, 12, 1},
    {"PB/s", 1, -1, 15, 1},
    {"KiB/s", 1, -1, 0, KIB},
    {"MiB/s", 1, -1, 0, MIB},
    {"GiB/s", 1, -1, 0, GIB},
    {"TiB/s", 1, -1, 0, TIB},
    {"PiB/s", 1, -1, 0, PIB},
    {"bit/s", 1, -1, 0, 0.125},
    {"kbit/s", 1, -1, 3, 0.125},
    {"Mbit/s", 1, -1, 6, 0.125},
    {"Gbit/s", 1, -1, 9, 0.125},
    {"Tbit/s", 1, -1, 12, 0.125},
    {"Pbit/s", 1, -1, 15, 0.125},
    {"Hz", 0, -1, 0, 1},
    {"kHz", 0, -1, 3, 1},
    {"MHz", 0, -1, 6, 1},
    {"GHz", 0, -1, 9, 1},
    {"THz", 0, -1, 12, 1},
    {"PHz", 0, -1, 15, 1},
    {"s", 0, 1, 0, 1},
    {"ms", 0, 1, -3, 1},
    {"us", 0, 1, -6, 1},
    {"ns", 0, 1, -9, 1},
    {"min", 0, 1, 0, 60},
    {"h", 0, 1, 0, 3600},
    {"d", 0, 1, 0, 86400},
    {"", 0, 0, 0, 1},
};

/* --- numbers --- */

/* Reads digits "." digits into `out` without the point; returns false if there are too many.
 * `ret_scale` is how many of them stood behind the point. */
static bool scan_digits(struct lex *l, char *out, size_t out_size, size_t *ret_len, int *ret_scale)
{
    size_t len = 0;
    int scale = 0;
    bool has_point = false;
    while (lex_is_digit(lex_byte(l, 0)) ||
           (!has_point && lex_byte(l, 0) == '.' && lex_is_digit(lex_byte(l, 1)))) {
        if (lex_byte(l, 0) == '.') {
            has_point = true;
        } else {
            if (len >= out_size) {
                return false;
            }
            out[len++] = (char)lex_byte(l, 0);
            scale += has_point ? 1 : 0;
        }
        l->pos++;
    }
    *ret_len = len;
    *ret_scale = scale;
    return true;
}

/* The longest unit at the position; the one without a name fits everywhere. */
static const struct unit *unit_longest(const struct lex *l)
{
    const struct unit *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i].name);
        if (len <= l->in.len - l->pos && (best == NULL || len > best_len) &&
            (len == 0 || memcmp(l->in.data + l->pos, units[i].name, len) == 0)) {
            best = &units[i];
            best_len = len;
        }
    }
    return best;
}

/* The exponent is written behind integer digits, so that no locale's decimal point matters and
 * decimal units round once. */
static double number_of(char *digits, size_t len, int exponent, const struct unit *u)
{
    (void)snprintf(digits + len, 16, "e%d", exponent + u->decimal);
    return strtod(digits, NULL) * u->factor;
}

bool lex_number(struct lex *l, struct label_value *ret)
{
    char digits[NUMBER_DIGITS_MAX + 16];
    size_t start = l->pos, len = 0;
    int scale = 0;
    if (!scan_digits(l, digits, NUMBER_DIGITS_MAX, &len, &scale)) {
        return lex_fail(l, IPX_LIMIT, start, "a number with too many digits");
    }
    const struct unit *u = unit_longest(l);
    assert(len > 0 && u != NULL);
    l->pos += strlen(u->name);
    if (lex_is_joined(l)) {
        return lex_fail(l, IPX_MALFORMED, l->pos,
                        u->name[0] == 0 ? "not a unit"
                                        : "not a unit; divide by a label as `1MB / s`");
    }
    double x = number_of(digits, len, -scale, u);
    if (!label_number_is_valid(x)) {
        return lex_fail(l, IPX_MALFORMED, start, "a number too large");
    }
    *ret = (struct label_value){.type = LABEL_NUMBER, .number = x};
    ret->dim = (struct label_dim){.bytes = u->bytes, .seconds = u->seconds};
    return true;
}

struct spelling {
    char text[400]; /* 17 digits and as many zeros as a double can need */
    size_t len;
    const struct unit *unit;
};

/* Digits and a decimal exponent as plain text: 25e-1 -> 2.5. */
static size_t put_plain(char *out, const char *digits, size_t len, int exponent)
{
    size_t at = 0;
    int point = (int)len + exponent; /* digits before the point */
    if (point <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        for (int i = point; i < 0; i++) {
            out[at++] = '0';
        }
    }
    for (size_t i = 0; i < len; i++) {
        if ((int)i == point && i > 0) {
            out[at++] = '.';
        }
        out[at++] = digits[i];
    }
    for (int i = (int)len; i < point; i++) {
        out[at++] = '0';
    }
    return at;
}

/* Rounds to `precision` digits without trailing zeros; true if they read as `x` again. */
static bool round_trip(double x, const struct unit *u, int precision, struct spelling *ret)
{
    char scientific[40], digits[40];
    double scaled = x / u->factor;
    if (!__builtin_isfinite(scaled)) {
        return false;
    }
    (void)snprintf(scientific, sizeof(scientific), "%.*e", precision - 1, scaled);
    size_t len = 0;
    const char *p = scientific;
    for (; *p != 'e'; p++) {
        if (lex_is_digit((uint8_t)*p)) {
            digits[len++] = *p;
        }
    }
    int exponent = (int)strtod(p + 1, NULL) - (int)len + 1 - u->decimal;
    while (len > 1 && digits[len - 1] == '0') {
        len--;
        exponent++;
    }
    if (number_of(digits, len, exponent, u) != x) {
        return false;
    }
    ret->unit = u;
    ret->len = put_plain(ret->text, digits, len, exponent);
    return true;
}

/* The fewest characters before the unit win, then the fewest in all: 8MiB, not 8.388608MB; or,
 * with `is_shortest`, the fewest in all. */
static bool is_better(const struct spelling *a, const struct spelling *b, bool is_shortest)
{
    if (b->unit == NULL) {
        return true;
    }
    size_t a_all = a->len + strlen(a->unit->name), b_all = b->len + strlen(b->unit->name);
    if (is_shortest || a->len == b->len) {
        return a_all < b_all;
    }
    return a->len < b->len;
}

static void spell_with(double x, const struct unit *u, bool is_shortest, struct spelling *best)
{
    struct spelling s;
    for (int precision = 1; precision <= NUMBER_PRECISION_MAX; precision++) {
        size_t len_min = (size_t)precision + (is_shortest ? strlen(u->name) : 0);
        size_t len_best =
            best->len + (is_shortest && best->unit != NULL ? strlen(best->unit->name) : 0);
        if (best->unit != NULL && len_min > len_best) {
            return;
        }
        if (round_trip(x, u, precision, &s)) {
            if (is_better(&s, best, is_shortest)) {
                *best = s;
            }
            return;
        }
    }
}

/* A dimension without a unit comes only from arithmetic: printed as the product that gives it. */
static void put_factors(struct writer *w, int n, const char *times, const char *by)
{
    for (int i = 0; i < (n < 0 ? -n : n); i++) {
        writer_bytes(w, slice_text(n < 0 ? by : times));
    }
}

void label_number_print(double x, struct label_dim dim, bool is_shortest, struct writer *w)
{
    bool has_unit = label_dim_has_unit(dim);
    struct label_dim wanted = has_unit ? dim : (struct label_dim){0, 0};
    struct spelling best = {.len = 0, .unit = NULL};
    double size = x < 0 ? -x : x;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct label_dim d = {units[i].bytes, units[i].seconds};
        if (label_dim_equal(d, wanted)) {
            spell_with(size, &units[i], is_shortest, &best);
        }
    }
    assert(best.unit != NULL); /* the unit of factor 1 always reads back */
    if (x < 0) {
        writer_u8(w, '-');
    }
    writer_bytes(w, slice_of(best.text, best.len));
    writer_bytes(w, slice_text(best.unit->name));
    if (!has_unit) {
        put_factors(w, dim.bytes, " * 1B", " / 1B");
        put_factors(w, dim.seconds, " * 1s", " / 1s");
    }
}
