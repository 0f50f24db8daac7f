/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One table a message: its keys, types, limits and where they lie in a struct.
 * Encoder and decoder of every message of exec walk the same table, so they cannot
 * disagree. A message is a CBOR map; a field that is zero or empty is left out
 * unless it is marked as needed, and a missing one reads as zero or empty.
 */
#include "exec/job.h"

enum field_type {
    FIELD_U8,
    FIELD_U32, /* also enums */
    FIELD_U64,
    FIELD_I64,
    FIELD_BOOL,
    FIELD_BYTES, /* struct slice, at most `max` bytes */
    FIELD_TEXT,  /* struct slice of UTF-8, at most `max` bytes */
    FIELD_FIXED, /* exactly `max` bytes in place; left out when all zero */
    FIELD_LIST,  /* struct exec_list: at most `max` strings of together `bytes_max` bytes */
    FIELD_ITEMS, /* struct slice `raw` of at most `max` maps of table `items`; their number at
                  * offset_n */
    FIELD_PAIRS, /* the same with attempts, two integers each */
    FIELD_COUNTS /* uint32_t[max] */
};

struct fields;

struct field {
    uint8_t key;
    enum field_type type;
    bool is_needed; /* always written; a message without it is refused */
    uint16_t offset, offset_n;
    uint64_t min, max; /* of integers: the range when present; else see the type */
    uint32_t bytes_max;
    const struct fields *items;
};

struct fields {
    const struct field *list; /* ascending keys */
    uint8_t n;
};

void fields_encode(const struct fields *f, const void *message, struct writer *w);
/* One map at the cursor; sticky failure. The message is zeroed first; *message is meaningful only
 * if the cursor did not fail. */
void fields_read(const struct fields *f, struct cbor_reader *r, void *message);
/* The whole input. `size` of the message struct; on failure it is untouched.
 * Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err fields_decode(const struct fields *f, struct slice in, void *message,
                                        size_t size);
