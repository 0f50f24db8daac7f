/* SPDX-License-Identifier: Apache-2.0 */
/* The node's life, its time, and the loop that drains every part. */
#include "node/node.h"

#include <stdio.h>

#include "node/core.h"

#define LEAVE_US (300 * US_PER_MS) /* for goodbyes to go out before the sockets close */
#define GAP_DROP_US                                                                                \
    (30 * US_PER_S) /* after so long a pause no session is believed (overlay 1.1)                  \
                     */
#define CLOCK_EVERY_US (60 * US_PER_S) /* the shell tells the clock so often when awake */

int64_t node_wall_ms(const struct node *n)
{
    return n->wall_ms + (int64_t)((n->now_us - n->wall_at_us) / US_PER_MS);
}

void node_fail_stop(struct node *n, int code, const char *text)
{
    n->stop.is_due = true;
    n->stop.code = code;
    snprintf(n->stop.text, sizeof(n->stop.text), "%s", text);
}

void node_save_later(struct node *n, enum node_save what)
{
    n->save_due[what] = true;
}

/* --- making --- */

static enum ipx_err make_sessions(struct node *n, int64_t wall_ms)
{
    struct session_config config = {
        .mem = n->mem,
        .trace = &n->config.trace,
        .key = &n->config.key,
        .mesh = n->config.mesh,
        .chain = slice_of(n->chain, n->chain_len),
        .ticket =
            n->chain_len == 0 ? slice_of(n->join.ticket.pub, n->join.ticket.pub_len) : SLICE_EMPTY,
        .gates = (const uint8_t(*)[32])n->config.gates,
        .n_gates = n->config.n_gates,
        .chains = &n->chains,
        .early_types = SESSION_TYPE_BIT(DHT_PING) | SESSION_TYPE_BIT(DHT_FIND_NODE) |
                       SESSION_TYPE_BIT(DHT_GET),
    };
    rng_fill(&n->rng, config.seed, sizeof(config.seed));
    return session_plane_new(&config, n->now_us, wall_ms, &n->sessions);
}

static enum ipx_err make_links(struct node *n)
{
    uint8_t secret[16];
    handshake_self_init(&n->handshakes, &(struct handshake_self_options){
                                            .key = &n->config.key,
                                            .mesh = &n->config.mesh,
                                            .gates = (const uint8_t(*)[32])n->config.gates,
                                            .n_gates = n->config.n_gates});
    n->links = (struct link_context){.mem = n->mem,
                                     .trace = &n->config.trace,
                                     .rng = &n->rng,
                                     .self = &n->handshakes,
                                     .chains = &n->chains,
                                     .clocks = &n->link_clocks};
    rng_fill(&n->rng, secret, sizeof(secret));
    return clocks_init(&n->link_clocks, n->mem, CLOCKS_MAX, secret);
}

static enum ipx_err make_accept(struct node *n)
{
    struct slice source = n->config.accept;
    struct query_error error;
    if (source.len == 0) {
        source = n->config.saved[NODE_SAVE_POLICY];
    }
    if (source.len == 0) {
        source = slice_text(NODE_ACCEPT_DEFAULT);
    }
    if (n->config.accept.len > 0) {
        node_save_later(n, NODE_SAVE_POLICY);
    }
    return query_compile(source, n->mem, &n->accept, &error);
}

static enum ipx_err make_parts(struct node *n)
{
    uint8_t secret[16];
    rng_fill(&n->rng, secret, sizeof(secret));
    enum ipx_err err = chains_init(&n->chains, n->mem, &n->config.mesh, CHAINS_MAX, secret);
    if (err == IPX_OK) {
        err = make_links(n);
    }
    if (err == IPX_OK) {
        err = make_accept(n);
    }
    if (err == IPX_OK) {
        err = own_ad_init(&n->own_ad, n->mem, n->config.ad, n->config.saved[NODE_SAVE_LABELS]);
    }
    if (err == IPX_OK) {
        err = tunnels_init(n);
    }
    if (err == IPX_OK) {
        err = events_init(&n->events, n->mem);
    }
    if (err == IPX_OK) {
        err = admission_init(n);
    }
    return err;
}

struct node_buffers *node_buffers_new(struct mem *mem)
{
    return mem_alloc(mem, sizeof(struct node_buffers));
}

void node_buffers_free(struct node_buffers *b, struct mem *mem)
{
    mem_free(mem, b);
}

enum ipx_err node_new(const struct node_config *config, struct node **ret)
{
    assert(config->n_gates >= 1 && config->ad != NULL);
    struct node *n = mem_alloc(config->mem, sizeof(*n));
    if (n == NULL) {
        return IPX_NO_MEMORY;
    }
    n->config = *config;
    n->mem = config->mem;
    n->state = NODE_STATE_JOINING;
    rng_init(&n->rng, config->seed);
    conns_init(n);
    err_ignore(coats_decode(config->saved[NODE_SAVE_COATS], &n->coats), "it is only a help");
    streams_init(n);
    n->saving = NODE_SAVE_N;
    snprintf(n->self.name, sizeof(n->self.name), "%s", config->name);
    n->self.id = config->key.pk;
    n->own_buffers = config->buffers == NULL ? node_buffers_new(n->mem) : NULL;
    n->buffers = config->buffers == NULL ? n->own_buffers : config->buffers;
    enum ipx_err err = IPX_OK;
    if (n->buffers == NULL) {
        err = IPX_NO_MEMORY;
    } else if (config->chain.len > sizeof(n->chain) ||
               (config->chain.len == 0 && config->ticket.len == 0)) {
        err = IPX_MALFORMED;
    } else {
        if (config->chain.len > 0) {
            memcpy(n->chain, config->chain.data, config->chain.len);
            n->chain_len = config->chain.len;
        }
        err = make_parts(n);
    }
    if (err != IPX_OK) {
        node_free(n);
        return err;
    }
    *ret = n;
    return IPX_OK;
}

void node_free(struct node *n)
{
    if (n == NULL) {
        return;
    }
    conns_done(n);
    streams_done(n);
    tunnels_done(n);
    members_stop(n);
    session_plane_free(n->sessions);
    admit_book_done(&n->book);
    if (n->own_ad.mem != NULL) {
        own_ad_done(&n->own_ad);
    }
    events_done(&n->events);
    ad_unref(n->ad);
    query_unref(n->accept);
    if (n->link_clocks.mem != NULL) {
        clocks_done(&n->link_clocks);
    }
    if (n->chains.mem != NULL) {
        chains_done(&n->chains);
    }
    handshake_self_done(&n->handshakes);
    ticket_wipe(&n->join.ticket);
    node_buffers_free(n->own_buffers, n->mem);
    mem_free(n->mem, n);
}

/* A member's own chain is verified like any other: an expired one is told, not discovered. */
static enum ipx_err verify_own_chain(struct node *n)
{
    struct cert_check check = {.mesh = &n->config.mesh,
                               .wall_ms = node_wall_ms(n),
                               .subject = &n->config.key.pk,
                               .admitter_chain = issuers_saved_admitter(n)};
    struct hash missing;
    const struct chain *kept;
    struct slice chain = slice_of(n->chain, n->chain_len);
    enum ipx_err err = cert_chain_verify_with(chain, &check, &n->self, &missing);
    if (err == IPX_OK) {
        err_ignore(chains_put(&n->chains, check.wall_ms, chain, check.admitter_chain,
                              &n->config.key.pk, &kept),
                   "others are asked for what is missing");
    }
    return err;
}

void node_start(struct node *n, uint64_t now_us, int64_t wall_ms)
{
    n->now_us = n->started_us = n->wall_at_us = now_us;
    n->wall_ms = wall_ms;
    issuers_load(n);
    revoking_load(n);
    enum ipx_err err = make_sessions(n, wall_ms);
    if (err == IPX_OK && n->chain_len > 0) {
        err = verify_own_chain(n);
        if (err == IPX_OK) {
            err = members_start(n);
        }
    }
    events_tell(n, EVENTS_START, NULL, slice_text(n->config.version));
    admission_start(n);
    if (err != IPX_OK) {
        char text[128];
        snprintf(text, sizeof(text), "this node's certificate cannot be used: %s", err_text(err));
        node_fail_stop(n, 1, text);
    }
}

/* --- time --- */

void node_on_clock(struct node *n, uint64_t now_us, int64_t wall_ms)
{
    bool was_paused = now_us - n->wall_at_us > CLOCK_EVERY_US + GAP_DROP_US;
    n->now_us = now_us;
    n->wall_ms = wall_ms;
    n->wall_at_us = now_us;
    session_on_clock(n->sessions, now_us, wall_ms);
    if (was_paused) {
        session_drop_all(n->sessions, now_us);
    }
    if (n->has_cores) {
        dht_on_clock(&n->dht, now_us, wall_ms);
        gossip_on_clock(&n->gossip, now_us, wall_ms);
        exec_on_clock(n->exec, now_us, wall_ms);
    }
    revoking_on_clock(n);
    admission_tick(n);
}

uint64_t node_deadline(const struct node *n)
{
    uint64_t due = IPX_MIN(conns_deadline(n), admission_deadline(n));
    if (n->state == NODE_STATE_STOPPING) {
        due = IPX_MIN(due, n->stop_us);
    }
    if (n->sessions != NULL) {
        due = IPX_MIN(due, session_deadline(n->sessions));
    }
    if (n->has_cores) {
        due = IPX_MIN(due, dht_deadline(&n->dht));
        due = IPX_MIN(due, gossip_deadline(&n->gossip));
        due = IPX_MIN(due, exec_deadline(n->exec));
    }
    due = IPX_MIN(due, timers_deadline(&n->tunnels.timers));
    return IPX_MIN(due, control_deadline(n));
}

void node_tick(struct node *n, uint64_t now_us)
{
    n->now_us = now_us;
    if (n->sessions == NULL) {
        return;
    }
    session_tick(n->sessions, now_us);
    if (n->has_cores) {
        dht_tick(&n->dht, now_us);
        gossip_tick(&n->gossip, now_us);
        exec_tick(n->exec, now_us);
    }
    conns_tick(n);
    tunnels_tick(n);
    admission_tick(n);
    control_tick(n);
    if (n->state == NODE_STATE_STOPPING && now_us >= n->stop_us) {
        n->state = NODE_STATE_STOPPED;
        n->stop.is_due = true;
    }
}

void node_on_datagram(struct node *n, uint64_t now_us, const struct addr *from, struct slice bytes)
{
    n->now_us = now_us;
    if (n->sessions != NULL) {
        session_recv(n->sessions, now_us, from, bytes);
    }
}

void node_on_vitals(struct node *n, uint64_t now_us, const struct node_vitals *v)
{
    n->now_us = now_us;
    n->measured = *v;
    if (n->has_cores) {
        n->is_vitals_due = true;
    }
}

struct exec *node_exec(struct node *n, uint64_t now_us)
{
    n->now_us = now_us; /* what exec says next is handed on with the time of this input */
    return n->exec;
}

/* --- stopping --- */

void node_begin_stop(struct node *n, bool is_leave)
{
    if (n->state >= NODE_STATE_STOPPING) {
        return;
    }
    n->state = NODE_STATE_STOPPING;
    n->stop_us = n->now_us + LEAVE_US;
    if (n->has_cores) {
        gossip_leave(&n->gossip, n->now_us);
    }
    if (is_leave) {
        snprintf(n->stop.text, sizeof(n->stop.text), "left");
    }
    conns_close_all(n);
}

void node_stop(struct node *n, uint64_t now_us)
{
    n->now_us = now_us;
    node_begin_stop(n, false);
}

/* --- draining --- */

static void save_bytes(struct node *n, enum node_save what, struct writer *w)
{
    uint8_t number[8];
    switch (what) {
    case NODE_SAVE_CHAIN:
        writer_bytes(w, slice_of(n->chain, n->chain_len));
        break;
    case NODE_SAVE_CONTACTS:
        dht_contacts_encode(&n->dht, w);
        break;
    case NODE_SAVE_SEQ:
        store_be64(number, n->seq_to_save);
        writer_bytes(w, slice_of(number, 8));
        break;
    case NODE_SAVE_BOOK:
        admit_book_save(&n->book, w);
        break;
    case NODE_SAVE_ISSUERS:
        issuers_save(n, w);
        break;
    case NODE_SAVE_LABELS:
        own_ad_save(&n->own_ad, w);
        break;
    case NODE_SAVE_POLICY:
        writer_bytes(w, query_source(n->accept));
        break;
    case NODE_SAVE_GENERATION:
        writer_u32(w, n->config.generation);
        break;
    case NODE_SAVE_COATS:
        coats_encode(&n->coats, w);
        break;
    case NODE_SAVE_REVOKED: /* longer than the buffer may be: as they stand (drain_saves) */
    case NODE_SAVE_N:
        break;
    }
}

/* The shell puts it on disk before it comes back: only then is it used. */
static void after_save(struct node *n, enum node_save what)
{
    if (what == NODE_SAVE_SEQ && n->has_cores) {
        dht_on_seq_stored(&n->dht, n->now_us, n->seq_to_save);
    } else if (what == NODE_SAVE_GENERATION && n->has_cores) {
        struct gossip_boot boot = {.generation = n->config.generation,
                                   .nonce = n->config.boot_nonce};
        gossip_set_boot(&n->gossip, n->now_us, &boot);
    }
}

static bool drain_saves(struct node *n, struct node_action *ret)
{
    if (n->saving != NODE_SAVE_N) {
        enum node_save done = n->saving;
        n->saving = NODE_SAVE_N;
        after_save(n, done);
    }
    for (unsigned what = 0; what < NODE_SAVE_N; what++) {
        if (n->save_due[what]) {
            struct writer w = writer_of(n->buffers->scratch, sizeof(n->buffers->scratch));
            n->save_due[what] = false;
            save_bytes(n, (enum node_save)what, &w);
            if (w.failed) {
                continue; /* a book of more than 64 KiB: the newest of it stay in memory */
            }
            n->saving = (enum node_save)what;
            ret->type = NODE_ACTION_SAVE;
            ret->u.save.what = (enum node_save)what;
            ret->u.save.bytes =
                what == NODE_SAVE_REVOKED ? buf_slice(&n->chains.revoked.bytes) : writer_slice(&w);
            return true;
        }
    }
    return false;
}

/* Vitals follow the slots: they are told on when they moved. */
static void update_own(struct node *n)
{
    struct exec_vitals v;
    if (!n->has_cores) {
        return;
    }
    if (n->is_ad_due) {
        n->is_ad_due = false;
        members_update_ad(n);
    }
    exec_vitals(n->exec, &v);
    if (n->is_vitals_due || v.n_free != n->told_free) {
        n->is_vitals_due = false;
        n->told_free = v.n_free;
        members_update_vitals(n);
        members_tell_exec(n, gossip_self(&n->gossip));
    }
}

bool node_poll(struct node *n, struct node_action *ret)
{
    if (n->sessions == NULL) {
        return false;
    }
    /* Cores and sessions first, links last: what one turn says to a peer travels together. */
    if (members_drain(n, ret) || jobs_drain(n, ret)) {
        return true;
    }
    update_own(n);
    control_tick(n);
    if (members_drain(n, ret) || jobs_drain(n, ret) || drain_saves(n, ret)) {
        return true;
    }
    do { /* followers hear of what links tell, too */
        events_show(n);
        if (conns_drain(n, ret)) {
            return true;
        }
    } while (n->events.next != n->events_shown);
    if (n->stop.is_due) {
        n->stop.is_due = false;
        n->state = NODE_STATE_STOPPED;
        ret->type = NODE_ACTION_STOP;
        ret->u.stop.code = n->stop.code;
        ret->u.stop.text = n->stop.text;
        return true;
    }
    return false;
}

void node_check(const struct node *n)
{
    assert(n->state <= NODE_STATE_STOPPED);
    assert(n->streams.n <= n->streams.capacity && n->n_conns <= NODE_CONNS_MAX);
    conns_check(n);
    if (n->sessions != NULL) {
        session_check(n->sessions);
    }
    chains_check(&n->chains);
    events_check(&n->events);
    admit_book_check(&n->book);
    if (n->has_cores) {
        dht_check(&n->dht);
        gossip_check(&n->gossip);
        exec_check(n->exec);
    }
}
