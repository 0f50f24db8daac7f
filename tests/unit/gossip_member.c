/* SPDX-License-Identifier: Apache-2.0 */
/* The table of members: order, growth, room, states, tokens. */
#include "gossip/member.h"

#include "tests/harness.h"

static struct cert_facts facts_of(uint32_t i)
{
    struct cert_facts f = {0};
    /* keys come in no order; the last byte tells two of one prefix apart */
    store_be32(f.id.bytes, i * UINT32_C(2654435761));
    f.id.bytes[31] = (uint8_t)i;
    snprintf(f.name, sizeof(f.name), "n%u", i);
    return f;
}

static struct gossip_member *insert(struct gossip_members *t, uint32_t i)
{
    struct cert_facts f = facts_of(i);
    struct gossip_member *m = NULL;
    CHECK_OK(gossip_members_insert(t, &f, &m));
    gossip_members_check(t);
    return m;
}

TEST(gossip_member, table)
{
    struct mem mem;
    struct rng rng;
    struct gossip_members t;
    struct gossip_member *m;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 1);
    CHECK_OK(gossip_members_init(&t, &mem, &rng, 100));
    for (uint32_t i = 0; i < 100; i++) {
        m = insert(&t, i);
        CHECK_EQ(m->slot, i);
        CHECK_EQ(m->state, GOSSIP_STATE_ALIVE);
    }
    struct cert_facts f = facts_of(100);
    CHECK_EQ(gossip_members_insert(&t, &f, &m), IPX_FULL);
    for (uint32_t i = 0; i < 100; i++) {
        f = facts_of(i);
        m = gossip_members_find(&t, &f.id);
        CHECK(m != NULL && m->slot == i);
        CHECK(gossip_members_prefix(&t, gossip_prefix(&f.id)) == m);
    }
    CHECK(gossip_members_prefix(&t, 12345) == NULL);
    f = facts_of(7);
    m = gossip_members_find(&t, &f.id);
    gossip_members_remove(&t, NULL, m);
    gossip_members_check(&t);
    CHECK(gossip_members_find(&t, &f.id) == NULL);
    CHECK_EQ(insert(&t, 200)->slot, 7); /* the free slot is used again */
    gossip_members_done(&t, NULL);
    CHECK_EQ(mem.used, 0);
}

/* Every member is the first successor of exactly one other; the gone are passed over. */
TEST(gossip_member, successors)
{
    struct mem mem;
    struct rng rng;
    struct gossip_members t;
    struct gossip_member *all[9];
    unsigned hits[9] = {0};
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 1);
    CHECK_OK(gossip_members_init(&t, &mem, &rng, 64));
    all[0] = insert(&t, 0);
    CHECK(gossip_members_successor(&t, all[0], 1) == NULL);
    for (uint32_t i = 1; i < 9; i++) {
        all[i] = insert(&t, i);
    }
    gossip_member_move(&t, all[3], 5, GOSSIP_STATE_LEFT);
    for (unsigned i = 0; i < 9; i++) {
        const struct gossip_member *s = gossip_members_successor(&t, all[i], 1);
        CHECK(s != NULL && s != all[i] && s != all[3]);
        hits[s->slot] += i == 3 ? 0 : 1;
        CHECK(gossip_members_successor(&t, all[i], 2) != s);
    }
    for (unsigned i = 0; i < 9; i++) {
        CHECK_EQ(hits[i], i == 3 ? 0 : 1);
    }
    CHECK_EQ(gossip_members_live(&t), 8);
    gossip_members_done(&t, NULL);
    CHECK_EQ(mem.used, 0);
}

TEST(gossip_member, room_and_states)
{
    struct mem mem;
    struct rng rng;
    struct gossip_members t;
    struct gossip_spread q;
    mem_init(&mem, SIZE_MAX);
    rng_init_int(&rng, 1);
    gossip_spread_init(&q);
    CHECK_OK(gossip_members_init(&t, &mem, &rng, 64));
    struct gossip_member *a = insert(&t, 0);
    struct gossip_member *b = insert(&t, 1);
    struct gossip_member *c = insert(&t, 2);
    CHECK(gossip_members_oldest_gone(&t) == NULL);
    gossip_member_move(&t, b, 20, GOSSIP_STATE_DEAD);
    gossip_member_move(&t, c, 10, GOSSIP_STATE_DEAD);
    CHECK(gossip_members_oldest_gone(&t) == c);
    c->reason = GOSSIP_REASON_BARRED; /* who was shut out is not forgotten to make room */
    CHECK(gossip_members_oldest_gone(&t) == b);
    CHECK(!sm_may(&gossip_member_table, GOSSIP_STATE_DEAD, GOSSIP_STATE_SUSPECT));
    CHECK(!sm_may(&gossip_member_table, GOSSIP_STATE_LEFT, GOSSIP_STATE_SUSPECT));
    CHECK(sm_may(&gossip_member_table, GOSSIP_STATE_DEAD, GOSSIP_STATE_ALIVE));

    /* (generation, nonce, incarnation) in this order */
    a->boot = (struct gossip_boot){.generation = 2, .nonce = 5};
    a->incarnation = 7;
    static const struct {
        struct gossip_boot boot;
        uint32_t incarnation;
        int order;
    } rows[] = {
        {{2, 5}, 7, 0},
        {{2, 5}, 8, 1},
        {{2, 5}, 6, -1},
        {{2, 6}, 0, 1},
        {{2, 4}, 9, -1},
        {{3, 0}, 0, 1},
        {{1, UINT64_MAX}, UINT32_MAX, -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(gossip_member_compare(a, &rows[i].boot, rows[i].incarnation), rows[i].order);
    }

    /* an acquittal forgets accusers and takes their statements out of the queue */
    CHECK_OK(gossip_bytes_set(&mem, &a->accusers[0].item, slice_text("x")));
    a->n_accusers = 1;
    gossip_spread_put(&q, &a->accusers[0].spread, GOSSIP_SPREAD_STATE, GOSSIP_NO_SLOT);
    gossip_member_acquit(&t, &q, a);
    CHECK_EQ(a->n_accusers, 0);
    CHECK_EQ(q.n, 0);
    gossip_members_done(&t, &q);
    CHECK_EQ(mem.used, 0);
}

TEST(gossip_member, tokens)
{
    struct gossip_bucket b = {0};
    for (unsigned i = 0; i < 10; i++) {
        CHECK(gossip_bucket_take(&b, 0, 10, 1000));
    }
    CHECK(!gossip_bucket_take(&b, 1000, 10, 1000));
    CHECK(gossip_bucket_take(&b, 1001, 10, 1000));
    CHECK(!gossip_bucket_take(&b, 1500, 10, 1000));
    for (unsigned i = 0; i < 10; i++) {
        CHECK(gossip_bucket_take(&b, 1000000, 10, 1000)); /* no more than the burst is saved */
    }
    CHECK(!gossip_bucket_take(&b, 1000000, 10, 1000));
}

/* Wherever memory ends, what was there stays whole. */
TEST(gossip_member, no_memory)
{
    struct rng rng;
    rng_init_int(&rng, 1);
    for (uint64_t fail = 0; fail < 60; fail++) {
        struct mem mem;
        struct gossip_members t;
        struct gossip_member *m;
        mem_init(&mem, SIZE_MAX);
        mem.fail_after = fail;
        if (gossip_members_init(&t, &mem, &rng, 64) == IPX_OK) {
            for (uint32_t i = 0; i < 40; i++) {
                struct cert_facts f = facts_of(i);
                enum ipx_err err = gossip_members_insert(&t, &f, &m);
                CHECK(err == IPX_OK || err == IPX_NO_MEMORY);
                gossip_members_check(&t);
            }
            gossip_members_done(&t, NULL);
        }
        CHECK_EQ(mem.used, 0);
    }
}
