/* SPDX-License-Identifier: Apache-2.0 */
/* The seeded network: datagrams that may be lost, doubled and late; connections as ordered pipes of
 * bytes in random pieces. */
#include "tests/sim/oracle.h"
#include "tests/sim/world_fault.h"

#define DATAGRAM_MAX 1200 /* nothing longer is ever sent (overlay 1.3) */
#define SEGMENT_MAX 16384

static uint64_t delay(struct world_node *from, struct world_node *to)
{
    struct world *w = from->w;
    uint64_t j = w->options.jitter_us;
    return faults_delay(from, to, w->options.delay_us + (j > 0 ? rng_below(&w->net, j) : 0));
}

static bool hears(const struct world_node *to, const struct world_node *from)
{
    return to->side == from->side && !to->is_deaf && !from->is_mute;
}

struct world_node *world_by_addr(struct world *w, const struct addr *a)
{
    unsigned i = (unsigned)(a->ip[1] << 16) + (unsigned)(a->ip[2] << 8) + a->ip[3] - 1u;
    return i < w->n_slots && addr_equal(a, &w->nodes[i].addr) ? &w->nodes[i] : NULL;
}

static void drop_bytes(struct event *e)
{
    mem_free(e->mem, e->bytes);
}

/* --- datagrams --- */

static bool can_pass_udp(const struct world_node *from, const struct world_node *to)
{
    return hears(to, from) && !from->is_udp_blocked && !to->is_udp_blocked;
}

static void run_datagram(void *user, struct event *e)
{
    struct world *w = user;
    struct world_node *to = &w->nodes[e->node];
    struct world_node *from = &w->nodes[e->number];
    if (to->node != NULL && world_holds(to, e)) {
        return;
    }
    if (to->node != NULL && can_pass_udp(from, to)) {
        to->n_datagrams++;
        oracle_on_datagram(w, to, &from->addr, slice_of(e->bytes, e->len));
        node_on_datagram(to->node, world_local_us(to), &from->addr, slice_of(e->bytes, e->len));
        world_drain(w, to);
    }
    mem_free(&w->mem, e->bytes);
}

static void send_copy(struct world_node *from, struct world_node *to, struct slice s,
                      const struct fault_fate *fate, unsigned i)
{
    struct world *w = from->w;
    uint8_t *bytes = mem_dup(&w->mem, s.data, s.len);
    assert(bytes != NULL);
    if (fate->is_corrupt[i]) {
        faults_corrupt(w, bytes, s.len);
    }
    heap_push(&w->heap, &(struct event){.due_us = w->now_us + delay(from, to) + fate->late_us[i],
                                        .run = run_datagram,
                                        .drop = drop_bytes,
                                        .mem = &w->mem,
                                        .node = to->index,
                                        .number = from->index,
                                        .bytes = bytes,
                                        .len = s.len});
}

void world_udp(struct world *w, struct world_node *from, const struct addr *to, struct slice s)
{
    struct world_node *n = world_by_addr(w, to);
    bool is_lost = rng_chance(&w->net, w->options.loss_permille);
    bool is_doubled = rng_chance(&w->net, w->options.dup_permille);
    struct fault_fate fate;
    assert(s.len <= DATAGRAM_MAX);
    oracle_on_send(w, from, to, s);
    if (n == NULL || is_lost || !can_pass_udp(from, n)) {
        return;
    }
    faults_datagram(from, s.len, &fate);
    for (unsigned i = 0; i < fate.n_copies; i++) {
        send_copy(from, n, s, &fate, i);
        if (is_doubled) {
            send_copy(from, n, s, &fate, i);
        }
    }
}

/* --- connections --- */

static void free_if_closed(struct world *w, struct world_pipe *p)
{
    if (!p->is_open[0] && !p->is_open[1]) {
        world_pipe_free(w, p);
    }
}

static bool can_pass(struct world *w, const struct world_pipe *p)
{
    if (p->node[0] == WORLD_CLIENT) {
        return true;
    }
    const struct world_node *a = &w->nodes[p->node[0]], *b = &w->nodes[p->node[1]];
    return hears(a, b) && hears(b, a);
}

static void lose(struct world *w, struct world_pipe *p, unsigned end, enum ipx_err err)
{
    if (!p->is_open[end]) {
        return;
    }
    p->is_open[end] = false;
    if (p->node[end] == WORLD_CLIENT) {
        world_client_lost(p->client);
    } else if (w->nodes[p->node[end]].node != NULL) {
        struct world_node *n = &w->nodes[p->node[end]];
        node_on_closed(n->node, world_local_us(n), p->conn[end], err);
        world_drain(w, n);
    }
}

static void run_piece(void *user, struct event *e)
{
    struct world *w = user;
    struct world_pipe *p = world_pipe_of(w, e);
    unsigned end = e->number;
    if (p != NULL && p->is_open[end]) {
        if (p->node[end] != WORLD_CLIENT && world_holds(&w->nodes[p->node[end]], e)) {
            return;
        }
        if (e->len == 0) { /* the other end closed */
            lose(w, p, end, e->node != 0 ? IPX_IO : IPX_END);
            p = world_pipe_of(w, e);
            if (p != NULL) {
                free_if_closed(w, p);
            }
        } else if (p->node[end] == WORLD_CLIENT) {
            world_client_bytes(p->client, slice_of(e->bytes, e->len));
        } else if (w->nodes[p->node[end]].node != NULL) {
            struct world_node *n = &w->nodes[p->node[end]];
            node_on_bytes(n->node, world_local_us(n), p->conn[end], slice_of(e->bytes, e->len));
            world_drain(w, n);
        }
    }
    mem_free(&w->mem, e->bytes);
}

static uint64_t arrival(struct world *w, struct world_pipe *p, unsigned to_end, size_t len)
{
    uint64_t at = w->now_us + 50;
    if (p->node[0] != WORLD_CLIENT) {
        at = w->now_us + delay(&w->nodes[p->node[!to_end]], &w->nodes[p->node[to_end]]);
    }
    at = IPX_MAX(p->last_us[to_end], at);
    if (p->node[0] != WORLD_CLIENT) {
        at = faults_piece_at(w, p, len, at);
    }
    p->last_us[to_end] = at;
    return at;
}

void world_pipe_send(struct world *w, struct world_pipe *p, unsigned from_end, struct slice s)
{
    while (s.len > 0) {
        size_t len = 1 + rng_below(&w->net, IPX_MIN(s.len, (size_t)SEGMENT_MAX));
        if (rng_chance(&w->net, 900)) {
            len = IPX_MIN(s.len, (size_t)SEGMENT_MAX);
        }
        len = faults_piece(w, len);
        uint8_t *bytes = mem_dup(&w->mem, s.data, len);
        assert(bytes != NULL);
        if (can_pass(w, p)) {
            heap_push(&w->heap, &(struct event){.due_us = arrival(w, p, !from_end, len),
                                                .run = run_piece,
                                                .drop = drop_bytes,
                                                .mem = &w->mem,
                                                .boot = p->number,
                                                .number = !from_end,
                                                .bytes = bytes,
                                                .len = len});
        } else {
            mem_free(&w->mem, bytes);
            lose(w, p, from_end, IPX_IO);
            return;
        }
        s = slice_of(s.data + len, s.len - len);
    }
}

static void run_writable(void *user, struct event *e)
{
    struct world *w = user;
    struct world_node *n = &w->nodes[e->node];
    unsigned end;
    if (n->node != NULL && n->run == e->boot && !world_holds(n, e) &&
        world_pipe_find(w, e->node, e->number, &end) != NULL) {
        node_on_writable(n->node, world_local_us(n), e->number);
        world_drain(w, n);
    }
}

void world_write(struct world *w, struct world_node *from, uint32_t conn, struct slice s)
{
    unsigned end;
    struct world_pipe *p = world_pipe_find(w, from->index, conn, &end);
    if (p == NULL) {
        return;
    }
    heap_push(&w->heap, &(struct event){.due_us = w->now_us + 20,
                                        .run = run_writable,
                                        .node = from->index,
                                        .number = conn,
                                        .boot = from->run});
    world_pipe_send(w, p, end, s);
}

static void run_connected(void *user, struct event *e)
{
    struct world *w = user;
    struct world_pipe *p = world_pipe_of(w, e);
    if (p == NULL || !p->is_open[0]) {
        return;
    }
    struct world_node *from = &w->nodes[p->node[0]];
    struct world_node *to = &w->nodes[p->node[1]];
    if (world_holds(to, e) || world_holds(from, e)) {
        return;
    }
    bool is_ok = to->node != NULL && hears(to, from) && hears(from, to);
    if (is_ok) {
        world_pipe_accept(w, p, to->next_conn++);
        node_on_accept(to->node, world_local_us(to), p->conn[1], &from->addr);
        world_drain(w, to);
    } else {
        p->is_open[0] = false;
    }
    if (from->node != NULL) {
        node_on_connected(from->node, world_local_us(from), p->conn[0],
                          is_ok ? IPX_OK : IPX_UNREACHABLE);
        world_drain(w, from);
    }
    p = world_pipe_of(w, e);
    if (p != NULL) {
        free_if_closed(w, p);
    }
}

void world_dial(struct world *w, struct world_node *from, uint32_t conn, const struct addr *to)
{
    struct world_node *n = world_by_addr(w, to);
    struct world_pipe *p = world_pipe_new(
        w, &(struct world_pipe){.node = {from->index, n != NULL ? n->index : from->index},
                                .conn = {conn},
                                .is_open = {true}});
    uint64_t round_us = 2 * delay(from, n != NULL ? n : from);
    heap_push(
        &w->heap,
        &(struct event){.due_us = w->now_us + round_us, .run = run_connected, .boot = p->number});
}

static void close_end(struct world *w, struct world_pipe *p, unsigned end, bool is_reset)
{
    p->is_open[end] = false;
    if (p->is_open[!end] && can_pass(w, p)) {
        heap_push(&w->heap, &(struct event){.due_us = arrival(w, p, !end, 0),
                                            .run = run_piece,
                                            .boot = p->number,
                                            .number = !end,
                                            .node = is_reset});
    } else {
        free_if_closed(w, p);
    }
}

void world_close(struct world *w, struct world_node *from, uint32_t conn)
{
    unsigned end;
    struct world_pipe *p = world_pipe_find(w, from->index, conn, &end);
    if (p != NULL) {
        close_end(w, p, end, false);
    }
}

void world_break_pipes(struct world *w, unsigned node)
{
    struct world_pipe *p;
    struct list *next;
    LIST_EACH(p, next, &w->pipes, struct world_pipe, list)
    {
        for (unsigned end = 0; end < 2; end++) {
            if (p->node[end] == node && p->is_open[end]) {
                close_end(w, p, end, true);
                break;
            }
        }
    }
}

void world_reset_pipes(struct world *w, unsigned node)
{
    struct world_pipe *p;
    struct list *next;
    LIST_EACH(p, next, &w->pipes, struct world_pipe, list)
    {
        if (p->node[0] != WORLD_CLIENT && (p->node[0] == node || p->node[1] == node) &&
            p->is_open[0] && p->is_open[1]) {
            for (unsigned end = 0; end < 2; end++) { /* each is told by an event of its own */
                close_end(w, p, end, true);
                p->is_open[end] = true;
            }
        }
    }
}
