/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parts of the small network of dht_world.h, and its queue of events: a heap
 * ordered by time, then by the order in which they were sent.
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
        uint8_t record[DHT_VALUE_MAX];
        size_t record_len;
        struct dht_provider providers[DHT_PROVIDERS_MAX];
        size_t n_providers;
        uint64_t at_us;
        unsigned n_sent;
    } found;
    struct { /* the last STORED */
        uint32_t handle;
        enum ipx_err status;
        uint8_t why, n_acks;
        uint64_t seq, at_us;
        unsigned n;
    } stored;
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
