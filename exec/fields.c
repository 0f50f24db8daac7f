/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/fields.h"

#define MESSAGE_SIZE_MAX 512 /* of the structs, not of what they point to */

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static uint64_t integer_get(const struct field *f, const uint8_t *at)
{
    uint32_t v32;
    uint64_t v64;
    if (f->type == FIELD_U8) {
        return *at;
    }
    if (f->type == FIELD_U32) {
        memcpy(&v32, at, sizeof(v32));
        return v32;
    }
    memcpy(&v64, at, sizeof(v64));
    return v64;
}

static bool field_is_empty(const struct field *f, const uint8_t *message)
{
    const uint8_t *at = message + f->offset;
    switch (f->type) {
    case FIELD_U8:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_I64:
        return integer_get(f, at) == 0;
    case FIELD_BOOL:
        return !*(const bool *)at;
    case FIELD_BYTES:
    case FIELD_TEXT:
    case FIELD_ITEMS:
    case FIELD_PAIRS:
        return ((const struct slice *)(const void *)at)->len == 0;
    case FIELD_FIXED:
        return is_zero(at, (size_t)f->max);
    case FIELD_COUNTS:
        return is_zero(at, (size_t)f->max * sizeof(uint32_t));
    case FIELD_LIST:
        return ((const struct exec_list *)(const void *)at)->n == 0;
    }
    return true;
}

static void field_encode(const struct field *f, const uint8_t *message, struct writer *w)
{
    const uint8_t *at = message + f->offset;
    const struct slice *s = (const void *)at;
    uint32_t n;
    int64_t i64;
    switch (f->type) {
    case FIELD_U8:
    case FIELD_U32:
    case FIELD_U64:
        cbor_put_u64(w, integer_get(f, at));
        break;
    case FIELD_I64:
        memcpy(&i64, at, sizeof(i64));
        cbor_put_i64(w, i64);
        break;
    case FIELD_BOOL:
        cbor_put_bool(w, *(const bool *)at);
        break;
    case FIELD_BYTES:
        cbor_put_bytes(w, *s);
        break;
    case FIELD_TEXT:
        cbor_put_text(w, *s);
        break;
    case FIELD_FIXED:
        cbor_put_bytes(w, slice_of(at, (size_t)f->max));
        break;
    case FIELD_LIST:
        exec_list_write(w, (const void *)at);
        break;
    case FIELD_ITEMS:
    case FIELD_PAIRS:
        memcpy(&n, message + f->offset_n, sizeof(n));
        cbor_put_array(w, f->type == FIELD_PAIRS ? (uint64_t)n * 2 : n);
        cbor_put_raw(w, *s);
        break;
    case FIELD_COUNTS:
        cbor_put_array(w, f->max);
        for (size_t i = 0; i < f->max; i++) {
            memcpy(&n, at + i * sizeof(n), sizeof(n));
            cbor_put_u64(w, n);
        }
        break;
    }
}

void fields_encode(const struct fields *f, const void *message, struct writer *w)
{
    uint64_t n = 0;
    for (uint8_t i = 0; i < f->n; i++) {
        n += f->list[i].is_needed || !field_is_empty(&f->list[i], message);
    }
    cbor_put_map(w, n);
    for (uint8_t i = 0; i < f->n; i++) {
        if (f->list[i].is_needed || !field_is_empty(&f->list[i], message)) {
            cbor_put_u64(w, f->list[i].key);
            field_encode(&f->list[i], message, w);
        }
    }
}

static void integer_read(const struct field *f, struct cbor_reader *r, uint8_t *at)
{
    uint64_t v = cbor_uint_max(r, f->max);
    if (v < f->min) {
        r->failed = true;
    }
    uint32_t v32 = (uint32_t)v;
    if (f->type == FIELD_U8) {
        *at = (uint8_t)v;
    } else if (f->type == FIELD_U32) {
        memcpy(at, &v32, sizeof(v32));
    } else {
        memcpy(at, &v, sizeof(v));
    }
}

/* Items are checked here once and for all: who walks them later needs not ask again. */
/* NOLINTNEXTLINE(misc-no-recursion) as deep as the tables of this program nest */
static void items_read(const struct field *f, struct cbor_reader *r, uint8_t *message)
{
    union {
        uint8_t bytes[MESSAGE_SIZE_MAX];
        max_align_t align;
    } scratch;
    uint64_t n = cbor_array_begin(r, f->max * (f->type == FIELD_PAIRS ? 2 : 1));
    size_t start = r->pos;
    if (f->type == FIELD_PAIRS && n % 2 != 0) {
        r->failed = true;
    }
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        if (f->type == FIELD_PAIRS) {
            cbor_uint_max(r, UINT32_MAX);
        } else {
            fields_read(f->items, r, scratch.bytes);
        }
    }
    cbor_array_end(r);
    if (!r->failed) {
        uint32_t count = (uint32_t)(f->type == FIELD_PAIRS ? n / 2 : n);
        struct slice raw = slice_of(r->in.data + start, r->pos - start);
        memcpy(message + f->offset, &raw, sizeof(raw));
        memcpy(message + f->offset_n, &count, sizeof(count));
    }
}

static void counts_read(const struct field *f, struct cbor_reader *r, uint8_t *at)
{
    if (cbor_array_begin(r, f->max) != f->max) {
        r->failed = true;
    }
    for (size_t i = 0; i < f->max && !r->failed; i++) {
        uint32_t v = (uint32_t)cbor_uint_max(r, UINT32_MAX);
        memcpy(at + i * sizeof(v), &v, sizeof(v));
    }
    cbor_array_end(r);
}

/* NOLINTNEXTLINE(misc-no-recursion) as deep as the tables of this program nest */
static void field_read(const struct field *f, struct cbor_reader *r, uint8_t *message)
{
    uint8_t *at = message + f->offset;
    struct slice s;
    struct exec_list list;
    int64_t i64;
    switch (f->type) {
    case FIELD_U8:
    case FIELD_U32:
    case FIELD_U64:
        integer_read(f, r, at);
        break;
    case FIELD_I64:
        i64 = cbor_i64(r);
        memcpy(at, &i64, sizeof(i64));
        break;
    case FIELD_BOOL:
        *(bool *)at = cbor_bool(r);
        break;
    case FIELD_BYTES:
    case FIELD_TEXT:
        s = f->type == FIELD_TEXT ? cbor_text(r, (size_t)f->max) : cbor_bytes(r, (size_t)f->max);
        memcpy(at, &s, sizeof(s));
        break;
    case FIELD_FIXED:
        cbor_bytes_fixed(r, at, (size_t)f->max);
        break;
    case FIELD_LIST:
        list = exec_list_read(r, (uint32_t)f->max, f->bytes_max);
        memcpy(at, &list, sizeof(list));
        break;
    case FIELD_ITEMS:
    case FIELD_PAIRS:
        items_read(f, r, message);
        break;
    case FIELD_COUNTS:
        counts_read(f, r, at);
        break;
    }
}

/* How much of the message struct the table covers. */
static size_t field_end(const struct field *f)
{
    switch (f->type) {
    case FIELD_U8:
    case FIELD_BOOL:
        return (size_t)f->offset + 1;
    case FIELD_U32:
        return (size_t)f->offset + sizeof(uint32_t);
    case FIELD_U64:
    case FIELD_I64:
        return (size_t)f->offset + sizeof(uint64_t);
    case FIELD_BYTES:
    case FIELD_TEXT:
        return (size_t)f->offset + sizeof(struct slice);
    case FIELD_FIXED:
        return (size_t)f->offset + (size_t)f->max;
    case FIELD_COUNTS:
        return (size_t)f->offset + (size_t)f->max * sizeof(uint32_t);
    case FIELD_LIST:
        return (size_t)f->offset + sizeof(struct exec_list);
    case FIELD_ITEMS:
    case FIELD_PAIRS:
        return IPX_MAX((size_t)f->offset + sizeof(struct slice),
                       (size_t)f->offset_n + sizeof(uint32_t));
    }
    return 0;
}

static void message_clear(const struct fields *f, uint8_t *message)
{
    size_t end = 0;
    for (uint8_t i = 0; i < f->n; i++) {
        end = IPX_MAX(end, field_end(&f->list[i]));
    }
    assert(end <= MESSAGE_SIZE_MAX);
    memset(message, 0, end);
}

/* NOLINTNEXTLINE(misc-no-recursion) as deep as the tables of this program nest */
void fields_read(const struct fields *f, struct cbor_reader *r, void *message)
{
    uint64_t key;
    uint8_t next = 0; /* fields before this one are read or left out */
    message_clear(f, message);
    cbor_map_begin(r);
    while (cbor_map_next(r, &key)) {
        while (next < f->n && f->list[next].key < key) {
            r->failed = r->failed || f->list[next].is_needed;
            next++;
        }
        if (next < f->n && f->list[next].key == key) {
            field_read(&f->list[next], r, message);
            next++;
        } else {
            cbor_skip_unknown(r, key);
        }
    }
    for (; next < f->n; next++) {
        r->failed = r->failed || f->list[next].is_needed;
    }
}

enum ipx_err fields_decode(const struct fields *f, struct slice in, void *message, size_t size)
{
    union {
        uint8_t bytes[MESSAGE_SIZE_MAX];
        max_align_t align;
    } scratch;
    assert(size <= sizeof(scratch));
    memset(scratch.bytes, 0, size);
    struct cbor_reader r = cbor_reader_of(in);
    fields_read(f, &r, scratch.bytes);
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    memcpy(message, scratch.bytes, size);
    return IPX_OK;
}
