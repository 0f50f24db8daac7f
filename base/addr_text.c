/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, by hand: the C library has these among its socket functions. */
#include "base/addr.h"

#include <stdio.h>

#define GROUPS 8 /* 16-bit groups of a v6 address */

static struct slice slice_from(struct slice s, size_t start, size_t end)
{
    return slice_of(s.data + start, end - start);
}

/* Position of `c` at or behind `start`, s.len if there is none. */
static size_t find_byte(struct slice s, size_t start, char c)
{
    while (start < s.len && s.data[start] != (uint8_t)c) {
        start++;
    }
    return start;
}

/* Decimal without sign, blanks or leading zeros. */
static bool parse_decimal(struct slice text, uint32_t max, uint32_t *ret)
{
    uint32_t v = 0;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        v = v * 10 + (uint32_t)(text.data[i] - '0');
    }
    *ret = v;
    return v <= max;
}

/* One to four hexadecimal digits. */
static bool parse_group(struct slice text, uint16_t *ret)
{
    uint32_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        uint8_t lower = c | 0x20;
        if (c >= '0' && c <= '9') {
            v = v * 16 + (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            v = v * 16 + (uint32_t)(lower - 'a' + 10);
        } else {
            return false;
        }
    }
    *ret = (uint16_t)v;
    return text.len >= 1 && text.len <= 4;
}

static bool parse_v4(struct slice text, uint8_t out[static 4])
{
    size_t pos = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t end = find_byte(text, pos, '.');
        uint32_t octet;
        bool is_last = end == text.len;
        if (is_last != (i == 3) || !parse_decimal(slice_from(text, pos, end), 255, &octet)) {
            return false;
        }
        out[i] = (uint8_t)octet;
        pos = end + 1;
    }
    return true;
}

/* Groups of a v6 address as they are written: n of them, `::` standing before group `gap`. */
struct v6_parts {
    uint16_t groups[GROUPS];
    size_t n;
    size_t gap; /* SIZE_MAX: no `::` */
};

static bool parse_v6_tail(struct slice text, struct v6_parts *parts)
{
    uint8_t v4[4];
    if (parts->n > GROUPS - 2 || !parse_v4(text, v4)) {
        return false;
    }
    parts->groups[parts->n++] = load_be16(v4);
    parts->groups[parts->n++] = load_be16(v4 + 2);
    return true;
}

/* Reads the groups from `pos` on, where one must stand if the text goes on. */
static bool parse_v6_parts(struct slice text, size_t pos, struct v6_parts *parts)
{
    while (pos < text.len) {
        size_t end = find_byte(text, pos, ':');
        struct slice part = slice_from(text, pos, end);
        if (end == text.len && find_byte(part, 0, '.') < part.len) {
            return parse_v6_tail(part, parts);
        }
        if (parts->n == GROUPS || !parse_group(part, &parts->groups[parts->n])) {
            return false;
        }
        parts->n++;
        if (end == text.len) {
            return true;
        }
        pos = end + 1;
        if (pos == text.len) {
            return false;
        }
        if (text.data[pos] == ':') {
            if (parts->gap != SIZE_MAX) {
                return false;
            }
            parts->gap = parts->n;
            pos++;
        }
    }
    return true;
}

static bool parse_v6(struct slice text, uint8_t out[static 16])
{
    struct v6_parts parts = {.gap = SIZE_MAX};
    size_t pos = 0;
    if (text.len >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        parts.gap = 0;
        pos = 2;
    }
    if (!parse_v6_parts(text, pos, &parts)) {
        return false;
    }
    bool has_gap = parts.gap != SIZE_MAX;
    if (has_gap ? parts.n == GROUPS : parts.n != GROUPS) {
        return false;
    }
    memset(out, 0, 16);
    for (size_t i = 0; i < parts.n; i++) {
        bool is_behind_gap = has_gap && i >= parts.gap;
        store_be16(out + 2 * (is_behind_gap ? i + GROUPS - parts.n : i), parts.groups[i]);
    }
    return true;
}

/* A v4 address written as mapped v6 becomes v4: one endpoint has one form. */
static bool parse_ip(struct slice text, struct addr *ret)
{
    static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (parse_v4(text, ret->ip)) {
        ret->family = ADDR_V4;
        return true;
    }
    if (!parse_v6(text, ret->ip)) {
        return false;
    }
    ret->family = ADDR_V6;
    if (memcmp(ret->ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        ret->family = ADDR_V4;
        memmove(ret->ip, ret->ip + 12, 4);
        memset(ret->ip + 4, 0, 12);
    }
    return true;
}

/* Cuts "[v6]", "[v6]:port", "v4:port" and a bare address into address and port (or none). */
static bool split_port(struct slice text, struct slice *ret_ip, struct slice *ret_port)
{
    *ret_port = SLICE_EMPTY;
    if (text.len > 0 && text.data[0] == '[') {
        size_t close = find_byte(text, 1, ']');
        if (close == text.len) {
            return false;
        }
        *ret_ip = slice_from(text, 1, close);
        if (close + 1 < text.len) {
            *ret_port = slice_from(text, close + 2, text.len);
        }
        return find_byte(*ret_ip, 0, ':') < ret_ip->len &&
               (close + 1 == text.len || (text.data[close + 1] == ':' && ret_port->len > 0));
    }
    size_t colon = find_byte(text, 0, ':');
    if (colon == text.len || find_byte(text, colon + 1, ':') < text.len) {
        *ret_ip = text; /* no colon, or those of a bare v6 address */
        return true;
    }
    *ret_ip = slice_from(text, 0, colon);
    *ret_port = slice_from(text, colon + 1, text.len);
    return ret_port->len > 0;
}

enum ipx_err addr_parse(struct slice text, uint16_t default_port, struct addr *ret)
{
    struct slice ip;
    struct slice port_text;
    uint32_t port = default_port;
    struct addr a;
    memset(&a, 0, sizeof(a));
    if (!split_port(text, &ip, &port_text) || !parse_ip(ip, &a) ||
        (port_text.len > 0 && !parse_decimal(port_text, UINT16_MAX, &port))) {
        return IPX_MALFORMED;
    }
    a.port = (uint16_t)port;
    memcpy(ret, &a, sizeof(a));
    return IPX_OK;
}

/* RFC 5952: the first of the longest runs of zero groups, two or more, is written `::`. */
static void find_gap(const uint16_t groups[static GROUPS], size_t *ret_start, size_t *ret_len)
{
    size_t run = 0;
    *ret_start = GROUPS;
    *ret_len = 1;
    for (size_t i = 0; i < GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > *ret_len) {
            *ret_len = run;
            *ret_start = i + 1 - run;
        }
    }
}

static size_t print(char *out, size_t pos, const char *format, unsigned v)
{
    int len = snprintf(out + pos, ADDR_TEXT_SIZE - pos, format, v);
    assert(len > 0 && (size_t)len < ADDR_TEXT_SIZE - pos);
    return pos + (size_t)len;
}

static void print_v6(const struct addr *a, char out[static ADDR_TEXT_SIZE])
{
    uint16_t groups[GROUPS];
    size_t gap_start;
    size_t gap_len;
    size_t pos = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        groups[i] = load_be16(a->ip + 2 * i);
    }
    find_gap(groups, &gap_start, &gap_len);
    out[pos++] = '[';
    for (size_t i = 0; i < GROUPS; i++) {
        if (i == gap_start) {
            out[pos++] = ':';
            out[pos++] = ':';
            i += gap_len - 1;
            continue;
        }
        bool is_first = i == 0 || i == gap_start + gap_len;
        pos = print(out, pos, is_first ? "%x" : ":%x", groups[i]);
    }
    (void)print(out, pos, "]:%u", a->port);
}

void addr_text(const struct addr *a, char out[static ADDR_TEXT_SIZE])
{
    switch (a->family) {
    case ADDR_V4: {
        int len = snprintf(out, ADDR_TEXT_SIZE, "%u.%u.%u.%u:%u", a->ip[0], a->ip[1], a->ip[2],
                           a->ip[3], a->port);
        assert(len > 0 && len < ADDR_TEXT_SIZE);
        break;
    }
    case ADDR_V6:
        print_v6(a, out);
        break;
    default:
        out[0] = '-';
        out[1] = '\0';
        break;
    }
}
