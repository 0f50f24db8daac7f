/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bucket.h"

#include "base/crypt.h"

static const struct bucket_rate host_rate = {.per_s = 20, .burst = 40};
static const struct bucket_rate net_rate = {.per_s = 200, .burst = 400};

bool bucket_has(struct bucket *b, uint64_t now_us, const struct bucket_rate *rate)
{
    uint64_t full = rate->burst * US_PER_S;
    uint64_t past_us = now_us > b->last_us ? now_us - b->last_us : 0;
    if (b->last_us == 0 || past_us >= full / rate->per_s) {
        b->micro = full;
    } else {
        b->micro = IPX_MIN(full, b->micro + past_us * rate->per_s);
    }
    b->last_us = IPX_MAX(now_us, 1);
    return b->micro >= US_PER_S;
}

bool bucket_take(struct bucket *b, uint64_t now_us, const struct bucket_rate *rate)
{
    if (!bucket_has(b, now_us, rate)) {
        return false;
    }
    b->micro -= US_PER_S;
    return true;
}

void buckets_init(struct buckets *b, const uint8_t secret[static 16])
{
    memset(b, 0, sizeof(*b));
    memcpy(b->secret, secret, sizeof(b->secret));
}

static struct bucket *place_of(struct buckets *b, struct bucket *table, const struct addr *from,
                               size_t prefix_len)
{
    uint8_t hash[4];
    uint8_t text[17] = {from->family};
    memcpy(text + 1, from->ip, prefix_len);
    crypt_mac(slice_of(b->secret, sizeof(b->secret)), slice_of(text, sizeof(text)), hash,
              sizeof(hash));
    return &table[load_be32(hash) % BUCKETS_PLACES];
}

static struct bucket *host_of(struct buckets *b, const struct addr *from)
{
    return place_of(b, b->hosts, from, from->family == ADDR_V4 ? 4 : 8);
}

static struct bucket *net_of(struct buckets *b, const struct addr *from)
{
    return place_of(b, b->nets, from, from->family == ADDR_V4 ? 3 : 6);
}

bool buckets_have(struct buckets *b, uint64_t now_us, const struct addr *from)
{
    if (addr_scope(from) == ADDR_SCOPE_LOOPBACK) {
        return true;
    }
    return bucket_has(host_of(b, from), now_us, &host_rate) &&
           bucket_has(net_of(b, from), now_us, &net_rate);
}

void buckets_take(struct buckets *b, uint64_t now_us, const struct addr *from)
{
    if (addr_scope(from) != ADDR_SCOPE_LOOPBACK) {
        (void)bucket_take(host_of(b, from), now_us, &host_rate);
        (void)bucket_take(net_of(b, from), now_us, &net_rate);
    }
}
