/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between cbor_token.c (one head, checked, through libcbor) and cbor.c (items,
 * levels, order of keys). Nobody else includes this.
 */
#include "base/cbor.h"

/* One head as libcbor saw it: the start of an array or map, or a whole scalar. */
struct cbor_token {
    enum cbor_type type; /* CBOR_END: libcbor called nothing that we allow */
    bool boolean;
    uint64_t value; /* integer; length of bytes, text and arrays; pairs of a map */
    const uint8_t *data;
    double number;
};

/* The type that a first byte announces; CBOR_END for indefinite lengths, tags and the rest of what
 * is refused, so that libcbor sees only what the profile has. */
enum cbor_type cbor_head_type(uint8_t first);
/* Reads the next head, with the bytes of a string, and moves behind it; false: r failed. */
bool cbor_token_read(struct cbor_reader *r, struct cbor_token *t);
