/* SPDX-License-Identifier: Apache-2.0 */
/* Issuers. Tickets of one whose certificate the admitter has never seen: it asks the members, and
 * refuses by name only when none of them holds it. One that admits more than any lab has. */
#include <stdio.h>

#include "tests/sim/world.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

enum who { FIRST, KNOWS, ALSO, OTHERS, ADMITTER, JOINER, N_NODES };

static struct crypt_keypair some_key(struct world *w)
{
    struct crypt_keypair key;
    uint8_t seed[32];
    do {
        rng_fill(&w->keys, seed, sizeof(seed));
    } while (crypt_keypair_from_seed(seed, &key) != IPX_OK);
    return key;
}

/* Another issuer below the same root, and the chain of `node` by it. */
static struct keys_new other_issuer(struct world *w, struct crypt_keypair *issuer, unsigned node)
{
    struct keys_new made;
    *issuer = some_key(w);
    struct keys_new_plan plan = {.root = &w->root,
                                 .issuer = issuer,
                                 .node = &w->nodes[node].key,
                                 .lab = "lab0",
                                 .name = w->nodes[node].name,
                                 .wall_ms = w->wall_base_ms,
                                 .issuer_serial = 8,
                                 .node_serial = 9};
    enum ipx_err err = keys_new_mesh(&plan, &made);
    assert(err == IPX_OK);
    (void)err;
    return made;
}

static void give_ticket(struct world *w, const struct cert_signer *signer, unsigned to,
                        unsigned contact)
{
    struct ticket t;
    char text[TICKET_TEXT_SIZE];
    enum ipx_err err = IPX_REFUSED;
    int64_t wall_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS);
    struct ticket_plan plan = {
        .grant = {.serial = rng_u64(&w->keys),
                  .not_before_ms = wall_ms,
                  .not_after_ms = wall_ms + TICKET_LIFE_MS,
                  .caps = CERT_ROLE_NODE,
                  .lab = "lab0"},
        .contacts = {{.id = w->nodes[contact].key.pk, .addr = w->nodes[contact].addr}},
        .n_contacts = 1,
        .issued_by = "n3"};
    memcpy(plan.gate_key, w->gate, sizeof(plan.gate_key));
    while (err == IPX_REFUSED) {
        rng_fill(&w->keys, plan.seed, sizeof(plan.seed));
        err = ticket_make(signer, &plan, wall_ms, &t);
    }
    assert(err == IPX_OK);
    size_t len = ticket_print(&t, text);
    mem_free(&w->mem, w->nodes[to].ticket);
    w->nodes[to].ticket = mem_dup(&w->mem, text, len);
    w->nodes[to].ticket_len = len;
    ticket_wipe(&t);
}

/* The node of the second issuer is a member, then it is gone; the admitter comes after that. */
static int prepare(struct world *w, const struct keys_new *made)
{
    struct world_node *others = &w->nodes[OTHERS], *knows = &w->nodes[KNOWS];
    uint32_t request_id;
    world_start(w, FIRST);
    world_join(w, KNOWS);
    world_join(w, ALSO);
    others->disk.files[NODE_SAVE_CHAIN] = mem_dup(&w->mem, made->chain, made->chain_len);
    others->disk.len[NODE_SAVE_CHAIN] = made->chain_len;
    world_start(w, OTHERS);
    world_run(w, w->now_us + 3 * US_PER_S);
    CHECK(session_ping(knows->node->sessions, w->now_us, &others->key.pk, &others->addr,
                       &request_id) == IPX_OK);
    world_drain(w, knows);
    CHECK(world_run_until(w, w->now_us + 30 * US_PER_S, world_is_converged, NULL));
    world_crash(w, OTHERS);
    world_run(w, w->now_us + 120 * US_PER_S);
    world_join(w, ADMITTER);
    world_run(w, w->now_us + 5 * US_PER_S);
    CHECK(world_is_converged(w, NULL));
    struct hash h = crypt_hash(slice_of(made->signer.bytes, made->signer.len));
    CHECK(issuers_find(w->nodes[ADMITTER].node, &h).len == 0);
    CHECK(issuers_find(w->nodes[KNOWS].node, &h).len > 0);
    return 0;
}

static int a_member_knows_it(struct world *w)
{
    struct crypt_keypair issuer;
    struct keys_new made = other_issuer(w, &issuer, OTHERS);
    if (prepare(w, &made) != 0) {
        return 1;
    }
    give_ticket(w, &made.signer, JOINER, ADMITTER);
    world_start(w, JOINER);
    CHECK(world_run_until(w, w->now_us + 4 * US_PER_S, world_is_converged, NULL));
    CHECK(w->nodes[JOINER].node->has_cores);
    return 0;
}

static int nobody_knows_it(struct world *w)
{
    struct crypt_keypair issuer, stranger;
    struct keys_new made = other_issuer(w, &issuer, OTHERS);
    struct keys_new unseen = other_issuer(w, &stranger, OTHERS);
    if (prepare(w, &made) != 0) {
        return 1;
    }
    give_ticket(w, &unseen.signer, JOINER, ADMITTER);
    world_start(w, JOINER);
    world_run(w, w->now_us + 5 * US_PER_S);
    const struct join *j = &w->nodes[JOINER].node->join;
    CHECK(j->is_failed && j->why == IPX_UNKNOWN_ISSUER);

    return 0;
}

static unsigned n_alarms(const struct node *n)
{
    unsigned count = 0;
    struct events_one v;
    for (uint64_t seq = n->events.first; events_get(&n->events, seq, &v) == IPX_OK; seq++) {
        count += v.kind == EVENTS_MANY_ADMITTED ? 1 : 0;
    }
    return count;
}

/* A member's word that it admitted somebody by a ticket of this issuer. */
static bool tell_of_one(struct world *w, const struct crypt_keypair *issuer, uint64_t serial,
                        int64_t at_ms)
{
    uint8_t bytes[ADMIT_NOTICE_MAX];
    struct crypt_keypair somebody = some_key(w);
    struct admit_notice notice = {.claim = {.serial = serial, .id = somebody.pk, .name = "x"},
                                  .admitted_ms = at_ms,
                                  .admitter = w->nodes[FIRST].key.pk};
    struct writer out = writer_of(bytes, sizeof(bytes));
    memcpy(notice.issuer_tag, issuer->pk.bytes, sizeof(notice.issuer_tag));
    admit_notice_put(&out, &notice, &w->made.mesh, &w->nodes[FIRST].key);
    assert(!out.failed);
    return admission_on_doc(w->nodes[KNOWS].node, writer_slice(&out));
}

/* Two issuers, one of them busier than any lab: people are told, once. */
static int one_admits_too_many(struct world *w)
{
    struct crypt_keypair quiet = some_key(w);
    const struct node *n;
    world_start(w, FIRST);
    world_join(w, KNOWS);
    world_run(w, w->now_us + 5 * US_PER_S);
    n = w->nodes[KNOWS].node;
    CHECK(n->has_cores);
    int64_t wall_ms = node_wall_ms(n);
    uint32_t had = admit_book_count_since(&n->book, w->issuer.pk.bytes, 0);
    for (uint64_t i = 0; i < 200; i++) {
        CHECK(tell_of_one(w, &quiet, i, wall_ms));
    }
    for (uint64_t i = had; i < ADMISSION_DAY_MAX; i++) {
        CHECK(tell_of_one(w, &w->issuer, 1000 + i, wall_ms));
    }
    CHECK(n_alarms(n) == 0);
    for (uint64_t i = 0; i < 5; i++) {
        CHECK(tell_of_one(w, &w->issuer, 5000 + i, wall_ms));
    }
    CHECK(n_alarms(n) == 1);
    return 0;
}

int main(void)
{
    static struct world w;
    int failed = 0;
    int (*const checks[])(struct world *) = {a_member_knows_it, nobody_knows_it,
                                             one_admits_too_many};
    for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
        world_init(&w,
                   &(struct world_options){.seed = 80 + i, .n_nodes = N_NODES, .delay_us = 5000});
        failed |= checks[i](&w);
        world_check(&w);
        world_done(&w);
    }
    return failed;
}
