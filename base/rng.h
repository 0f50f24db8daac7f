/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A seeded random stream: ChaCha20 keyed by 32 bytes. In production the seed comes
 * from the kernel, in tests from an integer: the same code is secure and replayable.
 * Long-term keys never come from it. One stream a purpose, so that one more draw
 * here does not shift another place's numbers.
 */
#include "base/slice.h"

#define RNG_BLOCK 512 /* bytes drawn from the cipher at a time */

struct rng {
    uint8_t seed[32];
    uint64_t counter; /* blocks made so far */
    uint16_t used;    /* bytes of `block` handed out */
    uint8_t block[RNG_BLOCK];
};

void rng_init(struct rng *r, const uint8_t seed[static 32]);
void rng_init_int(struct rng *r, uint64_t seed); /* for tests and the simulator */
/* A stream of its own, derived from this one and a purpose name. */
void rng_split(struct rng *r, const char *purpose, struct rng *ret);
void rng_fill(struct rng *r, void *out, size_t len);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, n), n > 0, without modulo bias. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* `value` moved by up to +-percent. */
uint64_t rng_jitter(struct rng *r, uint64_t value, unsigned percent);
/* True with probability permille / 1000. */
bool rng_chance(struct rng *r, unsigned permille);
/* Shuffles n elements of the given size in place. */
void rng_shuffle(struct rng *r, void *array, size_t n, size_t size);
