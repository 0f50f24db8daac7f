/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Token buckets: so many of something a second, with a burst. `struct buckets` holds
 * them for address prefixes in a fixed table that forgets: two prefixes that fall on
 * one place share it, which an outsider cannot aim at (the place is keyed).
 *
 * Invariant: 0 <= tokens <= burst, in micro-tokens.
 */
#include "base/addr.h"

struct bucket {
    uint64_t micro;   /* micro-tokens left */
    uint64_t last_us; /* 0: never used, full */
};

struct bucket_rate {
    uint32_t per_s, burst;
};

/* Refills; true if there is a token. */
bool bucket_has(struct bucket *b, uint64_t now_us, const struct bucket_rate *rate);
/* Takes one; false (and nothing is taken) if there is none. */
bool bucket_take(struct bucket *b, uint64_t now_us, const struct bucket_rate *rate);

#define BUCKETS_PLACES 128 /* 4 KiB; in a flood from many prefixes the global limits hold */

/* 20/s burst 40 a /32 or /64; 200/s burst 400 a /24 or /48 (overlay 1.3). Loopback has none. */
struct buckets {
    uint8_t secret[16];
    struct bucket hosts[BUCKETS_PLACES];
    struct bucket nets[BUCKETS_PLACES];
};
void buckets_init(struct buckets *b, const uint8_t secret[static 16]);
bool buckets_have(struct buckets *b, uint64_t now_us, const struct addr *from);
/* Counts one packet against its prefixes. */
void buckets_take(struct buckets *b, uint64_t now_us, const struct addr *from);
