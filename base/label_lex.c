/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner of literals but numbers (language.md section 3). */
#include "base/label_core.h"

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

bool lex_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_ident(uint8_t c)
{
    return is_small(c) || lex_is_digit(c) || c == '_';
}

bool lex_is_joined(const struct lex *l)
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
    while (lex_is_digit(lex_byte(l, len)) ||
           (lex_byte(l, len) == '.' && lex_is_digit(lex_byte(l, len + 1)))) {
        len++;
    }
    return len;
}

bool lex_is_version(const struct lex *l)
{
    return lex_byte(l, 0) == 'v' && lex_is_digit(lex_byte(l, 1)) &&
           lex_name_len(l) <= version_len(l);
}

/* --- versions --- */

static bool scan_part(struct lex *l, uint32_t *ret)
{
    uint64_t v = 0;
    size_t start = l->pos;
    while (lex_is_digit(lex_byte(l, 0))) {
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
        is_more = lex_byte(l, 0) == '.' && lex_is_digit(lex_byte(l, 1));
    }
    if (lex_byte(l, 0) == '-' && !scan_tag(l, &v)) {
        return false;
    }
    if (lex_is_joined(l)) {
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
