/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor_core.h"

#include <math.h>

/* The only file that sees libcbor, which has an enum of the same name. */
#define cbor_type libcbor_type
#include <cbor/streaming.h>
#undef cbor_type

/* libcbor has one callback for each width; the width is checked by head_is_shortest(). */
#define INTEGER_CALLBACK(name_, integer_, type_)                                                   \
    static void name_(void *user, integer_ v)                                                      \
    {                                                                                              \
        *(struct cbor_token *)user = (struct cbor_token){.type = (type_), .value = v};             \
    }
INTEGER_CALLBACK(on_uint8, uint8_t, CBOR_UINT)
INTEGER_CALLBACK(on_uint16, uint16_t, CBOR_UINT)
INTEGER_CALLBACK(on_uint32, uint32_t, CBOR_UINT)
INTEGER_CALLBACK(on_uint64, uint64_t, CBOR_UINT)
INTEGER_CALLBACK(on_nint8, uint8_t, CBOR_NINT)
INTEGER_CALLBACK(on_nint16, uint16_t, CBOR_NINT)
INTEGER_CALLBACK(on_nint32, uint32_t, CBOR_NINT)
INTEGER_CALLBACK(on_nint64, uint64_t, CBOR_NINT)

static void on_bytes(void *user, cbor_data data, size_t len)
{
    *(struct cbor_token *)user =
        (struct cbor_token){.type = CBOR_BYTES, .value = len, .data = data};
}
static void on_text(void *user, cbor_data data, size_t len)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_TEXT, .value = len, .data = data};
}
static void on_array(void *user, size_t n)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_ARRAY, .value = n};
}
static void on_map(void *user, size_t n)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_MAP, .value = n};
}
static void on_double(void *user, double v)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_DOUBLE, .number = v};
}
static void on_bool(void *user, bool v)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_BOOL, .boolean = v};
}
static void on_null(void *user)
{
    *(struct cbor_token *)user = (struct cbor_token){.type = CBOR_NULL};
}

/* What the profile has no place for leaves the token at CBOR_END. */
static void on_refused(void *user)
{
    (void)user;
}
static void on_refused_tag(void *user, uint64_t v)
{
    (void)user;
    (void)v;
}
static void on_refused_float(void *user, float v)
{
    (void)user;
    (void)v;
}

static const struct cbor_callbacks token_callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint64 = on_nint64,
    .negint32 = on_nint32,
    .negint16 = on_nint16,
    .negint8 = on_nint8,
    .byte_string_start = on_refused,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_refused,
    .indef_array_start = on_refused,
    .array_start = on_array,
    .indef_map_start = on_refused,
    .map_start = on_map,
    .tag = on_refused_tag,
    .float2 = on_refused_float,
    .float4 = on_refused_float,
    .float8 = on_double,
    .undefined = on_refused,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_refused,
};

enum cbor_type cbor_head_type(uint8_t first)
{
    static const enum cbor_type majors[] = {CBOR_UINT, CBOR_NINT,  CBOR_BYTES,
                                            CBOR_TEXT, CBOR_ARRAY, CBOR_MAP};
    unsigned major = first >> 5;
    if (major < ARRAY_LEN(majors)) {
        return (first & 0x1f) <= 27 ? majors[major] : CBOR_END;
    }
    switch (first) {
    case 0xf4:
    case 0xf5:
        return CBOR_BOOL;
    case 0xf6:
        return CBOR_NULL;
    case 0xfb:
        return CBOR_DOUBLE;
    default:
        return CBOR_END;
    }
}

/* RFC 8949 section 4.2.1: the argument of a head is as short as it can be. */
static bool head_is_shortest(uint8_t first, uint64_t value)
{
    switch (first & 0x1f) {
    case 24:
        return value >= 24;
    case 25:
        return value > UINT8_MAX;
    case 26:
        return value > UINT16_MAX;
    case 27:
        return value > UINT32_MAX;
    default:
        return true;
    }
}

/* What libcbor does not check. `left` = bytes behind the head: an item has at least one each. */
static bool token_is_allowed(const struct cbor_token *t, uint8_t first, size_t left)
{
    switch (t->type) {
    case CBOR_UINT:
    case CBOR_NINT:
    case CBOR_BYTES:
        return head_is_shortest(first, t->value);
    case CBOR_TEXT:
        return head_is_shortest(first, t->value) &&
               slice_is_utf8(slice_of(t->data, (size_t)t->value));
    case CBOR_ARRAY:
        return head_is_shortest(first, t->value) && t->value <= left;
    case CBOR_MAP:
        return head_is_shortest(first, t->value) && t->value <= left / 2;
    case CBOR_DOUBLE:
        return isfinite(t->number) && !(t->number == 0 && signbit(t->number));
    case CBOR_BOOL:
    case CBOR_NULL:
        return true;
    case CBOR_END:
    default:
        return false;
    }
}

bool cbor_token_read(struct cbor_reader *r, struct cbor_token *t)
{
    t->type = CBOR_END;
    if (r->failed || r->pos >= r->in.len) {
        r->failed = true;
        return false;
    }
    const uint8_t *p = r->in.data + r->pos;
    size_t left = r->in.len - r->pos;
    enum cbor_type type = cbor_head_type(p[0]);
    if (type != CBOR_END) {
        struct cbor_decoder_result result = cbor_stream_decode(p, left, &token_callbacks, t);
        if (result.status == CBOR_DECODER_FINISHED && result.read <= left && t->type == type &&
            token_is_allowed(t, p[0], left - result.read)) {
            r->pos += result.read;
            return true;
        }
    }
    r->failed = true;
    return false;
}
