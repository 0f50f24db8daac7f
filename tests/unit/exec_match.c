/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/exec_owner.h"

static struct bench b; /* large; its owner is not used here */

static struct query *compile(const char *text)
{
    struct query *q;
    CHECK_OK(query_compile(slice_text(text), &b.mem, &q, NULL));
    return q;
}

/* The order of nodes for a job, as the digits of their ids. */
static const char *order(const char *where, const char *prefer, uint8_t only)
{
    static char text[16];
    struct match_candidate best[8];
    struct node_id id = bench_id(only);
    struct query *w = compile(where), *p = prefer != NULL ? compile(prefer) : NULL;
    struct match_ask ask = {.where = w,
                            .prefer = p,
                            .only = only != 0 ? &id : NULL,
                            .job = {.lab = "bio", .needs = {.cpu = 1, .mem = 1 << 20}}};
    uint32_t n = 0;
    for (uint32_t i = 0; i < b.core->match.n; i++) {
        struct match_candidate c;
        if (match_peer_eval(b.core->match.peers[i], &ask, b.now_us, &c)) {
            c.peer = b.core->match.peers[i];
            uint32_t at = n++;
            for (; at > 0 && match_before(&c, &best[at - 1]); at--) {
                best[at] = best[at - 1];
            }
            best[at] = c;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        text[i] = (char)('0' + best[i].peer->facts.id.bytes[0]);
    }
    text[n] = 0;
    query_unref(w);
    query_unref(p);
    return text;
}

static void peer_vitals(uint8_t n, uint32_t n_free, uint32_t wait_ms, uint32_t n_slots)
{
    struct node_id id = bench_id(n);
    struct match_peer *p = match_find(&b.core->match, &id);
    p->vitals.n_free = n_free;
    p->vitals.wait_ms = wait_ms;
    p->vitals.n_slots = n_slots;
    p->vitals.mem_free = UINT64_C(8) << 30;
    p->vitals.load_milli = 250;
}

TEST(exec_match, order)
{
    bench_init(&b);
    for (uint8_t n = 5; n >= 1; n--) { /* in any order: kept sorted */
        bench_peer(&b, n, n * 10);
    }
    for (uint8_t n = 1; n <= 5; n++) {
        peer_vitals(n, 4, 0, 4);
    }
    CHECK_STR(order("true", NULL, 0), "12345"); /* by RTT; 1 is this node */
    CHECK_STR(order("cpu.cores >= 30", NULL, 0), "345");
    CHECK_STR(order("true", "cpu.cores", 0), "54321");
    CHECK_STR(order("true", "0 - rtt / 1ms", 0), "12345");
    CHECK_STR(order("lab == \"phys\"", NULL, 0), "24");
    CHECK_STR(order("lab == job.lab", NULL, 0), "135");
    CHECK_STR(order("node.name == \"n4\"", NULL, 0), "4");
    CHECK_STR(order("\"offer\" in [\"x\"] or [\"offer\", \"submit\"] subset node.caps", NULL, 0),
              "12345");
    CHECK_STR(order("mem.free >= 8GiB and load < 0.5 and ad.age < 1s", NULL, 0), "12345");
    CHECK_STR(order("job.mem == 1MiB and job.cpu == 1", NULL, 0), "12345");
    CHECK_STR(order("true", NULL, 3), "3");
    CHECK_STR(order("cpu.cores > 30", NULL, 3), "");
    CHECK_STR(order("gpus > 1", NULL, 0), "12345");                    /* unknown: may be asked */
    CHECK_STR(order("gpus > 1 or cpu.cores == 40", NULL, 0), "41235"); /* true goes first */
    CHECK_STR(order("true", "gpus", 0), "12345");                      /* no rank anywhere */
    peer_vitals(1, 0, 0, 4); /* full: counts as a second */
    peer_vitals(2, 0, 500, 4);
    peer_vitals(4, 0, 0, 0); /* offers nothing */
    CHECK_STR(order("true", NULL, 0), "3521");
    bench_done(&b);
}

/* As many cards count as taken as attempts run; nothing is known where no vitals are. */
TEST(exec_match, free_cards)
{
    static const struct {
        bool is_known;
        uint32_t n_free;
        const char *query;
        enum query_truth want;
    } cases[] = {
        {true, 4, "count gpu (.free) == 2", QUERY_TRUE},
        {true, 3, "count gpu (.free) == 1", QUERY_TRUE},
        {true, 3, "any gpu (.index == 1 and .free)", QUERY_TRUE},
        {true, 2, "any gpu (.free)", QUERY_FALSE},
        {true, 1, "any source (.free)", QUERY_TRUE},
        {true, 0, "any source (.free)", QUERY_FALSE},
        {false, 0, "any gpu (.free)", QUERY_UNKNOWN},
    };
    bench_init(&b);
    struct ad_builder *ab = ad_builder_new(&b.mem);
    struct ad *ad;
    for (uint8_t i = 0; i < 2; i++) {
        struct label_value index = {.type = LABEL_NUMBER, .number = i};
        CHECK_OK(ad_builder_resource(ab, slice_text("gpu")));
        CHECK_OK(ad_builder_field(ab, slice_text("index"), &index));
    }
    CHECK_OK(ad_builder_resource(ab, slice_text("source")));
    CHECK_OK(ad_builder_finish(ab, &ad));
    ad_builder_free(ab);
    struct cert_facts f = bench_facts(1);
    struct match_job job = {.lab = "bio"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct exec_vitals v = {
            .is_known = cases[i].is_known, .n_slots = 4, .n_free = cases[i].n_free};
        struct match_env env;
        struct query *q = compile(cases[i].query);
        match_env_init(&env, match_set(&b.core->match, b.now_us, &f, ad, &v, 0), &job, b.now_us);
        CHECK_EQ(query_eval(q, &env.env).truth, cases[i].want);
        query_unref(q);
    }
    ad_unref(ad);
    bench_done(&b);
}

/* Equal candidates are told apart by the job, the same way each time. */
TEST(exec_match, rendezvous)
{
    struct node_id a = bench_id(1), c = bench_id(2);
    uint32_t n = 0;
    for (uint8_t i = 0; i < 200; i++) {
        struct exec_job_id job = {{i, 1}};
        n += match_hash(&job, &a) < match_hash(&job, &c);
        CHECK(match_hash(&job, &a) == match_hash(&job, &a));
    }
    CHECK(n > 60 && n < 140);
}

TEST(exec_match, counts_and_members)
{
    bench_init(&b);
    bench_peer(&b, 1, 1);
    bench_peer(&b, 2, 2);
    bench_peer(&b, 3, 3);
    struct query *q = compile("cpu.cores >= 2");
    struct match_ask ask = {.where = q, .job = {.lab = "bio"}};
    struct match_counts c = match_count(&b.core->match, &ask, b.now_us);
    CHECK_EQ(c.n_nodes, 3);
    CHECK_EQ(c.n_true, 2);
    CHECK_EQ(c.n_false, 1);
    CHECK_EQ(c.n_labs, 2);
    bench_gone(&b, 2);
    c = match_count(&b.core->match, &ask, b.now_us);
    CHECK_EQ(c.n_true, 1);
    struct node_id two = bench_id(2);
    CHECK(match_find(&b.core->match, &two) == NULL);
    CHECK(!match_remove(&b.core->match, &two));
    struct cert_facts f = bench_facts(2); /* a user's node, or one without an ad, offers nothing */
    struct exec_vitals vitals = {0};
    CHECK(match_set(&b.core->match, b.now_us, &f, NULL, &vitals, 0) != NULL);
    CHECK_EQ(match_count(&b.core->match, &ask, b.now_us).n_no_offer, 1);
    query_unref(q);
    bench_done(&b);
}
