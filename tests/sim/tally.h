/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers by 64-bit keys, for the oracle: open addressing, doubles when half full. Key 0 is not
 * used: callers hash. */
#include "base/mem.h"

struct tally {
    struct mem *mem;
    uint64_t *keys, *values;
    size_t n, capacity;
};

void tally_init(struct tally *t, struct mem *mem);
void tally_done(struct tally *t);
/* The number under the key, 0 at first; valid until the next call. */
uint64_t *tally_at(struct tally *t, uint64_t key);
/* A key of bytes; never 0. */
uint64_t tally_key(uint64_t seed, const void *bytes, size_t len);
