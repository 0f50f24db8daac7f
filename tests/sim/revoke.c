/* SPDX-License-Identifier: Apache-2.0 */
/* A member is revoked: out everywhere at once, with what runs for it, and for good: over restarts,
 * for newcomers, after a partition, by a revoker whose certificate nobody has seen. */
#include <stdio.h>

#include "tests/sim/world.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#define EFFECT_US (5 * US_PER_S) /* overlay 1.2 */

enum who { FIRST, OTHER, THIEF, LATE, N_NODES = 8 };

static struct slice revocation(struct world *w, const struct revoke *what, bool is_by_root)
{
    static uint8_t bytes[REVOKE_MAX];
    struct revoke r = *what;
    struct writer out = writer_of(bytes, sizeof(bytes));
    r.at_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS);
    r.reason = REVOKE_STOLEN;
    revoke_sign(&r, is_by_root ? &w->root : &w->issuer,
                is_by_root ? SLICE_EMPTY : slice_of(w->made.signer.bytes, w->made.signer.len),
                &w->made.mesh, &out);
    assert(!out.failed);
    return writer_slice(&out);
}

static enum ipx_err revoke(struct world *w, unsigned at, const struct revoke *r, bool is_by_root)
{
    struct world_node *n = &w->nodes[at];
    enum ipx_err err = node_revoke(n->node, world_local_us(n), revocation(w, r, is_by_root));
    world_drain(w, n);
    return err;
}

static struct revoke key_of(const struct world *w, unsigned i)
{
    return (struct revoke){.what = REVOKE_KEY, .key = w->nodes[i].key.pk};
}

/* What this node still has of the thief. */
static bool has_any_of(const struct world_node *n, const struct node_id *thief)
{
    struct session_info info;
    const struct gossip_member *m = gossip_find(&n->node->gossip, thief);
    return (m != NULL && gossip_member_is_live(m)) ||
           session_find(n->node->sessions, thief, &info) || conns_of_peer(n->node, thief) != NULL ||
           dht_table_find(&n->node->dht.table, thief) != NULL ||
           chains_find_id(&n->node->chains, thief) != NULL;
}

static bool is_out(struct world *w, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        const struct world_node *n = &w->nodes[i];
        if (i != THIEF && n->node != NULL && n->node->has_cores &&
            (n->node->chains.revoked.n == 0 || has_any_of(n, &w->nodes[THIEF].key.pk))) {
            return false;
        }
    }
    return true;
}

static int stays_out(struct world *w, uint64_t for_us)
{
    for (uint64_t until = w->now_us + for_us; w->now_us < until;) {
        world_run(w, w->now_us + 100 * US_PER_MS);
        CHECK(is_out(w, NULL));
    }
    return 0;
}

static int begin(struct world *w)
{
    world_make_mesh(w, 20 * US_PER_MS);
    world_run(w, w->now_us + N_NODES * 20 * US_PER_MS);
    CHECK(world_run_until(w, w->now_us + 10 * US_PER_S, world_is_converged, NULL));
    return 0;
}

static unsigned n_running(const struct world *w, unsigned node)
{
    unsigned n = 0;
    for (const struct list *l = w->processes.next; l != &w->processes; l = l->next) {
        const struct world_process *p = CONTAINER_OF_CONST(l, struct world_process, list);
        n += p->node == node && !p->is_over ? 1 : 0;
    }
    return n;
}

static bool nothing_runs(struct world *w, void *unused)
{
    unsigned n = 0;
    (void)unused;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        n += i == THIEF ? 0 : n_running(w, i);
    }
    return n == 0;
}

static bool others_work(struct world *w, void *unused)
{
    (void)unused;
    return n_running(w, FIRST) + n_running(w, OTHER) > 0;
}

/* By a new ticket, which is good for anybody else: the key is what was stolen. */
static int is_not_admitted_anew(struct world *w)
{
    struct world_node *n = &w->nodes[THIEF];
    struct crypt_keypair key = n->key;
    world_crash(w, THIEF);
    world_wipe(w, THIEF);
    n->key = key;
    world_join(w, THIEF);
    world_run(w, w->now_us + 20 * US_PER_S);
    CHECK(n->node->join.is_failed && n->node->join.why == IPX_REVOKED);
    return 0;
}

/* Its job runs on others; it is revoked at FIRST, by the issuer. */
static int out_with_its_work(struct world *w)
{
    struct revoke r = key_of(w, THIEF);
    uint64_t since;
    if (begin(w) != 0) {
        return 1;
    }
    struct world_client *c = world_submit(w, THIEF, "sleep 60000", 64, false);
    CHECK(world_run_until(w, w->now_us + 5 * US_PER_S, others_work, NULL));
    since = w->now_us;
    CHECK(revoke(w, FIRST, &r, false) == IPX_OK);
    CHECK(world_run_until(w, w->now_us + EFFECT_US, is_out, NULL));
    CHECK(world_run_until(w, since + EFFECT_US, nothing_runs, NULL));
    printf("revoked: out at %u nodes, with its work, in %llu ms\n", N_NODES - 1,
           (unsigned long long)((w->now_us - since) / US_PER_MS));
    if (stays_out(w, 30 * US_PER_S) != 0) { /* it goes on trying */
        return 1;
    }
    world_client_free(c);
    world_crash(w, THIEF);
    world_start(w, THIEF); /* a new run of it is no better */
    return stays_out(w, 30 * US_PER_S) != 0 ? 1 : is_not_admitted_anew(w);
}

/* Over restarts of those who knew, and for one who joins afterwards. */
static int for_good(struct world *w)
{
    struct revoke r = {.what = REVOKE_SERIALS};
    if (begin(w) != 0) {
        return 1;
    }
    const struct cert_facts *thief = &w->nodes[THIEF].node->self;
    memcpy(r.issuer_tag, thief->birth_issuer.bytes, sizeof(r.issuer_tag));
    r.serial_min = r.serial_max = thief->birth_serial;
    world_crash(w, LATE);
    world_wipe(w, LATE);
    CHECK(revoke(w, OTHER, &r, true) == IPX_OK);
    CHECK(revoke(w, OTHER, &r, true) == IPX_EXISTS);
    CHECK(world_run_until(w, w->now_us + EFFECT_US, is_out, NULL));
    for (unsigned i = 0; i < w->n_nodes; i++) { /* all at once: nobody is there to tell them */
        if (i != THIEF && i != LATE) {
            world_crash(w, i);
        }
    }
    for (unsigned i = 0; i < w->n_nodes; i++) {
        if (i != THIEF && i != LATE) {
            world_start(w, i);
        }
    }
    world_join(w, LATE);
    world_run(w, w->now_us + EFFECT_US);
    CHECK(w->nodes[LATE].node->has_cores && w->nodes[LATE].node->chains.revoked.n == 1);
    return stays_out(w, 30 * US_PER_S);
}

/* Revoked on one side of a partition; the thief is on the other. */
static int after_a_partition(struct world *w)
{
    struct revoke r = key_of(w, THIEF);
    if (begin(w) != 0) {
        return 1;
    }
    for (unsigned i = 0; i < N_NODES / 2; i++) {
        world_partition(w, i, i == THIEF ? 0 : 1);
    }
    world_run(w, w->now_us + 5 * US_PER_S);
    CHECK(revoke(w, FIRST, &r, true) == IPX_OK);
    world_run(w, w->now_us + 10 * US_PER_S);
    CHECK(has_any_of(&w->nodes[N_NODES - 1], &w->nodes[THIEF].key.pk));
    for (unsigned i = 0; i < N_NODES / 2; i++) {
        world_partition(w, i, 0);
    }
    CHECK(world_run_until(w, w->now_us + 60 * US_PER_S, is_out, NULL));
    return stays_out(w, 20 * US_PER_S);
}

/* The revoker is an issuer of whom only one member has heard; what it may not strike stays. */
static int by_an_unknown_issuer(struct world *w)
{
    struct crypt_keypair issuer;
    struct keys_new made;
    uint8_t seed[32], bytes[REVOKE_MAX];
    struct revoke r = key_of(w, THIEF);
    if (begin(w) != 0) {
        return 1;
    }
    do {
        rng_fill(&w->keys, seed, sizeof(seed));
    } while (crypt_keypair_from_seed(seed, &issuer) != IPX_OK);
    struct keys_new_plan plan = {.root = &w->root,
                                 .issuer = &issuer,
                                 .node = &w->nodes[OTHER].key,
                                 .lab = "lab0",
                                 .name = "x",
                                 .wall_ms = w->wall_base_ms,
                                 .issuer_serial = 8,
                                 .node_serial = 9};
    CHECK(keys_new_mesh(&plan, &made) == IPX_OK);
    struct slice cert = slice_of(made.signer.bytes, made.signer.len);
    struct hash h = crypt_hash(cert);
    struct world_node *n = &w->nodes[OTHER];
    struct writer out = writer_of(bytes, sizeof(bytes));
    r.at_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS);
    revoke_sign(&r, &issuer, cert, &w->made.mesh, &out);
    CHECK(node_revoke(n->node, world_local_us(n), writer_slice(&out)) == IPX_NEED_CHAIN);
    issuers_keep(n->node, &h, cert);
    CHECK(node_revoke(n->node, world_local_us(n), writer_slice(&out)) == IPX_OK);
    world_drain(w, n);
    world_run(w, w->now_us + EFFECT_US);
    for (unsigned i = 0; i < w->n_nodes; i++) {
        CHECK(w->nodes[i].node->chains.revoked.n == 1);
        CHECK(issuers_find(w->nodes[i].node, &h).len > 0);
    }
    CHECK(world_is_converged(w, NULL)); /* not its own: the thief is a member still */
    for (unsigned i = 0; i < w->n_nodes; i++) {
        world_crash(w, i);
        world_start(w, i);
        CHECK(w->nodes[i].node->chains.revoked.n == 1); /* proved by what was saved */
    }
    return 0;
}

/* Who hears its own revocation says so and stops; nobody is admitted by a revoked ticket. */
static int the_revoked_itself(struct world *w)
{
    if (begin(w) != 0) {
        return 1;
    }
    struct revoke r = key_of(w, THIEF);
    CHECK(revoke(w, THIEF, &r, true) == IPX_OK);
    CHECK(w->nodes[THIEF].is_stopped && w->nodes[THIEF].stop_code == 1);
    CHECK(strstr(w->nodes[THIEF].stop_text, "was revoked (stolen)") != NULL);
    world_crash(w, LATE);
    world_wipe(w, LATE);
    world_invite(w, LATE);
    struct ticket t;
    struct slice text = slice_of(w->nodes[LATE].ticket, w->nodes[LATE].ticket_len);
    CHECK(ticket_parse(text, &t) == IPX_OK);
    r = (struct revoke){.what = REVOKE_SERIALS,
                        .serial_min = t.body.grant.serial,
                        .serial_max = t.body.grant.serial};
    memcpy(r.issuer_tag, w->issuer.pk.bytes, sizeof(r.issuer_tag));
    CHECK(revoke(w, FIRST, &r, false) == IPX_OK);
    world_run(w, w->now_us + 2 * US_PER_S);
    world_start(w, LATE);
    world_run(w, w->now_us + 20 * US_PER_S);
    const struct join *j = &w->nodes[LATE].node->join;
    CHECK(j->is_failed && j->why == IPX_REVOKED);
    return 0;
}

int main(void)
{
    static struct world w;
    int failed = 0;
    int (*const checks[])(struct world *) = {out_with_its_work, for_good, after_a_partition,
                                             by_an_unknown_issuer, the_revoked_itself};
    for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
        world_init(&w,
                   &(struct world_options){.seed = 90 + i, .n_nodes = N_NODES, .delay_us = 5000});
        failed |= checks[i](&w);
        world_check(&w);
        world_done(&w);
    }
    return failed;
}
