/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Borrowed bytes, and bounded cursors that read and write them.
 *
 * A `struct slice` owns nothing. `struct reader` and `struct writer` fail
 * stickily: after the first overrun every call is harmless (reads give 0 or an
 * empty slice, writes do nothing) and `failed` stays true, so that a decoder
 * reads like a schema and asks once at its end. Integers are big-endian.
 */
#include "base/base.h"

struct slice {
    const uint8_t *data;
    size_t len;
};

struct reader {
    struct slice in;
    size_t pos; /* <= in.len */
    bool failed;
};

struct writer {
    uint8_t *data;
    size_t cap;
    size_t len; /* <= cap */
    bool failed;
};

#define SLICE_EMPTY ((struct slice){.data = NULL, .len = 0})

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){.data = data, .len = len};
}
/* The bytes of a string without its NUL; valid as long as `text` is. */
struct slice slice_text(const char *text);
bool slice_equal(struct slice a, struct slice b);
/* Order as memcmp, a prefix before what it is a prefix of: -1, 0, 1. */
int slice_compare(struct slice a, struct slice b);
/* Copies into `out` as a NUL-terminated string. False (and "") if it does not fit or has a NUL. */
bool slice_to_text(struct slice s, char *out, size_t out_size);

/* Well-formed UTF-8: no surrogates, nothing longer than needed, at most U+10FFFF. */
bool slice_is_utf8(struct slice s);

struct reader reader_of(struct slice in);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u24(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* The next `len` bytes, borrowed from the input; empty and failed if there are fewer. */
struct slice reader_bytes(struct reader *r, size_t len);
/* Copies exactly `len` bytes; on failure `out` is zeroed. */
void reader_copy(struct reader *r, void *out, size_t len);
/* True if all was read and nothing failed. */
bool reader_done(const struct reader *r);

struct writer writer_of(void *data, size_t cap);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u24(struct writer *w, uint32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, struct slice s);
/* Room for `len` bytes to be filled by the caller at once; NULL on overrun. */
uint8_t *writer_reserve(struct writer *w, size_t len);
/* What was written so far; empty if anything failed. */
struct slice writer_slice(const struct writer *w);

/* Here, so that the compiler makes one instruction of each. */
static inline uint16_t load_be16(const uint8_t p[static 2])
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t load_be32(const uint8_t p[static 4])
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t load_be64(const uint8_t p[static 8])
{
    return (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
}
static inline void store_be16(uint8_t p[static 2], uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void store_be32(uint8_t p[static 4], uint32_t v)
{
    store_be16(p, (uint16_t)(v >> 16));
    store_be16(p + 2, (uint16_t)v);
}
static inline void store_be64(uint8_t p[static 8], uint64_t v)
{
    store_be32(p, (uint32_t)(v >> 32));
    store_be32(p + 4, (uint32_t)v);
}
