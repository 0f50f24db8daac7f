/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Deterministic CBOR (RFC 8949 section 4.2) through bounded cursors.
 *
 * Reading: one data item after the other, over libcbor's streaming decoder; no
 * tree, no allocation, no recursion. Refused: indefinite lengths, tags, floats
 * other than 64 bit, NaN, infinities and -0, text that is not UTF-8, numbers not in
 * shortest form, map keys unsorted or twice, lengths beyond the input, nesting
 * beyond CBOR_DEPTH_MAX.
 * Failure is sticky: read like a schema, ask cbor_done() once at the end.
 *
 * Maps of messages have small unsigned keys. Unknown *odd* keys are skipped,
 * unknown *even* keys refuse the message (they are critical).
 *
 *     cbor_map_begin(&r);
 *     while (cbor_map_next(&r, &key)) {
 *         switch (key) {
 *         case 1: cbor_bytes_fixed(&r, id.bytes, 32); break;
 *         case 2: t = cbor_u64(&r); break;
 *         default: cbor_skip_unknown(&r, key); break;
 *         }
 *     }
 *     if (!cbor_done(&r)) return IPX_MALFORMED;
 */
#include "base/slice.h"

#define CBOR_DEPTH_MAX 8 /* deeper nesting occurs in no message of ours */

enum cbor_type {
    CBOR_END, /* end of input, or failed */
    CBOR_UINT,
    CBOR_NINT,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_BOOL,
    CBOR_NULL,
    CBOR_DOUBLE
};

struct cbor_reader {
    struct slice in;
    size_t pos;
    bool failed;
    uint8_t depth;
    struct cbor_level {
        uint64_t left;     /* items (arrays) or pairs (maps) still to come */
        uint64_t last_key; /* of a map: for the order check */
        bool is_map;
        bool has_key;
        bool wants_value; /* of a map: a key was read, its value not yet */
    } levels[CBOR_DEPTH_MAX];
};

struct cbor_reader cbor_reader_of(struct slice in);
/* Type of the next item, which stays; CBOR_END also behind the last item of an array. */
enum cbor_type cbor_peek(struct cbor_reader *r);
uint64_t cbor_u64(struct cbor_reader *r);
/* Fails if over `max`. */
uint64_t cbor_uint_max(struct cbor_reader *r, uint64_t max);
int64_t cbor_i64(struct cbor_reader *r);
bool cbor_bool(struct cbor_reader *r);
double cbor_double(struct cbor_reader *r); /* finite, not -0 */
void cbor_null(struct cbor_reader *r);
/* Borrowed from the input; fails if longer than `max`. */
struct slice cbor_bytes(struct cbor_reader *r, size_t max);
struct slice cbor_text(struct cbor_reader *r, size_t max); /* also checks UTF-8 */
/* Exactly `len` bytes copied; zeroed on failure. */
void cbor_bytes_fixed(struct cbor_reader *r, void *out, size_t len);
/* Text as a C string without NUL inside; "" on failure. */
void cbor_text_copy(struct cbor_reader *r, char *out, size_t out_size);
/* Enters an array; returns its length (fails if over `max`). cbor_array_end checks that all
 * items were read. */
uint64_t cbor_array_begin(struct cbor_reader *r, uint64_t max);
void cbor_array_end(struct cbor_reader *r);
/* Enters a map with unsigned keys; cbor_map_next yields each key in ascending order and leaves
 * the map after the last one. */
void cbor_map_begin(struct cbor_reader *r);
bool cbor_map_next(struct cbor_reader *r, uint64_t *ret_key);
/* Odd key: skips the value. Even key: fails. */
void cbor_skip_unknown(struct cbor_reader *r, uint64_t key);
/* Skips one item of any type, within the bounds above. Maps inside may also have keys that are
 * negative integers, bytes or text, sorted as encoded. */
void cbor_skip(struct cbor_reader *r);
/* The raw bytes of the next item, which is checked and skipped: for signed parts. */
struct slice cbor_raw(struct cbor_reader *r);
/* True if exactly one well-formed item sequence was read and nothing is left. */
bool cbor_done(const struct cbor_reader *r);

/* Writing: shortest forms. The caller gives map keys in ascending order and as many items as it
 * announced; the reader would refuse the rest. Sticky failure as in struct writer; text that is not
 * UTF-8 and doubles that are not finite fail too, -0 is written as 0. */
void cbor_put_u64(struct writer *w, uint64_t v);
void cbor_put_i64(struct writer *w, int64_t v);
void cbor_put_bool(struct writer *w, bool v);
void cbor_put_double(struct writer *w, double v); /* always 64 bit */
void cbor_put_null(struct writer *w);
void cbor_put_bytes(struct writer *w, struct slice s);
void cbor_put_text(struct writer *w, struct slice s);
void cbor_put_array(struct writer *w, uint64_t n);
void cbor_put_map(struct writer *w, uint64_t n_pairs);
/* A finished item, copied as it is. */
void cbor_put_raw(struct writer *w, struct slice item);
