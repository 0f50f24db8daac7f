/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "base/crypt.h"

#include <sodium.h>

void rng_init(struct rng *r, const uint8_t seed[static 32])
{
    memcpy(r->seed, seed, sizeof(r->seed));
    r->counter = 0;
    r->used = RNG_BLOCK;
    memset(r->block, 0, sizeof(r->block));
}

void rng_init_int(struct rng *r, uint64_t seed)
{
    uint8_t bytes[32] = {0};
    store_be64(bytes, seed);
    rng_init(r, bytes);
}

void rng_split(struct rng *r, const char *purpose, struct rng *ret)
{
    uint8_t key[32];
    uint8_t seed[32];
    rng_fill(r, key, sizeof(key));
    crypt_mac(slice_of(key, sizeof(key)), slice_text(purpose), seed, sizeof(seed));
    rng_init(ret, seed);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(seed, sizeof(seed));
}

/* Block i is the ChaCha20 stream under nonce i: any number of blocks, none twice. */
static void rng_next_block(struct rng *r)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    store_be64(nonce, r->counter++);
    crypto_stream_chacha20(r->block, sizeof(r->block), nonce, r->seed);
    r->used = 0;
}

void rng_fill(struct rng *r, void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        if (r->used == RNG_BLOCK) {
            rng_next_block(r);
        }
        size_t part = IPX_MIN(len, (size_t)(RNG_BLOCK - r->used));
        memcpy(p, r->block + r->used, part);
        memset(r->block + r->used, 0, part); /* what was handed out is not kept */
        r->used = (uint16_t)(r->used + part);
        p += part;
        len -= part;
    }
}

uint32_t rng_u32(struct rng *r)
{
    uint8_t bytes[4];
    rng_fill(r, bytes, sizeof(bytes));
    return load_be32(bytes);
}

uint64_t rng_u64(struct rng *r)
{
    uint8_t bytes[8];
    rng_fill(r, bytes, sizeof(bytes));
    return load_be64(bytes);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    uint64_t surplus = (UINT64_MAX % n + 1) % n; /* 2^64 mod n */
    uint64_t v;
    do {
        v = rng_u64(r);
    } while (v > UINT64_MAX - surplus);
    return v % n;
}

uint64_t rng_jitter(struct rng *r, uint64_t value, unsigned percent)
{
    assert(percent <= 100);
    assert(value < UINT64_MAX / 4);
    uint64_t span = value / 100 * percent + value % 100 * percent / 100;
    return value - span + rng_below(r, 2 * span + 1);
}

bool rng_chance(struct rng *r, unsigned permille)
{
    return rng_below(r, 1000) < permille;
}

static void swap_bytes(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

void rng_shuffle(struct rng *r, void *array, size_t n, size_t size)
{
    uint8_t *bytes = array;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        swap_bytes(bytes + (i - 1) * size, bytes + j * size, size);
    }
}
