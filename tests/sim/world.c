/* SPDX-License-Identifier: Apache-2.0 */
/* The world's life: making a mesh, starting and crashing nodes, and the loop of events. */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/oracle.h"
#include "tests/sim/world_fault.h"

#define NODE_MEMORY_MAX (64u << 20)
#define CLOCK_US (60 * US_PER_S)
#define WALL_BASE_MS INT64_C(1800000000000)

/* --- trace --- */

static void hash_number(struct world *w, uint64_t v)
{
    w->trace_hash = (w->trace_hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    w->trace_hash ^= w->trace_hash >> 29;
}

/* All that the line says, and the whole key where the line has its first letters. */
static void hash_record(struct world *w, const struct world_node *n, const struct trace_record *r)
{
    hash_number(w, w->now_us);
    hash_number(w, (uint64_t)n->index << 8 | (uint64_t)r->module);
    for (const char *c = r->event; *c != '\0'; c++) {
        hash_number(w, (uint8_t)*c);
    }
    for (unsigned i = 0; r->peer != NULL && i < sizeof(r->peer->bytes); i += 8) {
        hash_number(w, load_be64(r->peer->bytes + i));
    }
    hash_number(w, r->a);
    hash_number(w, r->b);
}

static void print_record(const struct world *w, const struct world_node *n,
                         const struct trace_record *r)
{
    char peer[ID_SHORT_LEN + 1] = "-";
    if (r->peer != NULL) {
        node_id_short(r->peer, peer);
    }
    printf("[%10llu] %3u %d %s %s %llu %llu\n", (unsigned long long)w->now_us, n->index,
           (int)r->module, r->event, peer, (unsigned long long)r->a, (unsigned long long)r->b);
}

static void on_trace(void *user, const struct trace_record *r)
{
    struct world_node *n = user;
    struct world *w = n->w;
    hash_record(w, n, r);
    if (w->options.traces) {
        print_record(w, n, r);
    }
    if (w->on_trace != NULL) {
        w->on_trace(w->trace_user, n, r);
    }
}

/* --- making --- */

static void make_key(struct world *w, struct crypt_keypair *ret)
{
    uint8_t seed[32];
    do {
        rng_fill(&w->keys, seed, sizeof(seed));
    } while (crypt_keypair_from_seed(seed, ret) != IPX_OK);
}

static void name_node(struct world_node *n, unsigned i)
{
    n->index = i;
    n->addr.family = ADDR_V4;
    n->addr.ip[0] = 10;
    n->addr.ip[1] = (uint8_t)((i + 1) >> 16);
    n->addr.ip[2] = (uint8_t)((i + 1) >> 8);
    n->addr.ip[3] = (uint8_t)(i + 1);
    n->addr.port = NODE_PORT_DEFAULT;
    snprintf(n->name, sizeof(n->name), "n%u", i);
}

static void make_mesh_keys(struct world *w)
{
    struct keys_new_plan plan = {.root = &w->root,
                                 .issuer = &w->issuer,
                                 .node = &w->nodes[0].key,
                                 .lab = "lab0",
                                 .name = "n0",
                                 .wall_ms = WALL_BASE_MS,
                                 .issuer_serial = 1,
                                 .node_serial = 2};
    make_key(w, &w->root);
    make_key(w, &w->issuer);
    rng_fill(&w->keys, plan.nonce, sizeof(plan.nonce));
    rng_fill(&w->keys, w->gate, sizeof(w->gate));
    enum ipx_err err = keys_new_mesh(&plan, &w->made);
    assert(err == IPX_OK);
    (void)err;
}

void world_init(struct world *w, const struct world_options *o)
{
    struct rng root;
    memset(w, 0, sizeof(*w));
    assert(o->n_nodes >= 1 && o->n_nodes + o->n_spare <= WORLD_NODES_MAX);
    w->options = *o;
    w->n_nodes = o->n_nodes;
    w->n_slots = o->n_nodes + o->n_spare;
    w->wall_base_ms = WALL_BASE_MS;
    w->now_us = US_PER_S;
    w->trace_hash = UINT64_C(14695981039346656037);
    mem_init(&w->mem, SIZE_MAX);
    heap_init(&w->heap, &w->mem);
    w->nodes = mem_alloc_array(&w->mem, w->n_slots, sizeof(*w->nodes));
    w->buffers = node_buffers_new(&w->mem);
    assert(w->nodes != NULL && w->buffers != NULL);
    world_pipes_init(w);
    list_init(&w->processes);
    list_init(&w->clients);
    rng_init_int(&root, o->seed);
    rng_split(&root, "net", &w->net);
    rng_split(&root, "faults", &w->faults);
    rng_split(&root, "work", &w->work);
    rng_split(&root, "keys", &w->keys);
    for (unsigned i = 0; i < w->n_slots; i++) {
        w->nodes[i].w = w;
        w->nodes[i].site = i % 8;
        heap_init(&w->nodes[i].machine.held, &w->mem);
        list_init(&w->nodes[i].objects);
        name_node(&w->nodes[i], i);
        if (i <= w->n_nodes) { /* spare places get keys later, but seeds were found with one */
            make_key(w, &w->nodes[i].key);
        }
        w->nodes[i].tick_at_us = NEVER_US;
    }
    make_mesh_keys(w);
}

static void free_node(struct world_node *n)
{
    node_free(n->node);
    n->node = NULL;
    n->w->n_up -= n->is_outlaw ? 0 : 1;
    assert(n->mem.used == 0);
}

void world_done(struct world *w)
{
    struct list *next;
    struct world_client *c;
    LIST_EACH(c, next, &w->clients, struct world_client, list)
    {
        world_client_free(c);
    }
    for (unsigned i = 0; i < w->n_slots; i++) {
        struct world_node *n = &w->nodes[i];
        if (n->node != NULL) {
            free_node(n);
        }
        heap_done(&n->machine.held);
        world_kill_processes(w, i);
        world_drop_objects(w, i);
        disk_wipe(w, &n->disk);
        mem_free(&w->mem, n->ticket);
    }
    heap_done(&w->heap);
    world_pipes_done(w);
    mem_free(&w->mem, w->nodes);
    node_buffers_free(w->buffers, &w->mem);
    assert(w->mem.used == 0);
}

/* --- a node's run --- */

static struct ad *make_ad(struct world_node *n)
{
    struct ad_builder *b = ad_builder_new(&n->mem);
    struct ad *ad;
    struct label_value cores = {.type = LABEL_NUMBER, .number = 2};
    enum ipx_err err = ad_builder_label(b, slice_text("cpu.cores"), &cores);
    assert(err == IPX_OK);
    err = ad_builder_finish(b, &ad);
    assert(err == IPX_OK);
    (void)err;
    ad_builder_free(b);
    return ad;
}

static void fill_config(struct world_node *n, struct node_config *c)
{
    struct world *w = n->w;
    *c = (struct node_config){.mem = &n->mem,
                              .buffers = w->buffers,
                              .version = "sim",
                              .key = n->key,
                              .mesh = w->made.mesh,
                              .n_gates = 1,
                              .n_listen = 1,
                              .slots = 2,
                              .offers = true,
                              .accept = slice_text("true")};
    c->trace = (struct trace){.sink = on_trace, .user = n};
    c->listen[0] = n->addr;
    c->generation = ++n->disk.generation;
    n->n_lost_saves = 0;
    c->boot_nonce = rng_u64(&w->keys);
    rng_fill(&w->keys, c->seed, sizeof(c->seed));
    memcpy(c->gates[0], w->gate, sizeof(w->gate));
    memcpy(c->name, n->name, sizeof(n->name));
    for (unsigned f = 0; f < NODE_SAVE_N; f++) {
        c->saved[f] = slice_of(n->disk.files[f], n->disk.len[f]);
    }
    c->chain = c->saved[NODE_SAVE_CHAIN];
    if (n->index == 0) {
        c->has_issuer = true;
        c->issuer_key = w->issuer;
        c->issuer_cert = slice_of(w->made.signer.bytes, w->made.signer.len);
        if (c->chain.len == 0) {
            c->chain = slice_of(w->made.chain, w->made.chain_len);
        }
    } else if (c->chain.len == 0) {
        c->ticket = slice_of(n->ticket, n->ticket_len);
    }
}

static void run_clock(void *user, struct event *e)
{
    struct world *w = user;
    struct world_node *n = &w->nodes[e->node];
    if (n->node == NULL || n->run != e->boot || world_holds(n, e)) {
        return;
    }
    node_on_clock(n->node, world_local_us(n), world_wall_ms(n));
    heap_push(&w->heap, &(struct event){.due_us = w->now_us + CLOCK_US,
                                        .run = run_clock,
                                        .node = e->node,
                                        .boot = e->boot});
    world_drain(w, n);
}

void world_start(struct world *w, unsigned i)
{
    struct world_node *n = &w->nodes[i];
    struct node_config config;
    assert(n->node == NULL);
    mem_init(&n->mem, NODE_MEMORY_MAX);
    n->run++;
    fill_config(n, &config);
    config.ad = make_ad(n);
    enum ipx_err err = node_new(&config, &n->node);
    assert(err == IPX_OK);
    (void)err;
    ad_unref(config.ad);
    w->n_up += n->is_outlaw ? 0 : 1;
    n->next_conn = NODE_CONN_ACCEPTED;
    n->is_stopped = false;
    node_start(n->node, world_local_us(n), world_wall_ms(n));
    heap_push(&w->heap,
              &(struct event){
                  .due_us = w->now_us + CLOCK_US, .run = run_clock, .node = i, .boot = n->run});
    oracle_on_start(w, n);
    world_drain(w, n);
}

void world_crash(struct world *w, unsigned i)
{
    struct world_node *n = &w->nodes[i];
    if (n->node != NULL) {
        free_node(n);
        world_kill_processes(w, i);
        world_drop_objects(w, i);
        world_break_pipes(w, i);
        world_resume(n); /* what was held back for it finds nobody */
    }
}

void world_wipe(struct world *w, unsigned i)
{
    struct world_node *n = &w->nodes[i];
    assert(n->node == NULL);
    disk_wipe(w, &n->disk);
    mem_free(&w->mem, n->ticket);
    n->ticket = NULL;
    n->ticket_len = 0;
    make_key(w, &n->key);
    snprintf(n->name, sizeof(n->name), "n%ur%u", i, ++n->n_wipes); /* the old name is taken */
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->failure[0] == '\0') {
        va_start(args, format);
        vsnprintf(w->failure, sizeof(w->failure), format, args);
        va_end(args);
    }
}

void world_partition(struct world *w, unsigned i, unsigned side)
{
    w->nodes[i].side = side;
}

static void save(struct world_node *n, enum node_save what, struct slice bytes)
{
    if (faults_save_fails(n)) {
        n->n_lost_saves++;
        return;
    }
    disk_save(n->w, &n->disk, what, bytes);
}

static void act(struct world *w, struct world_node *n, const struct node_action *a)
{
    switch (a->type) {
    case NODE_ACTION_UDP_SEND:
        world_udp(w, n, &a->u.udp.to, a->u.udp.bytes);
        break;
    case NODE_ACTION_CONN_DIAL:
        world_dial(w, n, a->u.conn.conn, &a->u.conn.to);
        break;
    case NODE_ACTION_CONN_WRITE:
        world_write(w, n, a->u.conn.conn, a->u.conn.bytes);
        break;
    case NODE_ACTION_CONN_CLOSE:
        world_close(w, n, a->u.conn.conn);
        break;
    case NODE_ACTION_EXEC:
        world_exec(w, n, a->u.exec);
        break;
    case NODE_ACTION_SAVE:
        save(n, a->u.save.what, a->u.save.bytes);
        break;
    case NODE_ACTION_STOP:
        n->is_stopped = true;
        n->stop_code = a->u.stop.code;
        snprintf(n->stop_text, sizeof(n->stop_text), "%s", a->u.stop.text);
        break;
    }
}

static void run_tick(void *user, struct event *e)
{
    struct world *w = user;
    struct world_node *n = &w->nodes[e->node];
    if (n->tick_at_us == e->due_us) {
        n->tick_at_us = NEVER_US;
    }
    if (n->node == NULL || world_holds(n, e)) {
        return;
    }
    if (node_deadline(n->node) <= world_local_us(n)) {
        n->n_ticks++;
        node_tick(n->node, world_local_us(n));
    }
    world_drain(w, n); /* also arms the next: the deadline may have moved since */
}

void world_drain(struct world *w, struct world_node *n)
{
    struct node_action a;
    while (n->node != NULL && !n->is_stopped && node_poll(n->node, &a)) {
        act(w, n, &a);
    }
    if (n->is_stopped && n->node != NULL) {
        world_crash(w, n->index);
    }
    if (n->node == NULL) {
        return;
    }
    oracle_on_turn(w, n);
    uint64_t due = world_true_us(n, node_deadline(n->node));
    if (due < n->tick_at_us) {
        due = IPX_MAX(due, w->now_us + 1);
        n->tick_at_us = due;
        heap_push(&w->heap, &(struct event){.due_us = due, .run = run_tick, .node = n->index});
    }
}

/* --- the mesh --- */

void world_invite(struct world *w, unsigned i)
{
    struct world_node *n = &w->nodes[i];
    struct ticket t;
    char text[TICKET_TEXT_SIZE], lab[16];
    unsigned labs = w->options.n_labs > 0 ? w->options.n_labs : 1;
    snprintf(lab, sizeof(lab), "lab%u", i % labs);
    struct invite_plan plan = {
        .caps = CERT_ROLE_NODE, .life_ms = TICKET_LIFE_MS, .lab = slice_text(lab)};
    enum ipx_err err = admission_invite(w->nodes[0].node, &plan, &t);
    assert(err == IPX_OK);
    (void)err;
    size_t len = ticket_print(&t, text);
    n->ticket = mem_dup(&w->mem, text, len);
    n->ticket_len = len;
    ticket_wipe(&t);
}

void world_join(struct world *w, unsigned i)
{
    world_invite(w, i);
    world_start(w, i);
}

static void run_start(void *user, struct event *e)
{
    world_join(user, e->node);
}

void world_make_mesh(struct world *w, uint64_t gap_us)
{
    world_start(w, 0);
    for (unsigned i = 1; i < w->n_nodes; i++) {
        heap_push(&w->heap, &(struct event){
                                .due_us = w->now_us + i * gap_us + 1, .run = run_start, .node = i});
    }
}

/* --- running --- */

bool world_run_until(struct world *w, uint64_t until_us, bool (*done)(struct world *, void *),
                     void *user)
{
    struct event e;
    while (heap_pop(&w->heap, until_us, &e)) {
        assert(e.due_us >= w->now_us);
        w->now_us = e.due_us;
        w->n_events++;
        e.run(w, &e);
        if (w->failure[0] != '\0') {
            return false;
        }
        if (done != NULL && done(w, user)) {
            return true;
        }
    }
    w->now_us = until_us;
    return false;
}

void world_run(struct world *w, uint64_t until_us)
{
    world_run_until(w, until_us, NULL, NULL);
}

void world_check(struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        if (w->nodes[i].node != NULL) {
            node_check(w->nodes[i].node);
        }
    }
}
