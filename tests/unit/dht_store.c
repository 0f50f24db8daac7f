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
                          .kind = DHT_KIND_NODE,
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
    CHECK(dht_store_get(&s, 0, DHT_KIND_NODE, &facts[0].pos) == NULL);
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
    const struct dht_held *h = dht_store_get(&s, 1, DHT_KIND_NODE, &facts[1].pos);
    CHECK(h != NULL && slice_equal(slice_of(h->bytes, h->len), r));
    size_t used = mem.used;
    for (int i = 0; i < 200; i++) { /* the same again and again: counters stay exact */
        CHECK_EQ(put_as(&s, 1, 1, r, &seq), DHT_STATUS_OK);
        CHECK(s.n == 2 && mem.used == used);
    }
    dht_store_remove_publisher(&s, &keys[1].pk);
    dht_store_remove_publisher(&s, &keys[1].pk);
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
    CHECK(dht_store_get(&s, 60 * US_PER_S - 1, DHT_KIND_NODE, &facts[1].pos) != NULL);
    CHECK(dht_store_get(&s, 60 * US_PER_S, DHT_KIND_NODE, &facts[1].pos) == NULL);
    CHECK_EQ(put(&s, 60 * US_PER_S, 1, 2, 0, &seq), DHT_STATUS_EXPIRED);
    CHECK_EQ(s.n, 1); /* swept on the way */
    uint64_t later = 3600 * US_PER_S;
    CHECK_EQ(put(&s, later, 0, 1, 0, &seq), DHT_STATUS_OK); /* the same again: lives longer */
    CHECK(dht_store_get(&s, DHT_RECORD_TTL_US, DHT_KIND_NODE, &facts[0].pos) != NULL);
    CHECK(dht_store_get(&s, later + DHT_RECORD_TTL_US, DHT_KIND_NODE, &facts[0].pos) == NULL);
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
            CHECK_EQ(dht_store_get(&s, PEOPLE, DHT_KIND_NODE, &facts[i].pos) != NULL, n_nearer < 4);
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

static struct slice mutable_record(size_t who, const char *salt, uint64_t seq, const char *value,
                                   uint8_t out[static DHT_VALUE_MAX])
{
    struct dht_item item = {
        .kind = DHT_KIND_MUTABLE, .seq = seq, .salt = slice_text(salt), .value = slice_text(value)};
    struct writer w = writer_of(out, DHT_VALUE_MAX);
    dht_item_encode(&item, &keys[who], &mesh, &w);
    return writer_slice(&w);
}

static struct slice provider_record(size_t who, uint8_t content, uint64_t seq,
                                    uint8_t out[static DHT_VALUE_MAX])
{
    struct dht_item item = {.kind = DHT_KIND_PROVIDER, .key = {{content}}, .seq = seq};
    struct writer w = writer_of(out, DHT_VALUE_MAX);
    dht_item_encode(&item, &keys[who], &mesh, &w);
    return writer_slice(&w);
}

static struct dht_put put_of(size_t sender, uint8_t kind, struct slice bytes)
{
    static const struct addr from = {.family = ADDR_V4, .ip = {10, 1, 2, 3}, .port = 5};
    return (struct dht_put){.now_us = 1,
                            .wall_ms = WALL,
                            .facts = &facts[sender],
                            .from = &from,
                            .kind = kind,
                            .bytes = bytes};
}

static enum dht_status try_put(struct dht_store *s, const struct dht_put *put, uint64_t *ret_seq)
{
    enum dht_status status = dht_store_put(s, put, ret_seq);
    dht_store_check(s);
    return status;
}

static void allow_all(void)
{
    for (size_t i = 0; i < PEOPLE; i++) {
        facts[i].caps = CERT_ROLE_NODE;
    }
}

TEST(dht_store, class_23_mutable)
{
    struct dht_store s;
    uint64_t seq = 0;
    uint8_t bytes[DHT_VALUE_MAX];
    setup(&s, 0, 0);
    allow_all();
    static const struct {
        uint64_t seq;
        const char *value;
        bool has_cas;
        uint64_t cas;
        enum dht_status want;
        uint64_t held;
    } cases[] = {
        {5, "a", true, 99, DHT_STATUS_OK, 5}, /* nothing held: nothing to compare */
        {6, "b", true, 4, DHT_STATUS_CAS, 5},
        {6, "b", true, 5, DHT_STATUS_OK, 6},
        {6, "b", true, 5, DHT_STATUS_OK, 6}, /* the same again: already so */
        {5, "a", false, 0, DHT_STATUS_STALE, 6},
        {6, "c", false, 0, DHT_STATUS_CONFLICT, 6},
        {6, "c", true, 6, DHT_STATUS_CONFLICT, 6},
        {UINT64_MAX, "d", false, 0, DHT_STATUS_OK, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dht_put p = put_of(0, DHT_KIND_MUTABLE,
                                  mutable_record(0, "x", cases[i].seq, cases[i].value, bytes));
        p.has_cas = cases[i].has_cas;
        p.cas = cases[i].cas;
        CHECK_EQ(try_put(&s, &p, &seq), cases[i].want);
        CHECK(seq == cases[i].held);
        CHECK_EQ(s.n, 1);
    }
    CHECK_EQ(s.n_equivocations, 2);
    struct dht_put p = put_of(1, DHT_KIND_MUTABLE, mutable_record(0, "y", 1, "a", bytes));
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_BAD); /* another's: not in this session */
    p.facts = &facts[0];
    bytes[p.bytes.len - 1] ^= 1;
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_BAD); /* signature */
    bytes[p.bytes.len - 1] ^= 1;
    facts[0].caps = CERT_ROLE_USER;
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_DENIED);
    facts[0].caps = CERT_ROLE_NODE;
    p.kind = 99;
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_BAD);
    p.kind = DHT_KIND_MUTABLE;
    size_t used = mem.used, n = s.n;
    for (int i = 0; i < 1000; i++) { /* the same record again and again: counters stay exact */
        CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK);
        CHECK_EQ(s.n, n + 1);
        CHECK(i == 0 || mem.used == used);
        used = mem.used;
    }
    dht_store_remove_publisher(&s, &keys[0].pk); /* revoked */
    CHECK_EQ(s.n, 0);
    CHECK_EQ(s.n_accounts, 0);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_store, class_23_too_big_and_immutable)
{
    struct dht_store s;
    uint64_t seq = 7;
    static uint8_t value[DHT_IMMUTABLE_MAX + 1];
    setup(&s, 0, 0);
    allow_all();
    struct dht_put p = put_of(0, DHT_KIND_IMMUTABLE, slice_of(value, sizeof(value)));
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_TOO_BIG);
    p.bytes.len = DHT_IMMUTABLE_MAX;
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK);
    p.facts = &facts[1]; /* anybody may bring it; it stays on the first one's account */
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK);
    CHECK(s.n == 1 && seq == 0);
    struct dht_pos key = dht_immutable_key(p.bytes);
    const struct dht_held *h = dht_store_get(&s, 2, DHT_KIND_IMMUTABLE, &key);
    CHECK(h != NULL && node_id_equal(&h->publisher, &keys[0].pk));
    CHECK(dht_store_get(&s, 2, DHT_KIND_MUTABLE, &key) == NULL);
    CHECK(dht_store_get(&s, 1 + DHT_IMMUTABLE_TTL_US, DHT_KIND_IMMUTABLE, &key) == NULL);
    CHECK_OK(dht_store_verify(DHT_KIND_IMMUTABLE, p.bytes, &mesh, &key, &(struct dht_item){0}));
    key.bytes[3] ^= 1;
    CHECK_EQ(dht_store_verify(DHT_KIND_IMMUTABLE, p.bytes, &mesh, &key, &(struct dht_item){0}),
             IPX_CONFLICT);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_store, class_23_quotas)
{
    static const struct {
        uint32_t publisher_max, key_max;
        size_t publisher_bytes, net_bytes;
        size_t want; /* of 6 records by one publisher, then of 6 by six */
        size_t want_many;
    } cases[] = {
        {3, 0, 0, 0, 3, 6},
        {0, 4, 0, 0, 6, 4}, /* six publishers share one key */
        {0, 0, 1100, 0, 3, 6},
        {0, 0, 0, 1100, 3, 3}, /* one foreign network */
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        for (int many = 0; many < 2; many++) {
            struct dht_store s;
            uint64_t seq;
            uint8_t bytes[DHT_VALUE_MAX];
            size_t n_ok = 0;
            setup(&s, 0, 0);
            allow_all();
            s.config.publisher_max = cases[c].publisher_max > 0 ? cases[c].publisher_max : 4096;
            s.config.key_max = cases[c].key_max > 0 ? cases[c].key_max : 256;
            s.config.publisher_bytes =
                cases[c].publisher_bytes > 0 ? cases[c].publisher_bytes : SIZE_MAX;
            s.config.net_bytes = cases[c].net_bytes > 0 ? cases[c].net_bytes : SIZE_MAX;
            snprintf(s.config.lab, sizeof(s.config.lab), "ours");
            snprintf(facts[0].lab, sizeof(facts[0].lab), "theirs");
            for (uint8_t i = 0; i < 6; i++) {
                size_t who = many ? i : 0;
                snprintf(facts[who].lab, sizeof(facts[who].lab), "theirs");
                struct dht_put p =
                    put_of(who, DHT_KIND_PROVIDER,
                           provider_record(who, many ? 1 : (uint8_t)(i + 1), 1, bytes));
                enum dht_status status = try_put(&s, &p, &seq);
                CHECK(status == DHT_STATUS_OK || status == DHT_STATUS_QUOTA);
                n_ok += status == DHT_STATUS_OK;
            }
            CHECK_EQ(n_ok, many ? cases[c].want_many : cases[c].want);
            /* An update is not a second record: at the limit it is still taken. */
            struct dht_put p = put_of(0, DHT_KIND_PROVIDER, provider_record(0, 1, 2, bytes));
            for (uint64_t k = 2; k < 20; k++) {
                p.bytes = provider_record(0, 1, k, bytes);
                CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK);
                CHECK_EQ(s.n, n_ok);
            }
            dht_store_done(&s);
            CHECK_EQ(mem.used, 0);
        }
    }
}

/* Class 27: what was stored for a while ends, whatever is stored beside it, and a restart holds
 * nothing: there is no record without an end. */
TEST(dht_store, class_27_everything_ends)
{
    struct dht_store s;
    uint64_t seq;
    uint8_t bytes[DHT_VALUE_MAX];
    setup(&s, 0, 0);
    allow_all();
    facts[2].not_after_ms = WALL + 5000;
    struct dht_put p = put_of(2, DHT_KIND_MUTABLE, mutable_record(2, "", 1, "x", bytes));
    CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK); /* ends with the certificate */
    for (uint32_t i = 0; i < 200; i++) {            /* the index grows meanwhile */
        uint8_t value[8];
        store_be64(value, i);
        struct dht_put q = put_of(1, DHT_KIND_IMMUTABLE, slice_of(value, 8));
        CHECK_EQ(dht_store_put(&s, &q, &seq), DHT_STATUS_OK);
    }
    dht_store_check(&s);
    CHECK_EQ(s.n, 201);
    dht_store_sweep(&s, 1 + 5 * US_PER_S);
    CHECK_EQ(s.n, 200);
    dht_store_sweep(&s, 1 + DHT_IMMUTABLE_TTL_US);
    CHECK_EQ(s.n, 0);
    dht_store_check(&s);
    for (uint64_t fail = 0; fail < 5; fail++) { /* memory ends at every place */
        dht_store_done(&s);
        setup(&s, 0, 0);
        allow_all();
        mem.fail_after = fail;
        p = put_of(1, DHT_KIND_MUTABLE, mutable_record(1, "", 1, "x", bytes));
        enum dht_status status = try_put(&s, &p, &seq);
        CHECK_EQ(status, fail < 3 ? DHT_STATUS_FULL : DHT_STATUS_OK);
        CHECK_EQ(seq, status == DHT_STATUS_OK ? 1 : 0);
    }
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_store, providers_of_one_content)
{
    struct dht_store s;
    uint64_t seq;
    uint8_t bytes[DHT_VALUE_MAX];
    const struct dht_held *held[PEOPLE];
    struct dht_pos key = {{1}}, other = {{2}};
    setup(&s, 0, 0);
    allow_all();
    for (size_t i = 0; i < PEOPLE; i++) {
        struct dht_put p = put_of(i, DHT_KIND_PROVIDER, provider_record(i, 1, 1, bytes));
        CHECK_EQ(try_put(&s, &p, &seq), DHT_STATUS_OK);
    }
    CHECK_EQ(dht_store_get_all(&s, 2, DHT_KIND_PROVIDER, &key, held, PEOPLE), PEOPLE);
    CHECK_EQ(dht_store_get_all(&s, 2, DHT_KIND_PROVIDER, &key, held, 5), 5);
    CHECK_EQ(dht_store_get_all(&s, 2, DHT_KIND_PROVIDER, &other, held, 5), 0);
    CHECK_EQ(dht_store_get_all(&s, 1 + DHT_PROVIDER_TTL_US, DHT_KIND_PROVIDER, &key, held, 5), 0);
    dht_store_done(&s);
    CHECK_EQ(mem.used, 0);
}
