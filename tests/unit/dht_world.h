/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A small network of whole DHT objects on virtual time: delay, loss, nodes that
 * are down and nodes that lie. Sessions are modelled by the facts that come with
 * each message; the first request to a stranger is an early one, as in a handshake.
 */
#include "dht/dht.h"
#include "tests/harness.h"

#define WORLD_NODES_MAX 200
#define WORLD_FAKES 32
#define WORLD_WALL_MS INT64_C(1800000000000)

enum world_kind { WORLD_HONEST, WORLD_SILENT, WORLD_GARBAGE, WORLD_NONCE_LIAR, WORLD_CHASE };

struct world_node {
    struct dht d;
    struct crypt_keypair key;
    struct cert_facts facts;
    struct addr addr;
    enum world_kind kind;
    bool is_up;
    struct dht_pos asked; /* target of the last question: what a liar lies about */
    uint64_t tick_us;     /* earliest tick in the queue */
    uint32_t n_learned, n_joined, n_saves, n_wakes;
    uint64_t joined_us;
    struct { /* the last FOUND */
        uint32_t handle;
        enum ipx_err status;
        size_t n;
        struct dht_found nodes[DHT_K];
        uint8_t record[DHT_RECORD_MAX];
        size_t record_len;
        uint64_t at_us;
        unsigned n_sent;
    } found;
};

struct world_event {
    uint64_t at_us, order;
    int from, to;    /* from -1: a tick of `to` */
    uint8_t type;    /* 0: the session is confirmed */
    bool is_strange; /* first contact */
    uint32_t req_id;
    size_t len;
    uint8_t body[DHT_BODY_MAX];
};

struct world {
    struct mem mem;
    struct rng rng;
    struct mesh_id mesh;
    uint64_t now_us, next_order;
    int n;
    unsigned loss_permille;
    uint64_t delay_min_us, delay_max_us; /* one way */
    uint64_t n_messages, n_bytes;
    struct world_node *nodes;
    bool *sessions; /* n * n */
    struct crypt_keypair fakes[WORLD_FAKES];
    struct world_event **heap;
    size_t n_heap, heap_cap;
};

static bool world_before(const struct world_event *a, const struct world_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void world_push(struct world *w, struct world_event *e)
{
    e->order = w->next_order++;
    if (w->n_heap == w->heap_cap) {
        w->heap_cap = w->heap_cap * 2 + 64;
        w->heap = realloc(w->heap, w->heap_cap * sizeof(struct world_event *));
    }
    size_t i = w->n_heap++;
    for (; i > 0 && world_before(e, w->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        w->heap[i] = w->heap[(i - 1) / 2];
    }
    w->heap[i] = e;
}

static struct world_event *world_pop(struct world *w)
{
    struct world_event *first = w->heap[0], *last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c + 1 < w->n_heap && world_before(w->heap[c + 1], w->heap[c])) {
            c++;
        }
        if (c >= w->n_heap || !world_before(w->heap[c], last)) {
            break;
        }
        w->heap[i] = w->heap[c];
        i = c;
    }
    w->heap[i] = last;
    return first;
}

static struct crypt_keypair world_key(uint64_t number)
{
    struct crypt_keypair key;
    uint8_t seed[32] = {0};
    for (uint64_t salt = 0;; salt++) {
        store_be64(seed, number);
        store_be64(seed + 8, salt);
        if (crypt_keypair_from_seed(seed, &key) == IPX_OK) {
            return key;
        }
    }
}

static struct cert_facts world_facts(const struct mesh_id *mesh, const struct node_id *id,
                                     const uint8_t nonce[static 16])
{
    struct cert_facts f = {.id = *id,
                           .caps = CERT_ROLE_NODE,
                           .not_after_ms = WORLD_WALL_MS + CERT_NODE_LIFE_MS,
                           .is_plain = true};
    memcpy(f.nonce, nonce, 16);
    f.pos = dht_pos_of(mesh, nonce, id);
    return f;
}

static void world_node_init(struct world *w, int i, const struct dht_config *extra)
{
    struct world_node *node = &w->nodes[i];
    struct dht_config config = {.mesh = w->mesh, .key = &node->key, .mem = &w->mem};
    if (extra != NULL) {
        config = *extra;
        config.mesh = w->mesh;
        config.key = &node->key;
        config.mem = &w->mem;
    }
    memcpy(config.nonce, node->facts.nonce, 16);
    rng_fill(&w->rng, config.seed, sizeof(config.seed));
    CHECK_OK(dht_init(&node->d, w->now_us, &config));
    dht_on_clock(&node->d, w->now_us, WORLD_WALL_MS + (int64_t)(w->now_us / 1000));
    node->is_up = true;
    node->n_learned = node->n_joined = node->n_saves = node->n_wakes = 0;
    node->tick_us = NEVER_US;
    node->joined_us = NEVER_US;
}

static void world_init(struct world *w, int n, uint64_t seed)
{
    uint8_t nonce[16];
    *w = (struct world){.n = n, .delay_min_us = 20000, .delay_max_us = 60000, .now_us = 1000000};
    mem_init(&w->mem, SIZE_MAX);
    rng_init_int(&w->rng, seed);
    rng_fill(&w->rng, w->mesh.bytes, sizeof(w->mesh.bytes));
    w->nodes = calloc((size_t)n, sizeof(struct world_node));
    w->sessions = calloc((size_t)n * (size_t)n, sizeof(bool));
    for (int i = 0; i < WORLD_FAKES; i++) {
        w->fakes[i] = world_key(seed * 100000 + 50000 + (uint64_t)i);
    }
    for (int i = 0; i < n; i++) {
        struct world_node *node = &w->nodes[i];
        node->key = world_key(seed * 100000 + (uint64_t)i);
        rng_fill(&w->rng, nonce, sizeof(nonce));
        node->facts = world_facts(&w->mesh, &node->key.pk, nonce);
        node->addr = (struct addr){.family = ADDR_V4,
                                   .ip = {10, 0, (uint8_t)(i / 200), (uint8_t)(1 + i % 200)},
                                   .port = 7433};
        world_node_init(w, i, NULL);
    }
}

static void world_done(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        dht_done(&w->nodes[i].d);
    }
    while (w->n_heap > 0) {
        free(world_pop(w));
    }
    free(w->heap);
    free(w->nodes);
    free(w->sessions);
    CHECK_EQ(w->mem.used, 0);
}

static int world_index(const struct world *w, const struct node_id *id)
{
    for (int i = 0; i < w->n; i++) {
        if (node_id_equal(&w->nodes[i].key.pk, id)) {
            return i;
        }
    }
    return -1;
}

static struct dht_contact world_contact(const struct world *w, int i)
{
    struct dht_contact c = {.id = w->nodes[i].key.pk, .addr = w->nodes[i].addr};
    memcpy(c.nonce, w->nodes[i].facts.nonce, 16);
    return c;
}

/* A nonce which brings the key near the target: some hundred draws, as a liar has them. */
static void world_nonce_near(struct world *w, const struct node_id *id,
                             const struct dht_pos *target, uint8_t ret[static 16])
{
    struct dht_pos best = {{0}};
    for (int t = 0; t < 200; t++) {
        uint8_t nonce[16];
        rng_fill(&w->rng, nonce, sizeof(nonce));
        struct dht_pos p = dht_pos_of(&w->mesh, nonce, id);
        if (t == 0 || dht_pos_compare(target, &p, &best) < 0) {
            best = p;
            memcpy(ret, nonce, 16);
        }
    }
}

/* What a liar makes of its answer. */
static void world_lie(struct world *w, const struct world_node *from, struct world_event *e)
{
    struct dht_wire_msg m;
    if (e->type != DHT_NODES && e->type != DHT_VALUE) {
        return;
    }
    if (from->kind == WORLD_GARBAGE) {
        rng_fill(&w->rng, e->body, e->len);
        return;
    }
    if (from->kind != WORLD_NONCE_LIAR && from->kind != WORLD_CHASE) {
        return;
    }
    CHECK_OK(dht_wire_decode(e->type, slice_of(e->body, e->len), &m));
    for (size_t i = 0; i < m.n_contacts; i++) {
        if (from->kind == WORLD_CHASE) {
            m.contacts[i].id = w->fakes[rng_below(&w->rng, WORLD_FAKES)].pk;
            m.contacts[i].addr.ip[1] = 99;
        }
        world_nonce_near(w, &m.contacts[i].id, &from->asked, m.contacts[i].nonce);
    }
    struct writer out = writer_of(e->body, sizeof(e->body));
    dht_wire_encode(&m, &out);
    e->len = out.len;
}

static uint64_t world_delay(struct world *w)
{
    return w->delay_min_us + rng_below(&w->rng, w->delay_max_us - w->delay_min_us + 1);
}

static struct world_event *world_send(struct world *w, int from, int to, uint8_t type)
{
    struct world_event *e = calloc(1, sizeof(*e));
    e->from = from;
    e->to = to;
    e->type = type;
    e->at_us = w->now_us + world_delay(w);
    return e;
}

static void world_on_send(struct world *w, int i, const struct dht_action *a)
{
    int to = world_index(w, &a->send.to);
    w->n_messages++;
    w->n_bytes += a->send.body.len;
    if (to < 0 || rng_chance(&w->rng, w->loss_permille)) {
        return; /* nobody has this key, or lost */
    }
    CHECK(addr_equal(&a->send.addr, &w->nodes[to].addr));
    struct world_event *e = world_send(w, i, to, a->send.type);
    bool is_strange = !w->sessions[i * w->n + to];
    e->req_id = a->send.req_id;
    e->len = a->send.body.len;
    memcpy(e->body, a->send.body.data, e->len);
    e->is_strange = is_strange && dht_type_is_request(e->type) && e->type != DHT_STORE;
    if (is_strange && e->type == DHT_STORE) { /* needs a confirmed session first */
        e->at_us += world_delay(w) + world_delay(w);
        w->sessions[i * w->n + to] = w->sessions[to * w->n + i] = true;
    }
    world_lie(w, &w->nodes[i], e);
    world_push(w, e);
}

static void world_on_found(struct world *w, struct world_node *node, const struct dht_action *a)
{
    CHECK_EQ(a->found.n_nodes <= DHT_K, 1);
    node->found.handle = a->found.handle;
    node->found.status = a->found.status;
    node->found.n = a->found.n_nodes;
    memcpy(node->found.nodes, a->found.nodes, a->found.n_nodes * sizeof(struct dht_found));
    node->found.record_len = a->found.record.len;
    if (a->found.record.len > 0) {
        memcpy(node->found.record, a->found.record.data, a->found.record.len);
    }
    node->found.at_us = w->now_us;
    node->found.n_sent = node->d.told->lookup.n_sent;
}

static void world_drain(struct world *w, int i)
{
    struct world_node *node = &w->nodes[i];
    struct dht_action a;
    unsigned n = 0;
    while (dht_poll(&node->d, &a)) {
        CHECK(++n < 2000);
        switch (a.kind) {
        case DHT_ACTION_SEND:
            world_on_send(w, i, &a);
            break;
        case DHT_ACTION_FOUND:
            world_on_found(w, node, &a);
            break;
        case DHT_ACTION_LEARNED:
            node->n_learned++;
            CHECK(world_index(w, &a.learned.id) >= 0);
            break;
        case DHT_ACTION_JOINED:
            node->n_joined++;
            node->joined_us = w->now_us;
            break;
        case DHT_ACTION_SAVE:
            node->n_saves++;
            break;
        case DHT_ACTION_PERSIST_SEQ:
            dht_on_seq_stored(&node->d, w->now_us, a.seq);
            break;
        }
    }
    uint64_t due = dht_deadline(&node->d);
    if (due < node->tick_us) {
        struct world_event *e = world_send(w, -1, i, 0);
        e->at_us = IPX_MAX(due, w->now_us);
        node->tick_us = due;
        world_push(w, e);
    }
}

static void world_deliver(struct world *w, struct world_event *e)
{
    struct world_node *from = &w->nodes[e->from], *to = &w->nodes[e->to];
    if (e->type == 0) {
        dht_on_session(&to->d, w->now_us, &from->facts, &from->addr);
        return;
    }
    if (to->kind == WORLD_SILENT) {
        return;
    }
    if (e->type == DHT_FIND_NODE || e->type == DHT_GET) {
        struct dht_wire_msg m;
        CHECK_OK(dht_wire_decode(e->type, slice_of(e->body, e->len), &m));
        to->asked = m.target;
    }
    struct dht_msg msg = {.facts = &from->facts,
                          .addr = &from->addr,
                          .req_id = e->req_id,
                          .type = e->type,
                          .is_early = e->is_strange,
                          .body = slice_of(e->body, e->len)};
    dht_recv(&to->d, w->now_us, &msg);
    bool *session = &w->sessions[e->to * w->n + e->from];
    if (dht_type_is_reply(e->type) && !*session) {
        *session = w->sessions[e->from * w->n + e->to] = true;
        world_push(w, world_send(w, e->to, e->from, 0));
    }
}

static void world_run(struct world *w, uint64_t until_us)
{
    while (w->n_heap > 0 && w->heap[0]->at_us <= until_us) {
        struct world_event *e = world_pop(w);
        struct world_node *to = &w->nodes[e->to];
        w->now_us = e->at_us;
        if (to->is_up && e->from < 0) {
            to->tick_us = NEVER_US;
            to->n_wakes++;
            dht_tick(&to->d, w->now_us);
        } else if (to->is_up && w->nodes[e->from].is_up) {
            world_deliver(w, e);
        }
        if (to->is_up) {
            world_drain(w, e->to);
            if (w->next_order % 64 == 0) {
                dht_check(&to->d);
            }
        }
        free(e);
    }
    w->now_us = until_us;
}

/* Node i enters by the contacts of a and b. */
static void world_join(struct world *w, int i, int a, int b)
{
    struct dht_contact c[2] = {world_contact(w, a), world_contact(w, b)};
    c[1].flags = DHT_FLAG_NO_NONCE; /* as in a ticket */
    memset(c[1].nonce, 0, sizeof(c[1].nonce));
    CHECK_OK(dht_bootstrap(&w->nodes[i].d, w->now_us, c, 2));
    dht_join(&w->nodes[i].d, w->now_us);
    world_drain(w, i);
}

/* All but node 0 join, one every `gap_us`, by members chosen at random. */
static __attribute__((unused)) void world_join_all(struct world *w, uint64_t gap_us)
{
    for (int i = 1; i < w->n; i++) {
        world_join(w, i, (int)rng_below(&w->rng, (uint64_t)i),
                   (int)rng_below(&w->rng, (uint64_t)i));
        world_run(w, w->now_us + gap_us);
    }
}

static __attribute__((unused)) void world_kill(struct world *w, int i)
{
    w->nodes[i].is_up = false;
}

/* The node nearest to the target that is up and of a kind that answers. */
static __attribute__((unused)) int world_nearest(const struct world *w, const struct dht_pos *t,
                                                 int except)
{
    int best = -1;
    for (int i = 0; i < w->n; i++) {
        bool answers = w->nodes[i].kind != WORLD_SILENT && w->nodes[i].kind != WORLD_GARBAGE;
        if (i != except && w->nodes[i].is_up && answers &&
            (best < 0 ||
             dht_pos_compare(t, &w->nodes[i].facts.pos, &w->nodes[best].facts.pos) < 0)) {
            best = i;
        }
    }
    return best;
}
