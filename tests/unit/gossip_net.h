/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A network of gossip objects in virtual time: delay, loss, crash, pause, partition.
 * It plays the node layer: it carries messages, "verifies" chains, fetches documents. A chain
 * here is the key, the admission time and padding to a usual length.
 */
#include "gossip/gossip.h"
#include "tests/harness.h"

#define NET_MAX 160
#define NET_CHAIN_LEN 660

struct net_packet { /* or a timer of `to`: type 0 */
    uint64_t at_us, order;
    uint16_t from, to;
    uint8_t type;
    uint32_t req_id;
    uint16_t len;
    uint8_t *body;
};

struct net_node {
    struct gossip g;
    struct mem mem;
    struct crypt_keypair key;
    struct cert_facts facts;
    struct addr addr;
    uint8_t chain[NET_CHAIN_LEN];
    struct gossip_boot boot;
    bool is_up;
    uint64_t stalled_until_us;
    uint8_t group;                            /* nodes of different groups do not hear each other */
    uint64_t due_us;                          /* of its timer */
    uint64_t armed_us;                        /* the earliest timer of it in the heap; NEVER_US */
    uint64_t n_in, n_out, bytes_out, n_timer; /* packets, bodies + 39 of header, own timers */
    unsigned n_ups, n_downs, n_suspects, n_ads, n_docs, n_fetches, n_clones, n_vitals;
    struct gossip_boot clone;
    bool refuses_docs;
    uint32_t capacity; /* of the zone as it sees it; 0: usual */
};

struct net {
    struct net_node *nodes;
    unsigned n, n_max;
    uint16_t *index; /* from the first bytes of a key; open addressing */
    size_t index_size;
    uint64_t now_us;
    struct rng rng;
    uint64_t delay_us, jitter_us;
    unsigned loss_permille;
    struct net_packet *heap;
    size_t n_heap, heap_cap;
    uint64_t order;
    struct mesh_id mesh;
    size_t chain_len; /* <= NET_CHAIN_LEN */
    bool is_checked;  /* gossip_check after every step */
    void (*on_down)(struct net *net, unsigned node, const struct gossip_member *m);
    uint64_t n_lost;
};

static inline void net_facts(const uint8_t *chain, size_t len, struct cert_facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->id.bytes, chain, 32);
    ret->admitted_ms = (int64_t)load_be64(chain + 32);
    snprintf(ret->name, sizeof(ret->name), "%.*s", CERT_NAME_MAX, (const char *)chain + 40);
    snprintf(ret->lab, sizeof(ret->lab), "lab");
    ret->caps = CERT_ROLE_NODE;
    ret->not_after_ms = INT64_MAX / 2;
    ret->chain_hash = crypt_hash(slice_of(chain, len));
    ret->is_plain = true;
}

static inline void net_key(unsigned i, struct crypt_keypair *ret)
{
    uint8_t seed[32] = {0};
    store_be32(seed, i + 1);
    while (crypt_keypair_from_seed(seed, ret) != IPX_OK) {
        seed[31]++;
    }
}

static inline void net_chain(const struct net_node *x, const char *name, uint64_t admitted_ms,
                             uint8_t out[static NET_CHAIN_LEN])
{
    memset(out, 0x5a, NET_CHAIN_LEN);
    memcpy(out, x->key.pk.bytes, 32);
    store_be64(out + 32, admitted_ms);
    snprintf((char *)out + 40, CERT_NAME_MAX + 1, "%s", name);
}

static inline void net_drain(struct net *net, unsigned i);

static inline void net_start(struct net *net, unsigned i)
{
    struct net_node *x = &net->nodes[i];
    struct rng rng;
    rng_init_int(&rng, rng_u64(&net->rng));
    x->boot.generation++;
    x->boot.nonce = rng_u64(&net->rng);
    struct gossip_config config = {.self = &x->facts,
                                   .chain = slice_of(x->chain, net->chain_len),
                                   .key = &x->key,
                                   .mesh = net->mesh,
                                   .boot = x->boot,
                                   .addrs = &x->addr,
                                   .n_addrs = 1,
                                   .capacity = x->capacity,
                                   .mem = &x->mem,
                                   .rng = &rng,
                                   .now_us = net->now_us};
    CHECK_OK(gossip_init(&x->g, &config));
    x->is_up = true;
    x->stalled_until_us = 0;
    net_drain(net, i);
}

static inline size_t net_index_at(const struct net *net, const struct node_id *id)
{
    return (size_t)(load_be64(id->bytes) % net->index_size);
}

static inline void net_init(struct net *net, unsigned n, uint64_t seed)
{
    CHECK_OK(crypt_init());
    memset(net, 0, sizeof(*net));
    net->nodes = calloc(n, sizeof(*net->nodes));
    net->n = net->n_max = n;
    net->index_size = 4 * (size_t)n + 1;
    net->index = malloc(net->index_size * sizeof(*net->index));
    memset(net->index, 0xff, net->index_size * sizeof(*net->index));
    net->now_us = US_PER_S;
    net->chain_len = NET_CHAIN_LEN;
    net->delay_us = 200;
    net->jitter_us = 300;
    net->is_checked = true;
    rng_init_int(&net->rng, seed);
    memset(net->mesh.bytes, 7, sizeof(net->mesh.bytes));
    for (unsigned i = 0; i < n; i++) {
        struct net_node *x = &net->nodes[i];
        char name[CERT_NAME_MAX + 1];
        mem_init(&x->mem, SIZE_MAX);
        net_key(i, &x->key);
        snprintf(name, sizeof(name), "n%u", i);
        net_chain(x, name, i, x->chain);
        net_facts(x->chain, net->chain_len, &x->facts);
        x->addr.family = ADDR_V4;
        x->addr.ip[0] = 10;
        x->addr.ip[2] = (uint8_t)(i >> 8);
        x->addr.ip[3] = (uint8_t)i;
        x->addr.port = 7433;
        x->due_us = x->armed_us = NEVER_US;
        size_t at = net_index_at(net, &x->key.pk);
        while (net->index[at] != UINT16_MAX) {
            at = (at + 1) % net->index_size;
        }
        net->index[at] = (uint16_t)i;
    }
}

static inline void net_stop(struct net *net, unsigned i)
{
    struct net_node *x = &net->nodes[i];
    if (x->is_up) {
        x->is_up = false;
        x->due_us = NEVER_US;
        gossip_done(&x->g);
        CHECK_EQ(x->mem.used, 0);
    }
}

static inline void net_done(struct net *net)
{
    for (unsigned i = 0; i < net->n; i++) {
        net_stop(net, i);
    }
    for (size_t i = 0; i < net->n_heap; i++) {
        free(net->heap[i].body);
    }
    free(net->heap);
    free(net->index);
    free(net->nodes);
}

/* Number of the node with this key, of those that take part; -1 if there is none. */
static inline int net_index(const struct net *net, const struct node_id *id)
{
    for (size_t at = net_index_at(net, id); net->index[at] != UINT16_MAX;
         at = (at + 1) % net->index_size) {
        if (memcmp(net->nodes[net->index[at]].key.pk.bytes, id->bytes, 32) == 0) {
            return net->index[at] < net->n ? net->index[at] : -1;
        }
    }
    return -1;
}

static inline bool packet_before(const struct net_packet *a, const struct net_packet *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static inline void net_push(struct net *net, struct net_packet p)
{
    if (net->n_heap == net->heap_cap) {
        net->heap_cap = net->heap_cap == 0 ? 1024 : net->heap_cap * 2;
        net->heap = realloc(net->heap, net->heap_cap * sizeof(*net->heap));
    }
    size_t i = net->n_heap++;
    while (i > 0 && packet_before(&p, &net->heap[(i - 1) / 2])) {
        net->heap[i] = net->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    net->heap[i] = p;
}

static inline struct net_packet net_pop(struct net *net)
{
    struct net_packet top = net->heap[0];
    struct net_packet last = net->heap[--net->n_heap];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= net->n_heap) {
            break;
        }
        if (c + 1 < net->n_heap && packet_before(&net->heap[c + 1], &net->heap[c])) {
            c++;
        }
        if (!packet_before(&net->heap[c], &last)) {
            break;
        }
        net->heap[i] = net->heap[c];
        i = c;
    }
    if (net->n_heap > 0) {
        net->heap[i] = last;
    }
    return top;
}

static inline void net_send(struct net *net, unsigned from, unsigned to, uint8_t type,
                            uint32_t req_id, struct slice body)
{
    if (rng_chance(&net->rng, net->loss_permille)) {
        net->n_lost++;
        return;
    }
    struct net_packet p = {.from = (uint16_t)from,
                           .to = (uint16_t)to,
                           .type = type,
                           .req_id = req_id,
                           .len = (uint16_t)body.len};
    p.at_us = net->now_us + net->delay_us +
              (net->jitter_us > 0 ? rng_below(&net->rng, net->jitter_us) : 0);
    p.order = net->order++;
    p.body = malloc(body.len + 1);
    memcpy(p.body, body.data, body.len);
    net_push(net, p);
}

/* A timer in the heap for what is due; an earlier one there finds that and arms again. */
static inline void net_arm(struct net *net, unsigned i)
{
    struct net_node *x = &net->nodes[i];
    if (x->due_us < x->armed_us) {
        x->armed_us = x->due_us;
        net_push(net, (struct net_packet){.at_us = x->due_us, .to = (uint16_t)i});
    }
}

static inline void net_action(struct net *net, unsigned i, const struct gossip_action *a)
{
    struct net_node *x = &net->nodes[i];
    switch (a->type) {
    case GOSSIP_ACTION_SEND: {
        int to = net_index(net, &a->u.send.to.id);
        CHECK(a->u.send.body.len <= GOSSIP_BODY_MAX);
        x->n_out++;
        x->bytes_out += a->u.send.body.len + 39; /* session header, tag, message header */
        if (to >= 0) {
            net_send(net, i, (unsigned)to, a->u.send.type, a->u.send.req_id, a->u.send.body);
        }
        break;
    }
    case GOSSIP_ACTION_MEMBER_UP:
        x->n_ups++;
        break;
    case GOSSIP_ACTION_MEMBER_SUSPECT:
        x->n_suspects++;
        break;
    case GOSSIP_ACTION_MEMBER_DOWN:
        x->n_downs++;
        if (net->on_down != NULL) {
            net->on_down(net, i, a->u.member);
        }
        break;
    case GOSSIP_ACTION_AD_CHANGED:
        x->n_ads++;
        break;
    case GOSSIP_ACTION_VITALS_CHANGED:
        x->n_vitals++;
        break;
    case GOSSIP_ACTION_NEED_CHAIN: {
        struct cert_facts facts;
        net_facts(a->u.chain.chain.data, a->u.chain.chain.len, &facts);
        if (net_index(net, &facts.id) >= 0) {
            gossip_on_chain(&x->g, net->now_us, &facts, a->u.chain.chain);
        } else {
            gossip_on_chain_failed(&x->g, net->now_us, &a->u.chain.id);
        }
        break;
    }
    case GOSSIP_ACTION_FETCH_AD: {
        int from = net_index(net, &a->u.fetch.from.id);
        x->n_fetches++;
        if (from >= 0 && net->nodes[from].is_up) {
            struct slice doc = gossip_get_doc(&net->nodes[from].g, &a->u.fetch.id);
            uint8_t copy[GOSSIP_AD_ITEM_MAX];
            memcpy(copy, doc.data, doc.len);
            err_ignore(gossip_on_doc(&x->g, net->now_us, &net->nodes[from].key.pk,
                                     slice_of(copy, doc.len)),
                       "it may have been superseded");
        }
        break;
    }
    case GOSSIP_ACTION_DOC: {
        struct hash key = a->u.doc.key;
        x->n_docs++;
        gossip_accept_doc(&x->g, net->now_us, &key, !x->refuses_docs);
        break;
    }
    case GOSSIP_ACTION_CLONE:
        x->n_clones++;
        x->clone = a->u.clone;
        break;
    }
}

static inline void net_drain(struct net *net, unsigned i)
{
    struct net_node *x = &net->nodes[i];
    struct gossip_action a;
    while (gossip_poll(&x->g, &a)) {
        net_action(net, i, &a);
    }
    if (net->is_checked) {
        gossip_check(&x->g);
    }
    x->due_us = gossip_deadline(&x->g);
    if (x->due_us != NEVER_US && x->due_us < x->stalled_until_us) {
        x->due_us = x->stalled_until_us;
    }
    net_arm(net, i);
}

static inline void net_join(struct net *net, unsigned i, unsigned via)
{
    struct gossip_peer peer = {.id = net->nodes[via].key.pk, .addr = net->nodes[via].addr};
    gossip_on_join(&net->nodes[i].g, net->now_us, &peer);
    net_drain(net, i);
}

static inline void net_deliver(struct net *net, struct net_packet p)
{
    struct net_node *x = &net->nodes[p.to];
    const struct net_node *from = &net->nodes[p.from];
    if (x->is_up && p.at_us < x->stalled_until_us) {
        p.at_us = x->stalled_until_us; /* it waits in the socket, behind the timers */
        p.order = net->order++;
        net_push(net, p);
        return;
    }
    if (x->is_up && x->group == from->group) {
        x->n_in++;
        gossip_recv(&x->g, net->now_us, &from->facts, &from->addr, p.type, p.req_id,
                    slice_of(p.body, p.len));
        net_drain(net, p.to);
    }
    free(p.body);
}

/* False: it was armed for something that is later by now, or never. */
static inline bool net_timer(struct net *net, struct net_packet p)
{
    struct net_node *x = &net->nodes[p.to];
    if (p.at_us != x->armed_us) {
        return false; /* an earlier one was armed since */
    }
    x->armed_us = NEVER_US;
    bool is_due = x->is_up && p.to < net->n && x->due_us <= p.at_us;
    if (is_due) {
        x->n_timer++;
        gossip_tick(&x->g, net->now_us);
        net_drain(net, p.to);
    } else if (x->is_up && x->due_us != NEVER_US) {
        net_arm(net, p.to);
    }
    return is_due;
}

/* Until the time, or until `done` says so (asked after every step). */
static inline bool net_run(struct net *net, uint64_t until_us, bool (*done)(const struct net *))
{
    while (net->n_heap > 0 && net->heap[0].at_us <= until_us) {
        struct net_packet p = net_pop(net);
        net->now_us = IPX_MAX(net->now_us, p.at_us);
        if (p.type == 0) {
            if (!net_timer(net, p)) {
                continue;
            }
        } else {
            net_deliver(net, p);
        }
        if (done != NULL && done(net)) {
            return true;
        }
    }
    net->now_us = IPX_MAX(net->now_us, until_us);
    return false;
}

static inline void net_for(struct net *net, uint64_t us)
{
    net_run(net, net->now_us + us, NULL);
}

/* Does `i` hold `j` for live (of its present boot)? */
static inline bool net_sees(const struct net *net, unsigned i, unsigned j)
{
    const struct gossip_member *m = gossip_find(&net->nodes[i].g, &net->nodes[j].key.pk);
    return m != NULL && gossip_member_is_live(m) &&
           gossip_boot_compare(&m->boot, &net->nodes[j].boot) == 0;
}

static inline bool net_all_know_all(const struct net *net)
{
    unsigned n_up = 0;
    for (unsigned i = 0; i < net->n; i++) {
        n_up += net->nodes[i].is_up ? 1 : 0;
    }
    for (unsigned i = 0; i < net->n; i++) {
        if (net->nodes[i].is_up && gossip_n_live(&net->nodes[i].g) < n_up) {
            return false;
        }
    }
    for (unsigned i = 0; i < net->n; i++) {
        for (unsigned j = 0; net->nodes[i].is_up && j < net->n; j++) {
            if (net->nodes[j].is_up && !net_sees(net, i, j)) {
                return false;
            }
        }
    }
    return true;
}

/* All nodes start within `spread_us`; each joins by one that started before it. */
static inline void net_mass_start(struct net *net, uint64_t spread_us, bool by_first)
{
    uint64_t begin_us = net->now_us;
    for (unsigned i = 0; i < net->n; i++) {
        net_run(net, begin_us + (net->n > 1 ? spread_us * i / (net->n - 1) : 0), NULL);
        net_start(net, i);
        if (i > 0) {
            net_join(net, i, by_first ? 0 : (unsigned)rng_below(&net->rng, i));
        }
    }
}
