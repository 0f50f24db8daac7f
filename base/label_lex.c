/* SPDX-License-Identifier: Apache-2.0 */
/* Literals of the language (language.md section 3): the scanner, and how numbers are printed. */
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
#define UNITS_OF_BYTES(X, suffix, seconds)                                                         \
    X("B" suffix, 1, seconds, 0, 1)                                                                \
    X("kB" suffix, 1, seconds, 3, 1)                                                               \
    X("MB" suffix, 1, seconds, 6, 1)                                                               \
    X("GB" suffix, 1, seconds, 9, 1)                                                               \
    X("TB" suffix, 1, seconds, 12, 1)                                                              \
    X("PB" suffix, 1, seconds, 15, 1)                                                              \
    X("KiB" suffix, 1, seconds, 0, KIB)                                                            \
    X("MiB" suffix, 1, seconds, 0, KIB *KIB)                                                       \
    X("GiB" suffix, 1, seconds, 0, KIB *KIB *KIB)                                                  \
    X("TiB" suffix, 1, seconds, 0, KIB *KIB *KIB *KIB)                                             \
    X("PiB" suffix, 1, seconds, 0, KIB *KIB *KIB *KIB *KIB)

static const struct unit units[] = {
#define X(name, bytes, seconds, decimal, factor) {name, bytes, seconds, decimal, factor},
    UNITS_OF_BYTES(X, "", 0) UNITS_OF_BYTES(X, "/s", -1) X("bit/s", 1, -1, 0, 0.125)
        X("kbit/s", 1, -1, 3, 0.125) X("Mbit/s", 1, -1, 6, 0.125) X("Gbit/s", 1, -1, 9, 0.125)
            X("Tbit/s", 1, -1, 12, 0.125) X("Pbit/s", 1, -1, 15, 0.125) X("Hz", 0, -1, 0, 1)
                X("kHz", 0, -1, 3, 1) X("MHz", 0, -1, 6, 1) X("GHz", 0, -1, 9, 1)
                    X("THz", 0, -1, 12, 1) X("PHz", 0, -1, 15, 1) X("s", 0, 1, 0, 1)
                        X("ms", 0, 1, -3, 1) X("us", 0, 1, -6, 1) X("ns", 0, 1, -9, 1)
                            X("min", 0, 1, 0, 60) X("h", 0, 1, 0, 3600) X("d", 0, 1, 0, 86400)
                                X("", 0, 0, 0, 1)
#undef X
};

/* --- scanner --- */

struct lex lex_of(struct slice in)
{
    return (struct lex){.in = in};
}

bool lex_fail(struct lex *l, enum ipx_err err, size_t pos, const char *message)
{
    if (l->err == IPX_OK) {
        l->err = err;
        l->error_pos = pos;
        l->message = message;
    }
    return false;
}

uint8_t lex_byte(const struct lex *l, size_t ahead)
{
    return ahead < l->in.len - l->pos ? l->in.data[l->pos + ahead] : 0;
}

void lex_skip_space(struct lex *l)
{
    while (lex_byte(l, 0) == ' ' || lex_byte(l, 0) == '\t' || lex_byte(l, 0) == '\n' ||
           lex_byte(l, 0) == '\r') {
        l->pos++;
    }
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_ident(uint8_t c)
{
    return is_small(c) || is_digit(c) || c == '_';
}

/* What may not follow a literal at once: `4GB2`, `10mins`, `1e5`, `1.2.3`. */
static bool is_joined(const struct lex *l)
{
    uint8_t c = lex_byte(l, 0);
    return is_ident(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '"';
}

static size_t ident_len_at(const struct lex *l, size_t ahead)
{
    size_t len = 0;
    if (is_small(lex_byte(l, ahead))) {
        while (is_ident(lex_byte(l, ahead + len))) {
            len++;
        }
    }
    return len;
}

size_t lex_ident_len(const struct lex *l)
{
    return ident_len_at(l, 0);
}

size_t lex_name_len(const struct lex *l)
{
    size_t len = ident_len_at(l, 0);
    while (len > 0 && lex_byte(l, len) == '.') {
        size_t part = ident_len_at(l, len + 1);
        if (part == 0) {
            break;
        }
        len += 1 + part;
    }
    return len;
}

/* The numbers and dots of a version at the position, without its tag. */
static size_t version_len(const struct lex *l)
{
    size_t len = 1;
    while (is_digit(lex_byte(l, len)) ||
           (lex_byte(l, len) == '.' && is_digit(lex_byte(l, len + 1)))) {
        len++;
    }
    return len;
}

bool lex_is_version(const struct lex *l)
{
    return lex_byte(l, 0) == 'v' && is_digit(lex_byte(l, 1)) && lex_name_len(l) <= version_len(l);
}

/* --- numbers --- */

/* Reads digits "." digits into `out` without the point; returns false if there are too many.
 * `ret_scale` is how many of them stood behind the point. */
static bool scan_digits(struct lex *l, char *out, size_t out_size, size_t *ret_len, int *ret_scale)
{
    size_t len = 0;
    int scale = 0;
    bool has_point = false;
    while (is_digit(lex_byte(l, 0)) ||
           (!has_point && lex_byte(l, 0) == '.' && is_digit(lex_byte(l, 1)))) {
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
    if (is_joined(l)) {
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
        if (is_digit((uint8_t)*p)) {
            digits[len++] = *p;
        }
    }
    int exponent = (int)strtol(p + 1, NULL, 10) - (int)len + 1 - u->decimal;
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

/* --- versions --- */

static bool scan_part(struct lex *l, uint32_t *ret)
{
    uint64_t v = 0;
    size_t start = l->pos;
    while (is_digit(lex_byte(l, 0))) {
        v = v * 10 + (uint64_t)(lex_byte(l, 0) - '0');
        if (v > UINT32_MAX) {
            return lex_fail(l, IPX_LIMIT, start, "a version part over 4294967295");
        }
        l->pos++;
    }
    *ret = (uint32_t)v;
    return true;
}

/* At a `-`: the tag behind it, if there is one. */
static bool scan_tag(struct lex *l, struct label_value *v)
{
    size_t start = l->pos + 1;
    size_t left = l->in.len - IPX_MIN(start, l->in.len);
    size_t len = left == 0 ? 0 : label_tag_len(slice_of(l->in.data + start, left));
    if (len > LABEL_TAG_MAX) {
        return lex_fail(l, IPX_LIMIT, start, "a version tag over 24 bytes");
    }
    if (len > 0) {
        v->text = slice_of(l->in.data + start, len);
        l->pos = start + len;
    }
    return true;
}

bool lex_version(struct lex *l, struct label_value *ret)
{
    struct label_value v = {.type = LABEL_VERSION};
    bool is_more = true;
    while (is_more) {
        if (v.version_parts == LABEL_VERSION_PARTS) {
            return lex_fail(l, IPX_LIMIT, l->pos, "a version with more than 4 parts");
        }
        l->pos++; /* `v` or a dot */
        if (!scan_part(l, &v.version[v.version_parts])) {
            return false;
        }
        v.version_parts++;
        is_more = lex_byte(l, 0) == '.' && is_digit(lex_byte(l, 1));
    }
    if (lex_byte(l, 0) == '-' && !scan_tag(l, &v)) {
        return false;
    }
    if (is_joined(l)) {
        return lex_fail(l, IPX_MALFORMED, l->pos, "not a version");
    }
    *ret = v;
    return true;
}

/* --- strings and sets --- */

/* Copies a quoted string into the pool; the position is behind its closing quote. */
static bool scan_quoted(struct lex *l, struct lex_pool *pool, struct slice *ret)
{
    size_t start = l->pos, first = pool->n_bytes;
    l->pos++;
    while (lex_byte(l, 0) != '"') {
        if (lex_byte(l, 0) == '\\') {
            l->pos++;
            if (lex_byte(l, 0) != '"' && lex_byte(l, 0) != '\\') {
                return lex_fail(l, IPX_MALFORMED, l->pos - 1, "only \\\" and \\\\ may be escaped");
            }
        }
        if (l->pos >= l->in.len) {
            return lex_fail(l, IPX_MALFORMED, start, "a string without its closing quote");
        }
        if (pool->n_bytes == pool->n_bytes_max || pool->n_bytes - first == LABEL_STRING_MAX) {
            return lex_fail(l, IPX_LIMIT, start, "a string over 256 bytes");
        }
        pool->bytes[pool->n_bytes++] = lex_byte(l, 0);
        l->pos++;
    }
    l->pos++;
    *ret = slice_of(pool->bytes + first, pool->n_bytes - first);
    if (!label_text_is_valid(*ret)) {
        return lex_fail(l, IPX_MALFORMED, start, "a string with control characters or not UTF-8");
    }
    return true;
}

bool lex_string(struct lex *l, struct lex_pool *pool, struct label_value *ret)
{
    struct label_value v = {.type = LABEL_STRING};
    if (!scan_quoted(l, pool, &v.text)) {
        return false;
    }
    *ret = v;
    return true;
}

static bool scan_members(struct lex *l, struct lex_pool *pool, size_t start, size_t *ret_n)
{
    for (size_t n = 0;; n++) {
        lex_skip_space(l);
        if (lex_byte(l, 0) == ']' && n == 0) {
            *ret_n = 0;
            return true;
        }
        if (lex_byte(l, 0) != '"') {
            return lex_fail(l, IPX_MALFORMED, l->pos, "a set holds strings: [\"a\", \"b\"]");
        }
        if (n == LABEL_SET_MAX || pool->n_strings + n == pool->n_strings_max) {
            return lex_fail(l, IPX_LIMIT, l->pos, "a set of more than 64 strings");
        }
        if (!scan_quoted(l, pool, &pool->strings[start + n])) {
            return false;
        }
        lex_skip_space(l);
        if (lex_byte(l, 0) == ']') {
            *ret_n = n + 1;
            return true;
        }
        if (lex_byte(l, 0) != ',') {
            return lex_fail(l, IPX_MALFORMED, l->pos, "`,` or `]` is missing");
        }
        l->pos++;
    }
}

bool lex_set(struct lex *l, struct lex_pool *pool, struct label_value *ret)
{
    size_t first = pool->n_strings, n = 0;
    l->pos++;
    if (!scan_members(l, pool, first, &n)) {
        return false;
    }
    l->pos++;
    n = label_set_sort(pool->strings + first, n);
    pool->n_strings += n;
    *ret = (struct label_value){.type = LABEL_SET, .set = pool->strings + first};
    ret->n_set = (uint16_t)n;
    return true;
}
