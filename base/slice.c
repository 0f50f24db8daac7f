/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

struct slice slice_text(const char *text)
{
    return slice_of(text, strlen(text));
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t shared = IPX_MIN(a.len, b.len);
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0) {
        return order < 0 ? -1 : 1;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_to_text(struct slice s, char *out, size_t out_size)
{
    assert(out_size > 0);
    bool fits = s.len < out_size && (s.len == 0 || memchr(s.data, '\0', s.len) == NULL);
    size_t len = fits ? s.len : 0;
    if (len > 0) {
        memcpy(out, s.data, len);
    }
    out[len] = '\0';
    return fits;
}

/* Length of the UTF-8 sequence at p, 0 if there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence_len(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t len;
    if (lead < 0x80) {
        return 1;
    } else if (lead >= 0xc2 && lead <= 0xdf) {
        len = 2;
    } else if ((lead & 0xf0) == 0xe0) {
        len = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;  /* not longer than needed */
        high = lead == 0xed ? 0x9f : 0xbf; /* no surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        len = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf; /* not beyond U+10FFFF */
    } else {
        return 0;
    }
    if (len > left || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool slice_is_utf8(struct slice s)
{
    for (size_t pos = 0; pos < s.len;) {
        size_t len = utf8_sequence_len(s.data + pos, s.len - pos);
        if (len == 0) {
            return false;
        }
        pos += len;
    }
    return true;
}

struct reader reader_of(struct slice in)
{
    return (struct reader){.in = in};
}

size_t reader_left(const struct reader *r)
{
    assert(r->pos <= r->in.len);
    return r->failed ? 0 : r->in.len - r->pos;
}

struct slice reader_bytes(struct reader *r, size_t len)
{
    if (r->failed || len > r->in.len - r->pos) {
        r->failed = true;
        return SLICE_EMPTY;
    }
    if (len == 0) {
        return SLICE_EMPTY;
    }
    struct slice s = slice_of(r->in.data + r->pos, len);
    r->pos += len;
    return s;
}

void reader_copy(struct reader *r, void *out, size_t len)
{
    struct slice s = reader_bytes(r, len);
    if (s.len == len && len > 0) {
        memcpy(out, s.data, len);
    } else if (len > 0) {
        memset(out, 0, len);
    }
}

uint8_t reader_u8(struct reader *r)
{
    struct slice s = reader_bytes(r, 1);
    return s.len == 1 ? s.data[0] : 0;
}

uint16_t reader_u16(struct reader *r)
{
    struct slice s = reader_bytes(r, 2);
    return s.len == 2 ? load_be16(s.data) : 0;
}

uint32_t reader_u24(struct reader *r)
{
    struct slice s = reader_bytes(r, 3);
    return s.len == 3 ? (uint32_t)s.data[0] << 16 | load_be16(s.data + 1) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    struct slice s = reader_bytes(r, 4);
    return s.len == 4 ? load_be32(s.data) : 0;
}

uint64_t reader_u64(struct reader *r)
{
    struct slice s = reader_bytes(r, 8);
    return s.len == 8 ? load_be64(s.data) : 0;
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->pos == r->in.len;
}

struct writer writer_of(void *data, size_t cap)
{
    return (struct writer){.data = data, .cap = cap};
}

uint8_t *writer_reserve(struct writer *w, size_t len)
{
    assert(w->len <= w->cap);
    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->len;
    w->len += len;
    return p;
}

void writer_bytes(struct writer *w, struct slice s)
{
    if (s.len == 0) {
        return;
    }
    uint8_t *p = writer_reserve(w, s.len);
    if (p != NULL) {
        memcpy(p, s.data, s.len);
    }
}

void writer_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = writer_reserve(w, 1);
    if (p != NULL) {
        p[0] = v;
    }
}

void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = writer_reserve(w, 2);
    if (p != NULL) {
        store_be16(p, v);
    }
}

void writer_u24(struct writer *w, uint32_t v)
{
    assert(v <= 0xffffff);
    uint8_t *p = writer_reserve(w, 3);
    if (p != NULL) {
        p[0] = (uint8_t)(v >> 16);
        store_be16(p + 1, (uint16_t)v);
    }
}

void writer_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = writer_reserve(w, 4);
    if (p != NULL) {
        store_be32(p, v);
    }
}

void writer_u64(struct writer *w, uint64_t v)
{
    uint8_t *p = writer_reserve(w, 8);
    if (p != NULL) {
        store_be64(p, v);
    }
}

struct slice writer_slice(const struct writer *w)
{
    return w->failed ? SLICE_EMPTY : slice_of(w->data, w->len);
}
