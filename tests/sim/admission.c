/* SPDX-License-Identifier: Apache-2.0 */
/* Admissions while the issuer is down, between whole nodes: a chain that rests on a redemption
 * outlives a restart, and a forged notice takes nobody's ticket. */
#include <stdio.h>

#include "tests/sim/world.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define N_NODES 5 /* the issuer, an admitter, a liar, a bystander, and who joins */
#define JOINER 4

static void start(struct world *w, uint64_t seed)
{
    world_init(w, &(struct world_options){.seed = seed, .n_nodes = N_NODES, .delay_us = 5000});
    world_start(w, 0);
    world_join(w, 1);
    world_join(w, 2);
    world_join(w, 3);
    world_run(w, w->now_us + 3 * US_PER_S);
    world_invite(w, JOINER);
    world_crash(w, 0); /* the issuer */
    world_run(w, w->now_us + 20 * US_PER_S);
}

static int admitted_one_restarts(struct world *w)
{
    const struct world_node *n = &w->nodes[JOINER];
    CHECK(world_is_converged(w, NULL));
    world_start(w, JOINER);
    CHECK(world_run_until(w, w->now_us + 20 * US_PER_S, world_is_converged, NULL));
    CHECK(!n->node->self.is_plain);
    for (int i = 0; i < 2; i++) {
        world_crash(w, JOINER);
        world_run(w, w->now_us + 30 * US_PER_S);
        CHECK(world_is_converged(w, NULL)); /* without it */
        world_start(w, JOINER);
        CHECK(world_run_until(w, w->now_us + 20 * US_PER_S, world_is_converged, NULL));
        CHECK(n->node != NULL && !n->is_stopped && !n->node->self.is_plain);
    }
    world_start(w, 0); /* the issuer is back: a plain certificate comes by itself */
    world_run(w, w->now_us + 30 * US_PER_S);
    CHECK(world_is_converged(w, NULL) && n->node->self.is_plain);
    return 0;
}

/* Node 2 tells all that it admitted somebody with the joiner's ticket, earlier and never true. */
static void forge(struct world *w)
{
    struct world_node *liar = &w->nodes[2];
    struct ticket ticket;
    uint8_t bytes[ADMIT_NOTICE_MAX];
    struct writer b = writer_of(bytes, sizeof(bytes));
    enum ipx_err err =
        ticket_parse(slice_of(w->nodes[JOINER].ticket, w->nodes[JOINER].ticket_len), &ticket);
    assert(err == IPX_OK);
    struct admit_notice notice = {
        .claim = {.serial = ticket.body.grant.serial, .id = w->nodes[0].key.pk, .name = "ghost"},
        .admitted_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS) - 1000,
        .admitter = liar->key.pk,
        .has_proof = true};
    memcpy(notice.issuer_tag, w->issuer.pk.bytes, sizeof(notice.issuer_tag));
    admit_notice_put(&b, &notice, &w->made.mesh, &liar->key);
    struct hash key = crypt_hash(writer_slice(&b));
    err = gossip_spread_doc(&liar->node->gossip, w->now_us, GOSSIP_DOC_REDEMPTION, &key,
                            writer_slice(&b));
    assert(err == IPX_OK);
    (void)err;
    ticket_wipe(&ticket);
    world_drain(w, liar);
}

static int forged_notice_takes_nothing(struct world *w, bool is_before)
{
    if (is_before) {
        forge(w);
        world_run(w, w->now_us + 5 * US_PER_S);
    }
    world_start(w, JOINER);
    CHECK(world_run_until(w, w->now_us + 20 * US_PER_S, world_is_converged, NULL));
    if (!is_before) {
        forge(w);
    }
    world_run(w, w->now_us + 20 * US_PER_S);
    CHECK(world_is_converged(w, NULL));
    world_crash(w, 1); /* what it heard last decides what it keeps */
    world_run(w, w->now_us + 20 * US_PER_S);
    world_start(w, 1);
    CHECK(world_run_until(w, w->now_us + 20 * US_PER_S, world_is_converged, NULL));
    return 0;
}

static int forged_before(struct world *w)
{
    return forged_notice_takes_nothing(w, true);
}

static int forged_after(struct world *w)
{
    return forged_notice_takes_nothing(w, false);
}

/* Both members that the ticket names are down, or of another mesh: told within 6 s, and who. */
static int silent_contacts_are_told_soon(struct world *w)
{
    world_crash(w, 1);
    world_run(w, w->now_us + 20 * US_PER_S);
    world_start(w, JOINER);
    const struct join *j = &w->nodes[JOINER].node->join;
    CHECK(j->ticket.n_contacts == 2);
    world_run(w, w->now_us + 5 * US_PER_S);
    CHECK(!j->is_failed); /* all five INITs had their time */
    world_run(w, w->now_us + US_PER_S);
    CHECK(j->is_failed && j->why == IPX_TIMEOUT);
    CHECK(strstr(j->detail, "10.0.0.1:7433 and 10.0.0.2:7433") != NULL);
    return 0;
}

/* One is down, and the way to the other takes 0.9 s there and back. */
static int a_slow_contact_is_waited_for(struct world *w)
{
    w->options.delay_us = 450 * US_PER_MS;
    world_start(w, JOINER);
    world_run(w, w->now_us + 15 * US_PER_S);
    CHECK(w->nodes[JOINER].node->has_cores);
    return 0;
}

int main(void)
{
    static struct world w;
    int failed = 0;
    int (*const checks[])(struct world *) = {admitted_one_restarts, forged_before, forged_after,
                                             silent_contacts_are_told_soon,
                                             a_slow_contact_is_waited_for};
    for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
        start(&w, 70 + i);
        failed |= checks[i](&w);
        world_check(&w);
        world_done(&w);
    }
    return failed;
}
