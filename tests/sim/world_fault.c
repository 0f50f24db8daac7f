/* SPDX-License-Identifier: Apache-2.0 */
/* The table of fault classes, when they strike, and their names. */
#include "tests/sim/world_fault.h"

#include <stdio.h>

#include "tests/sim/fault_parts.h"

#define S US_PER_S

const struct fault_class fault_classes[] = {
    [FAULT_LOSS] = {"loss", "3 % of datagrams are lost", 0, NULL},
    [FAULT_BURST] = {"burst", "losses in bursts (Gilbert-Elliott)", 0, NULL},
    [FAULT_DUP] = {"dup", "0.5 % of datagrams arrive twice", 0, NULL},
    [FAULT_REORDER] = {"reorder", "2 % of datagrams are up to 100 ms late", 0, NULL},
    [FAULT_CORRUPT] = {"corrupt", "0.5 % of datagrams have bytes changed", 0, NULL},
    [FAULT_RATE] = {"rate", "uplinks of 250 kB/s with a queue of 64 KiB", 0, NULL},
    [FAULT_MTU] = {"mtu", "datagrams over 1,280 bytes are lost", 0, NULL},
    [FAULT_SPIKE] = {"spike", "a node's delays are x100 for a while", 5 * S, fault_spike},
    [FAULT_HALVES] = {"halves", "the network falls in two", 20 * S, fault_halves},
    [FAULT_ISOLATE] = {"isolate", "one node is cut off", 5 * S, fault_isolate},
    [FAULT_ONE_WAY] = {"one-way", "one node hears nobody, or nobody it", 5 * S, fault_one_way},
    [FAULT_SITES] = {"sites", "eight sites 0.1 to 150 ms apart", 0, NULL},
    [FAULT_PAUSE] = {"pause", "a node stands still (SIGSTOP)", 5 * S, fault_pause},
    [FAULT_VM_PAUSE] = {"vm-pause", "a machine and its clocks stand still", 10 * S, fault_vm_pause},
    [FAULT_SKEW] = {"skew", "clocks that run up to 200 ppm fast or slow", 0, fault_skew},
    [FAULT_WALL] = {"wall", "a wall clock jumps by a day or 400", 10 * S, fault_wall},
    [FAULT_CRASH] = {"crash", "a node crashes and starts again", 3 * S, fault_crash},
    [FAULT_LOST_DISK] = {"lost-disk", "a machine is replaced", 15 * S, fault_lost_disk},
    [FAULT_OLD_DISK] = {"old-disk", "a node starts from an older disk", 8 * S, fault_old_disk},
    [FAULT_CLONE] = {"clone", "a running node is cloned", 20 * S, fault_clone},
    [FAULT_SAVE] = {"save", "a disk takes nothing for a while", 5 * S, fault_save},
    [FAULT_FSYNC] = {"fsync", "a crash loses what was said to be saved", 8 * S, fault_fsync},
    [FAULT_TCP_BYTES] = {"tcp-bytes", "connections deliver single bytes", 0, NULL},
    [FAULT_TCP_STALL] = {"tcp-stall", "a node's connections stall", 5 * S, fault_tcp_stall},
    [FAULT_TCP_RESET] = {"tcp-reset", "a node's connections are reset", 3 * S, fault_tcp_reset},
    [FAULT_TCP_RATE] = {"tcp-rate", "connections of 256 kB/s", 0, NULL},
    [FAULT_UDP] = {"udp", "no datagram of a node passes", 10 * S, fault_udp},
    [FAULT_REVOKE] = {"revoke", "a node is stolen, revoked and replaced", 10 * S, fault_revoke},
};
static_assert(ARRAY_LEN(fault_classes) == FAULT_N, "a row each");

/* --- names --- */

static bool find(const char *name, size_t len, uint32_t *ret_bits)
{
    if (len == 3 && strncmp(name, "all", len) == 0) {
        *ret_bits = FAULT_ALL;
        return true;
    }
    for (unsigned i = 0; i < FAULT_N; i++) {
        if (strlen(fault_classes[i].name) == len &&
            strncmp(fault_classes[i].name, name, len) == 0) {
            *ret_bits = FAULT_BIT(i);
            return true;
        }
    }
    *ret_bits = 0;
    return len == 4 && strncmp(name, "none", len) == 0;
}

bool faults_parse(const char *text, uint32_t *ret_bits)
{
    uint32_t all = 0, bits;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!find(text, len, &bits)) {
            return false;
        }
        all |= bits;
        if (text[len] == '\0') {
            *ret_bits = all;
            return true;
        }
        text += len + 1;
    }
}

void faults_print(uint32_t bits, char *text, size_t size)
{
    size_t at = 0;
    if (bits == 0 || bits == FAULT_ALL) {
        snprintf(text, size, "%s", bits == 0 ? "none" : "all");
        return;
    }
    for (unsigned i = 0; i < FAULT_N; i++) {
        if (bits & FAULT_BIT(i)) {
            int len =
                snprintf(text + at, size - at, "%s%s", at > 0 ? "," : "", fault_classes[i].name);
            assert(len > 0 && (size_t)len < size - at);
            at += (size_t)len;
        }
    }
}

/* --- strikes --- */

static void run_strike(void *user, struct event *e)
{
    struct world *w = user;
    struct faults *f = w->faults_on;
    unsigned class = e->number;
    if (f == NULL || f->is_over) {
        return;
    }
    const struct fault_class *c = &fault_classes[class];
    f->n_struck[class]++;
    c->begin(f, &f->rng[class]);
    heap_push(&w->heap, &(struct event){.due_us = w->now_us + c->mean_us / 2 +
                                                  rng_below(&f->rng[class], c->mean_us),
                                        .run = run_strike,
                                        .number = class});
}

void faults_begin(struct faults *f, struct world *w, uint32_t bits)
{
    struct rng root;
    memset(f, 0, sizeof(*f));
    f->w = w;
    f->on = bits;
    f->nodes = mem_alloc_array(&w->mem, w->n_slots, sizeof(*f->nodes));
    assert(f->nodes != NULL);
    w->faults_on = f;
    for (unsigned i = 0; i < FAULT_N; i++) {
        const struct fault_class *c = &fault_classes[i];
        rng_init_int(&root, w->options.seed);
        rng_split(&root, c->name, &f->rng[i]);
        if ((bits & FAULT_BIT(i)) == 0 || c->begin == NULL) {
            continue;
        }
        if (c->mean_us == 0) {
            c->begin(f, &f->rng[i]);
        } else {
            heap_push(&w->heap,
                      &(struct event){.due_us = w->now_us + rng_below(&f->rng[i], c->mean_us),
                                      .run = run_strike,
                                      .number = i});
        }
    }
}

void faults_end(struct faults *f)
{
    f->is_over = true;
    f->on = 0;
    fault_net_end(f);
    fault_node_end(f);
    fault_revoke_end(f);
}

void faults_done(struct faults *f)
{
    struct world *w = f->w;
    for (unsigned i = 0; i < w->n_slots; i++) {
        disk_wipe(w, &f->nodes[i].old);
        disk_wipe(w, &f->nodes[i].true_disk);
    }
    mem_free(&w->mem, f->nodes);
    w->faults_on = NULL;
}

/* --- for the classes --- */

struct world_node *fault_any(struct faults *f, struct rng *r)
{
    return &f->w->nodes[rng_below(r, f->w->n_nodes)];
}

struct world_node *fault_victim(struct faults *f, struct rng *r)
{
    return f->w->n_nodes > 2 ? &f->w->nodes[2 + rng_below(r, f->w->n_nodes - 2)] : NULL;
}

struct fault_node *fault_of(struct faults *f, const struct world_node *n)
{
    return &f->nodes[n->index];
}

void fault_heal_later(struct faults *f, struct rng *r, const struct fault_span *span, unsigned node,
                      void (*heal)(void *world, struct event *e))
{
    heap_push(&f->w->heap, &(struct event){.due_us = f->w->now_us + span->low_us +
                                                     rng_below(r, span->high_us - span->low_us),
                                           .run = heal,
                                           .node = node});
}

struct faults *fault_healing(void *world)
{
    struct faults *f = ((struct world *)world)->faults_on;
    return f != NULL && !f->is_over ? f : NULL;
}
