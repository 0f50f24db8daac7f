/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The nodes of the small network of dht_world.h: keys, facts and addresses, made
 * from a seed, and what those that lie make of their answers.
 */
#include "tests/unit/dht_world_queue.h"

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
