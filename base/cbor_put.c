/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor.h"

#include <math.h>

/* Major types of RFC 8949 section 3.1, in the upper three bits. */
enum major {
    MAJOR_UINT = 0x00,
    MAJOR_NINT = 0x20,
    MAJOR_BYTES = 0x40,
    MAJOR_TEXT = 0x60,
    MAJOR_ARRAY = 0x80,
    MAJOR_MAP = 0xa0
};

static void put_head(struct writer *w, enum major major, uint64_t value)
{
    if (value < 24) {
        writer_u8(w, (uint8_t)(major | value));
    } else if (value <= UINT8_MAX) {
        writer_u8(w, (uint8_t)(major | 24));
        writer_u8(w, (uint8_t)value);
    } else if (value <= UINT16_MAX) {
        writer_u8(w, (uint8_t)(major | 25));
        writer_u16(w, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        writer_u8(w, (uint8_t)(major | 26));
        writer_u32(w, (uint32_t)value);
    } else {
        writer_u8(w, (uint8_t)(major | 27));
        writer_u64(w, value);
    }
}

void cbor_put_u64(struct writer *w, uint64_t v)
{
    put_head(w, MAJOR_UINT, v);
}

void cbor_put_i64(struct writer *w, int64_t v)
{
    if (v < 0) {
        put_head(w, MAJOR_NINT, (uint64_t)(-1 - v));
    } else {
        put_head(w, MAJOR_UINT, (uint64_t)v);
    }
}

void cbor_put_bool(struct writer *w, bool v)
{
    writer_u8(w, v ? 0xf5 : 0xf4);
}

void cbor_put_null(struct writer *w)
{
    writer_u8(w, 0xf6);
}

void cbor_put_double(struct writer *w, double v)
{
    uint64_t bits;
    static_assert(sizeof(bits) == sizeof(v), "IEEE 754 binary64");
    if (!isfinite(v)) {
        w->failed = true;
        return;
    }
    v = v == 0 ? 0 : v; /* -0 becomes 0 */
    memcpy(&bits, &v, sizeof(bits));
    writer_u8(w, 0xfb);
    writer_u64(w, bits);
}

void cbor_put_bytes(struct writer *w, struct slice s)
{
    put_head(w, MAJOR_BYTES, s.len);
    writer_bytes(w, s);
}

void cbor_put_text(struct writer *w, struct slice s)
{
    if (!slice_is_utf8(s)) {
        w->failed = true;
        return;
    }
    put_head(w, MAJOR_TEXT, s.len);
    writer_bytes(w, s);
}

void cbor_put_array(struct writer *w, uint64_t n)
{
    put_head(w, MAJOR_ARRAY, n);
}

void cbor_put_map(struct writer *w, uint64_t n_pairs)
{
    put_head(w, MAJOR_MAP, n_pairs);
}

void cbor_put_raw(struct writer *w, struct slice item)
{
    writer_bytes(w, item);
}
