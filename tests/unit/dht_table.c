/* SPDX-License-Identifier: Apache-2.0 */
/* The routing table: single rules, and random histories against a naive model of it. */
#include "dht/table.h"

#include "base/rng.h"
#include "base/sm.h"
#include "tests/harness.h"

#define POPULATION 1500

static struct mesh_id mesh = {{1}};
static struct cert_facts people[POPULATION];
static struct mem mem;

static void make_people(struct rng *rng)
{
    for (size_t i = 0; i < POPULATION; i++) {
        people[i] = (struct cert_facts){.caps = CERT_ROLE_NODE};
        rng_fill(rng, people[i].id.bytes, 32);
        rng_fill(rng, people[i].nonce, 16);
        people[i].pos = dht_pos_of(&mesh, people[i].nonce, &people[i].id);
    }
}

static struct addr addr_of(size_t i)
{
    return (struct addr){
        .family = ADDR_V4, .ip = {10, 1, (uint8_t)(i / 250), (uint8_t)(i % 250)}, .port = 7433};
}

static void init(struct dht_table *t, uint16_t capacity, const struct dht_pos *self)
{
    struct dht_table_config config = {
        .mesh = mesh, .self = *self, .mem = &mem, .capacity = capacity};
    CHECK_OK(dht_table_init(t, &config));
}

static enum ipx_err meet(struct dht_table *t, uint64_t now_us, size_t i)
{
    struct addr a = addr_of(i);
    enum ipx_err err = dht_table_on_verified(t, now_us, &people[i], &a);
    dht_table_check(t);
    return err;
}

/* The nearest of those in the table as told to others, by sorting all: the naive way. */
static void check_closest(const struct dht_table *t, const struct dht_pos *target, size_t max)
{
    const struct dht_entry *got[DHT_SIBLINGS];
    size_t n = dht_table_closest(t, target, DHT_CLOSEST_SEED, got, max), n_members = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct dht_entry *e = &t->entries[i];
        struct dht_pos p = dht_table_pos(t, e);
        size_t n_nearer = 0;
        if ((e->marks & DHT_ENTRY_WAITS) != 0) {
            continue;
        }
        n_members++;
        for (size_t k = 0; k < t->n; k++) {
            struct dht_pos q = dht_table_pos(t, &t->entries[k]);
            n_nearer +=
                (t->entries[k].marks & DHT_ENTRY_WAITS) == 0 && dht_pos_compare(target, &q, &p) < 0;
        }
        CHECK_EQ(dht_table_n_nearer(t, target, &p), n_nearer);
        CHECK(n_nearer >= n || got[n_nearer] == e);
    }
    CHECK_EQ(n, IPX_MIN(max, n_members));
    CHECK_EQ(dht_table_n_members(t), n_members);
}

/* Who is in, by a list in order of arrival: entry i of the model is people[i]. */
struct model {
    bool is_in[POPULATION];
    uint64_t seen_us[POPULATION];
    unsigned fails[POPULATION];
};

static bool is_in(const struct dht_table *t, size_t i)
{
    return dht_table_find(t, &people[i].id) != NULL;
}

static void check_model(const struct dht_table *t, const struct model *m, uint64_t now_us)
{
    size_t n = 0;
    for (size_t i = 0; i < POPULATION; i++) {
        const struct dht_entry *e = dht_table_find(t, &people[i].id);
        if (e == NULL) {
            continue;
        }
        n++;
        CHECK(m->is_in[i]); /* nobody is in who was not met, or was removed since */
        CHECK_EQ(e->seen_s, m->seen_us[i] / US_PER_S);
        CHECK_EQ(e->fails, m->fails[i]);
        bool is_silent = (uint64_t)e->seen_s * US_PER_S + DHT_STALE_US <= now_us;
        CHECK_EQ(e->state, is_silent ? DHT_ENTRY_STALE : DHT_ENTRY_VERIFIED);
    }
    CHECK_EQ(n, t->n);
}

static void step(struct dht_table *t, struct rng *rng, struct model *m, uint64_t now_us)
{
    size_t i = rng_below(rng, POPULATION);
    bool was_in = is_in(t, i);
    switch (rng_below(rng, 8)) {
    case 0:
        CHECK_EQ(dht_table_remove(t, now_us, &people[i].id), was_in);
        m->is_in[i] = false;
        break;
    case 1:
    case 2:
        if (dht_table_on_fail(t, now_us, &people[i].id)) {
            m->is_in[i] = false;
        } else if (was_in) {
            m->fails[i]++;
        }
        CHECK(m->fails[i] < DHT_FAILS_MAX || !is_in(t, i));
        break;
    case 3:
        CHECK_EQ(dht_table_on_heard(t, now_us, &people[i].id), was_in);
        if (was_in) {
            m->seen_us[i] = now_us;
            m->fails[i] = 0;
        }
        break;
    default:
        if (meet(t, now_us, i) == IPX_OK) {
            CHECK(is_in(t, i));
            m->is_in[i] = true;
            m->seen_us[i] = now_us;
            m->fails[i] = 0;
        } else {
            CHECK(!was_in && !is_in(t, i)); /* a known one is never refused */
        }
        break;
    }
}

TEST(dht_table, random_histories)
{
    static struct model m;
    mem_init(&mem, SIZE_MAX);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct rng rng;
        struct dht_table t;
        struct dht_pos self, target;
        uint64_t now = 0;
        rng_init_int(&rng, seed);
        make_people(&rng);
        rng_fill(&rng, self.bytes, 32);
        init(&t, seed % 2 == 0 ? 100 : 0, &self); /* the small one is full most of the time */
        memset(&m, 0, sizeof(m));
        for (int i = 0; i < 4000; i++) {
            now += rng_below(&rng, 2 * US_PER_S);
            dht_table_age(&t, now);
            step(&t, &rng, &m, now);
            dht_table_check(&t);
            if (i % 200 == 0) {
                rng_fill(&rng, target.bytes, 32);
                check_closest(&t, i % 400 == 0 ? &self : &target, 1 + (size_t)i % DHT_SIBLINGS);
                check_model(&t, &m, now);
            }
            const struct dht_entry *e = dht_table_take_mark(&t, DHT_ENTRY_PING);
            CHECK(e == NULL || (e->marks & DHT_ENTRY_PING) == 0);
        }
        dht_table_done(&t);
    }
    CHECK_EQ(mem.used, 0);
}

/* The first `n` of the population that fall into `bucket`. */
static size_t pick(const struct dht_table *t, unsigned bucket, size_t *ret, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < POPULATION && found < n; i++) {
        if (dht_table_bucket_of(t, &people[i].pos) == bucket) {
            ret[found++] = i;
        }
    }
    return found;
}

TEST(dht_table, full_bucket)
{
    struct rng rng;
    struct dht_table t;
    struct dht_pos self = {{0x55}};
    size_t far[160], near[300];
    uint64_t now = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 9);
    make_people(&rng);
    init(&t, 0, &self);
    CHECK_EQ(pick(&t, 0, far, 160), 160);
    size_t n_near = pick(&t, 1, near, 40); /* 40 nearer ones: nobody in bucket 0 is a sibling */
    CHECK_EQ(n_near, 40);
    for (size_t i = 0; i < n_near; i++) {
        CHECK_OK(meet(&t, now, near[i]));
    }
    for (size_t i = 0; i < 128 + DHT_REPLACEMENTS; i++) {
        CHECK_OK(meet(&t, now + i * US_PER_S, far[i]));
    }
    CHECK_EQ(t.n_bucket[0], 128);
    CHECK_EQ(t.n_waits[0], DHT_REPLACEMENTS);
    CHECK_EQ(dht_table_n_members(&t), 168);
    CHECK(dht_table_take_mark(&t, DHT_ENTRY_PING) == NULL); /* nobody is stale: nobody is asked */
    now = 150 * US_PER_S;
    CHECK_OK(meet(&t, now, far[136])); /* a ninth waits: the one heard longest ago makes room */
    CHECK_EQ(t.n_waits[0], DHT_REPLACEMENTS);
    CHECK(!is_in(&t, far[128]) && is_in(&t, far[136]));
    for (size_t i = 0; i < 128; i++) { /* who answers is never displaced */
        CHECK(is_in(&t, far[i]));
    }

    now = 10 * US_PER_S + DHT_STALE_US; /* far[0..10] are silent, the first for longest */
    dht_table_age(&t, now);
    CHECK_OK(meet(&t, now, far[137]));
    CHECK_OK(meet(&t, now, far[138])); /* one outstanding ping a bucket */
    CHECK_EQ(t.n_ping, 1);
    const struct dht_entry *asked = dht_table_take_mark(&t, DHT_ENTRY_PING);
    CHECK(asked != NULL && node_id_equal(&asked->id, &people[far[0]].id));
    CHECK(!dht_table_on_fail(&t, now, &people[far[0]].id)); /* once is chance */
    CHECK(dht_table_take_mark(&t, DHT_ENTRY_PING) != NULL); /* asked again at once */
    CHECK(dht_table_on_fail(&t, now, &people[far[0]].id));  /* twice: the newest takes its place */
    dht_table_check(&t);
    CHECK_EQ(t.n_bucket[0], 128);
    CHECK_EQ(t.n_waits[0], DHT_REPLACEMENTS - 1);
    CHECK_EQ(dht_table_find(&t, &people[far[138]].id)->marks & DHT_ENTRY_WAITS, 0);

    /* Without a replacement it takes five failures. */
    for (int i = 1; i <= DHT_FAILS_MAX; i++) {
        CHECK_EQ(dht_table_on_fail(&t, now, &people[near[0]].id), i == DHT_FAILS_MAX);
    }
    CHECK(!dht_table_on_fail(&t, now, &people[near[0]].id)); /* gone already */

    dht_table_done(&t);
    CHECK_EQ(mem.used, 0);
}

TEST(dht_table, who_is_told)
{
    struct rng rng;
    struct dht_table t;
    struct dht_pos self = {{0x55}};
    const struct dht_entry *got[DHT_SIBLINGS];
    uint64_t now = 0;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 10);
    make_people(&rng);
    init(&t, 0, &self);
    for (size_t i = 0; i < 6; i++) {
        CHECK_OK(meet(&t, i < 3 ? 0 : 600 * US_PER_S, i));
    }
    CHECK_EQ(dht_table_size_estimate(&t), 7); /* few are counted */
    now = DHT_STALE_US;
    dht_table_age(&t, now);
    CHECK(!dht_table_on_fail(&t, now, &people[1].id));
    CHECK(!dht_table_on_fail(&t, now, &people[4].id));
    CHECK_EQ(dht_table_n_live(&t), 4);
    size_t n = dht_table_closest(&t, &people[1].pos, DHT_CLOSEST_TELL, got, 10);
    CHECK_EQ(n, 4); /* not those that failed; the stale after the verified */
    CHECK(got[0]->state == DHT_ENTRY_VERIFIED && got[1]->state == DHT_ENTRY_VERIFIED);
    CHECK(got[2]->state == DHT_ENTRY_STALE && got[3]->state == DHT_ENTRY_STALE);
    n = dht_table_closest(&t, &people[1].pos, DHT_CLOSEST_SEED, got, 10);
    CHECK_EQ(n, 6); /* we may ask all */
    CHECK(node_id_equal(&got[0]->id, &people[1].id));
    CHECK_EQ(dht_table_closest(&t, &self, DHT_CLOSEST_SEED, got, 0), 0);

    /* A certificate with another nonce moves the entry, and it is learned anew. */
    while (dht_table_take_mark(&t, DHT_ENTRY_UNTOLD) != NULL) {
    }
    people[2].nonce[0] ^= 1;
    people[2].pos = dht_pos_of(&mesh, people[2].nonce, &people[2].id);
    CHECK_OK(meet(&t, now, 2));
    CHECK_EQ(dht_table_n_members(&t), 6);
    const struct dht_entry *e = dht_table_take_mark(&t, DHT_ENTRY_UNTOLD);
    CHECK(e != NULL && node_id_equal(&e->id, &people[2].id));
    CHECK(dht_table_take_mark(&t, DHT_ENTRY_UNTOLD) == NULL);

    dht_table_on_rtt(&t, &people[2].id, 1000); /* RFC 6298 */
    CHECK(e->srtt_us == 1000 && e->rttvar_us == 500);
    dht_table_on_rtt(&t, &people[2].id, 1800);
    CHECK(e->srtt_us == 1100 && e->rttvar_us == 575);
    dht_table_on_rtt(&t, &people[700].id, 1800); /* not in: nothing */

    people[9].pos = self;
    CHECK_EQ(meet(&t, now, 9), IPX_SELF);
    dht_table_done(&t);
    for (uint64_t fail = 0; fail < 3; fail++) {
        struct dht_table_config config = {.mesh = mesh, .mem = &mem};
        mem.fail_after = fail;
        CHECK_EQ(dht_table_init(&t, &config), IPX_NO_MEMORY);
    }
    CHECK_EQ(mem.used, 0);
}

TEST(dht_table, size_estimate)
{
    mem_init(&mem, SIZE_MAX);
    uint64_t sum = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rng rng;
        struct dht_table t;
        struct dht_pos self;
        rng_init_int(&rng, 100 + seed);
        make_people(&rng);
        rng_fill(&rng, self.bytes, 32);
        init(&t, 0, &self);
        for (size_t i = 0; i < POPULATION; i++) {
            struct addr a = addr_of(i);
            err_ignore(dht_table_on_verified(&t, 0, &people[i], &a), "far buckets are full");
        }
        dht_table_check(&t);
        sum += dht_table_size_estimate(&t);
        /* All of the 32 nearest are known, whatever the buckets hold. */
        for (size_t i = 0; i < POPULATION; i++) {
            size_t n_nearer = 0;
            for (size_t k = 0; k < POPULATION; k++) {
                n_nearer += dht_pos_compare(&self, &people[k].pos, &people[i].pos) < 0;
            }
            CHECK(n_nearer >= DHT_SIBLINGS || is_in(&t, i));
        }
        dht_table_done(&t);
    }
    CHECK(sum / 20 >= POPULATION * 8 / 10 && sum / 20 <= POPULATION * 12 / 10);
    CHECK_EQ(mem.used, 0);
}

/* Class 24: of one foreign lab, admitter or public network no bucket takes a fifth; our own lab has
 * no such limit, and without a lab of ours nobody is foreign. */
TEST(dht_table, class_24_no_bucket_of_one_hand)
{
    static const struct {
        const char *own, *lab; /* "": each another */
        bool same_admitter, same_net, is_public;
        size_t want; /* of 40 that belong into bucket 0 */
    } cases[] = {
        {"ours", "theirs", false, false, true, 4}, {"ours", "", true, false, true, 4},
        {"ours", "", false, true, true, 4},        {"ours", "", false, true, false, 40},
        {"ours", "ours", true, true, true, 40},    {"", "theirs", true, true, true, 40},
        {"ours", "", false, false, true, 40},
    };
    struct rng rng;
    rng_init_int(&rng, 24);
    mem_init(&mem, SIZE_MAX);
    make_people(&rng);
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct dht_table t;
        struct dht_table_config config = {.mesh = mesh, .self = {{0}}, .mem = &mem, .secret = {1}};
        snprintf(config.lab, sizeof(config.lab), "%s", cases[c].own);
        CHECK_OK(dht_table_init(&t, &config));
        size_t n_met = 0;
        for (size_t i = 0; i < POPULATION && n_met < 40; i++) {
            struct addr a = addr_of(i);
            struct cert_facts f = people[i];
            if (f.pos.bytes[0] < 0x80) {
                continue;
            }
            n_met++;
            snprintf(f.lab, sizeof(f.lab), "%s", cases[c].lab);
            if (cases[c].lab[0] == 0) {
                snprintf(f.lab, sizeof(f.lab), "lab%zu", i);
            }
            f.admitter.bytes[0] = cases[c].same_admitter ? 1 : (uint8_t)n_met;
            a.ip[0] = cases[c].is_public ? 8 : 10;
            a.ip[1] = a.ip[2] = cases[c].same_net ? 7 : (uint8_t)n_met;
            enum ipx_err err = dht_table_on_verified(&t, 1, &f, &a);
            CHECK_EQ(err, n_met <= cases[c].want ? IPX_OK : IPX_REFUSED);
            dht_table_check(&t);
        }
        CHECK_EQ(dht_table_n_members(&t), cases[c].want);
        CHECK_EQ(t.n_alike, 40 - cases[c].want);
        dht_table_done(&t);
    }
    CHECK_EQ(mem.used, 0);
}
