/* SPDX-License-Identifier: Apache-2.0 */
/* Records held for others: what is taken, what is refused and why, when they end. */
#include "dht/store.h"

#include "base/rng.h"
#include "tests/harness.h"

#define WALL INT64_C(1800000000000)
#define PEOPLE 12

static struct mem mem;
static struct mesh_id mesh = {{1}};
static struct crypt_keypair keys[PEOPLE];
static struct cert_facts facts[PEOPLE];
static struct dht_pos self = {{0}};

static void setup(struct dht_store *s, uint32_t n_max, size_t bytes_max)
{
    CHECK_OK(crypt_init());
    mem_init(&mem, SIZE_MAX);
    for (size_t i = 0; i < PEOPLE; i++) {
        uint8_t seed[32] = {(uint8_t)i};
        while (crypt_keypair_from_seed(seed, &keys[i]) != IPX_OK) {
            seed[1]++;
        }
        facts[i] = (struct cert_facts){
            .id = keys[i].pk, .nonce = {(uint8_t)i}, .not_after_ms = WALL + CERT_NODE_LIFE_MS};
        facts[i].pos = dht_pos_of(&mesh, facts[i].nonce, &facts[i].id);
    }
    struct dht_store_config config = {
        .mem = &mem, .mesh = mesh, .self = self, .n_max = n_max, .bytes_max = bytes_max};
    dht_store_init(s, &config);
}

static struct slice record(size_t who, uint64_t seq, uint64_t features,
                           uint8_t out[static DHT_RECORD_MAX])
{
    struct dht_record r = {.id = keys[who].pk, .seq = seq, .features = features};
    struct writer w = writer_of(out, DHT_RECORD_MAX);
    memcpy(r.nonce, facts[who].nonce, 16);
    dht_record_encode(&r, &keys[who], &mesh, &w);
    return writer_slice(&w);
}

static enum dht_status put_as(struct dht_store *s, uint64_t now_us, size_t sender,
                              struct slice bytes, uint64_t *ret_seq)
{
    struct dht_put put = {.now_us = now_us,
                          .wall_ms = WALL + (int64_t)(now_us / US_PER_MS),
                          .facts = &facts[sender],
                          .bytes = bytes};
    enum dht_status status = dht_store_put(s, &put, ret_seq);
    dht_store_check(s);
    return status;
}

static enum dht_status put(struct dht_store *s, uint64_t now_us, size_t who, uint64_t seq,
                           uint64_t features, uint64_t *ret_seq)
{
    uint8_t bytes[DHT_RECORD_MAX];
    return put_as(s, now_us, who, record(who, seq, features, bytes), ret_seq);
}

TEST(dht_store, rules)
{
    struct dht_store s;
    uint64_t seq = 99;
    uint8_t bytes[DHT_RECORD_MAX];
    setup(&s, 0, 0);
    CHECK(dht_store_get(&s, 0, &facts[0].pos) == NULL);
    CHECK_EQ(put(&s, 0, 0, 5, 1, &seq), DHT_STATUS_OK);
    CHECK_EQ(seq, 5);
    static const struct {
        uint64_t seq, features;
        enum dht_status want;
        uint64_t held;
    } cases[] = {
        {5, 1, DHT_STATUS_OK, 5},
        {4, 1, DHT_STATUS_STALE, 5},
        {5, 2, DHT_STATUS_CONFLICT, 5},
        {0, 0, DHT_STATUS_STALE, 5},
        {6, 2, DHT_STATUS_OK, 6},
        {5, 1, DHT_STATUS_STALE, 6},
        {UINT64_MAX, 2, DHT_STATUS_OK, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_EQ(put(&s, 1, 0, cases[i].seq, cases[i].features, &seq), cases[i].want);
        CHECK(seq == cases[i].held);
        CHECK_EQ(s.n, 1);
    }
    CHECK_EQ(s.n_equivocations, 1);
    struct slice r = record(1, 1, 0, bytes);
    CHECK_EQ(put_as(&s, 1, 2, r, &seq), DHT_STATUS_BAD); /* somebody else's session */
    facts[1].nonce[5] = 1;                               /* of another position */
    facts[1].pos = dht_pos_of(&mesh, facts[1].nonce, &facts[1].id);
    CHECK_EQ(put_as(&s, 1, 1, r, &seq), DHT_STATUS_BAD);
    r = record(1, 1, 0, bytes);
    bytes[r.len - 1] ^= 1;
    CHECK_EQ(put_as(&s, 1, 1, r, &seq), DHT_STATUS_BAD);
    CHECK_EQ(put_as(&s, 1, 1, SLICE_EMPTY, &seq), DHT_STATUS_BAD);
    bytes[r.len - 1] ^= 1;
    CHECK_EQ(put_as(&s, 1, 1, r, &seq), DHT_STATUS_OK);
    const struct dht_held *h = dht_store_get(&s, 1, &facts[1].pos);
    CHECK(h != NULL && slice_equal(slice_of(h->bytes, h->len), r));
    size_t used = mem.used;
    for (int i = 0; i < 200; i++) { /* the same again and again: counters stay exact */
        CHECK_EQ(put_as(&s, 1, 1, r, &seq), DHT_STATUS_OK);
        CHECK(s.n == 2 && mem.used == used);
    }
    dht_store_remove(&s, &facts[1].pos);
    dht_store_remove(&s, &facts[1].pos);
    dht_store_check(&s);
    CHECK_EQ(s.n, 1);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_store, expiry)
{
    struct dht_store s;
    uint64_t seq;
    setup(&s, 0, 0);
    facts[1].not_after_ms = WALL + 60000; /* the certificate ends before the TTL */
    CHECK_EQ(put(&s, 0, 0, 1, 0, &seq), DHT_STATUS_OK);
    CHECK_EQ(put(&s, 0, 1, 1, 0, &seq), DHT_STATUS_OK);
    CHECK(dht_store_get(&s, 60 * US_PER_S - 1, &facts[1].pos) != NULL);
    CHECK(dht_store_get(&s, 60 * US_PER_S, &facts[1].pos) == NULL);
    CHECK_EQ(put(&s, 60 * US_PER_S, 1, 2, 0, &seq), DHT_STATUS_EXPIRED);
    CHECK_EQ(s.n, 1); /* swept on the way */
    uint64_t later = 3600 * US_PER_S;
    CHECK_EQ(put(&s, later, 0, 1, 0, &seq), DHT_STATUS_OK); /* the same again: lives longer */
    CHECK(dht_store_get(&s, DHT_RECORD_TTL_US, &facts[0].pos) != NULL);
    CHECK(dht_store_get(&s, later + DHT_RECORD_TTL_US, &facts[0].pos) == NULL);
    dht_store_sweep(&s, later + DHT_RECORD_TTL_US);
    CHECK_EQ(s.n, 0);
    /* After it ended a lower seq is as good as any: nothing is held. */
    CHECK_EQ(put(&s, later + DHT_RECORD_TTL_US, 0, 1, 0, &seq), DHT_STATUS_OK);
    facts[2].not_after_ms = INT64_MIN;
    CHECK_EQ(put(&s, 0, 2, 1, 0, &seq), DHT_STATUS_EXPIRED);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_store, budget)
{
    struct dht_store s;
    uint64_t seq;
    uint8_t bytes[DHT_RECORD_MAX];
    setup(&s, 4, 0);
    size_t size = sizeof(struct dht_held) + record(0, 1, 0, bytes).len;
    for (size_t pass = 0; pass < 2; pass++) {
        if (pass == 1) { /* the same by bytes */
            dht_store_done(&s);
            setup(&s, 0, 4 * size + size / 2);
        }
        for (size_t i = 0; i < PEOPLE; i++) {
            size_t n_nearer = 0, n_before = IPX_MIN(i, 4);
            for (size_t k = 0; k < i; k++) {
                n_nearer += dht_pos_compare(&self, &facts[k].pos, &facts[i].pos) < 0;
            }
            /* Only what is farther from us makes room. */
            CHECK_EQ(put(&s, i, i, 1, 0, &seq), n_nearer < 4 ? DHT_STATUS_OK : DHT_STATUS_FULL);
            CHECK_EQ(s.n, IPX_MIN(n_before + 1, 4));
        }
        for (size_t i = 0; i < PEOPLE; i++) {
            size_t n_nearer = 0;
            for (size_t k = 0; k < PEOPLE; k++) {
                n_nearer += dht_pos_compare(&self, &facts[k].pos, &facts[i].pos) < 0;
            }
            CHECK_EQ(dht_store_get(&s, PEOPLE, &facts[i].pos) != NULL, n_nearer < 4);
        }
    }
    dht_store_done(&s);
    setup(&s, 0, 0);
    mem.fail_after = 0;
    CHECK_EQ(put(&s, 0, 0, 1, 0, &seq), DHT_STATUS_FULL);
    CHECK_EQ(seq, 0);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}
