/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the cores: dht, gossip and exec begin when the node is a member, and end with it. */
#include "node/core.h"

static void bootstrap(struct node *n)
{
    struct dht_contact contacts[256];
    size_t count = 0;
    uint64_t seq;
    struct slice saved = n->config.saved[NODE_SAVE_CONTACTS];
    if (saved.len > 0 &&
        dht_save_decode(saved, contacts, ARRAY_LEN(contacts), &count, &seq) != IPX_OK) {
        count = 0; /* a damaged file costs a slower start, nothing else */
    }
    for (unsigned i = 0; i < n->join.ticket.n_contacts && count < ARRAY_LEN(contacts); i++) {
        contacts[count++] = (struct dht_contact){.id = n->join.ticket.contacts[i].id,
                                                 .flags = DHT_FLAG_NO_NONCE,
                                                 .addr = n->join.ticket.contacts[i].addr};
    }
    if (count > 0) {
        err_ignore(dht_bootstrap(&n->dht, n->now_us, contacts, count),
                   "without memory for contacts others may still find us");
    }
    dht_join(&n->dht, n->now_us);
}

static uint64_t saved_seq(const struct node *n)
{
    struct slice s = n->config.saved[NODE_SAVE_SEQ];
    return s.len == 8 ? load_be64(s.data) : 0;
}

static enum ipx_err start_dht(struct node *n)
{
    struct dht_config config = {.mesh = n->config.mesh,
                                .key = &n->config.key,
                                .mem = n->mem,
                                .trace = &n->config.trace,
                                .record_seq = saved_seq(n)};
    memcpy(config.nonce, n->self.nonce, sizeof(config.nonce));
    memcpy(config.lab, n->self.lab, sizeof(config.lab));
    rng_fill(&n->rng, config.seed, sizeof(config.seed));
    return dht_init(&n->dht, n->now_us, &config);
}

static enum ipx_err start_gossip(struct node *n)
{
    struct gossip_config config = {
        .self = &n->self,
        .chain = slice_of(n->chain, n->chain_len),
        .key = &n->config.key,
        .mesh = n->config.mesh,
        .boot = {.generation = n->config.generation, .nonce = n->config.boot_nonce},
        .addrs = n->config.listen,
        .n_addrs = (unsigned)IPX_MIN(n->config.n_listen, (size_t)GOSSIP_ADDRS_MAX),
        .coat = n->config.coat,
        .mem = n->mem,
        .trace = &n->config.trace,
        .rng = &n->rng,
        .now_us = n->now_us,
    };
    return gossip_init(&n->gossip, &config);
}

static enum ipx_err start_exec(struct node *n)
{
    struct exec_config config = {.key = &n->config.key,
                                 .mesh = n->config.mesh,
                                 .self = n->self,
                                 .rng = &n->rng,
                                 .n_slots = n->config.offers ? n->config.slots : 0,
                                 .trace = &n->config.trace,
                                 .scratch = &n->buffers->exec};
    enum ipx_err err = exec_new(&config, n->mem, &n->exec);
    if (err == IPX_OK) {
        exec_set_accept(n->exec, n->accept);
        exec_set_holds_issuer(n->exec, n->config.has_issuer);
    }
    return err;
}

static void publish_self(struct node *n)
{
    struct dht_record record = {.chain_hash = n->self.chain_hash};
    for (size_t i = 0; i < n->config.n_listen && i < DHT_RECORD_ADDRS_MAX; i++) {
        record.addrs[record.n_addrs++] = n->config.listen[i];
    }
    if (record.n_addrs > 0) {
        dht_publish_self(&n->dht, n->now_us, &record);
    }
}

enum ipx_err members_start(struct node *n)
{
    assert(!n->has_cores && n->chain_len > 0);
    enum ipx_err err = start_dht(n);
    if (err != IPX_OK) {
        return err;
    }
    err = start_gossip(n);
    if (err != IPX_OK) {
        dht_done(&n->dht);
        return err;
    }
    err = start_exec(n);
    if (err != IPX_OK) {
        gossip_done(&n->gossip);
        dht_done(&n->dht);
        return err;
    }
    n->has_cores = true;
    n->state = NODE_STATE_MEMBER;
    int64_t wall_ms = node_wall_ms(n);
    dht_on_clock(&n->dht, n->now_us, wall_ms);
    gossip_on_clock(&n->gossip, n->now_us, wall_ms);
    exec_on_clock(n->exec, n->now_us, wall_ms);
    revoking_start(n);
    members_update_ad(n);
    members_update_vitals(n);
    bootstrap(n);
    publish_self(n);
    return IPX_OK;
}

void members_stop(struct node *n)
{
    if (n->has_cores) {
        n->has_cores = false;
        exec_free(n->exec);
        n->exec = NULL;
        gossip_done(&n->gossip);
        dht_done(&n->dht);
    }
}
