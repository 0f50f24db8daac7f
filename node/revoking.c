/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations at this node: where they come from (the disk, gossip, our own revoker) and what they
 * do, all of it at once (overlay 1.2). Nothing is accepted from whom one strikes: chains.h is asked
 * at every handshake; what was there before ends here.
 */
#include <stdio.h>

#include "base/plant.h"
#include "node/core.h"
#include "node/session_wire.h"

/* --- what it does --- */

static void tell(struct node *n, const struct revoke *r, const struct node_id *id)
{
    events_tell(n, EVENTS_REVOKED, id, slice_text(revoke_reason_text(r->reason)));
}

/* Members, and with them what gossip's word ends: links, sessions, table entries, claims. */
static void bar_members(struct node *n, const struct revoke *r)
{
    const struct gossip_member *m = gossip_next(&n->gossip, NULL);
    while (m != NULL) {
        if (revoke_strikes(r, &m->facts) && m->reason != GOSSIP_REASON_BARRED) {
            struct node_id id = m->facts.id;
            tell(n, r, &id);
            exec_on_peer_revoked(n->exec, n->now_us, &id);
            dht_on_peer_gone(&n->dht, n->now_us, &id, DHT_GONE_REVOKED);
            gossip_bar(&n->gossip, n->now_us, &id);
            m = gossip_next(&n->gossip, NULL); /* those barred are passed over */
        } else {
            m = gossip_next(&n->gossip, m);
        }
    }
}

/* Those that are no members (any more): what the DHT has of them, and links that stand alone. */
static void purge(struct node *n, const struct revoke *r)
{
    struct chain *e;
    struct list *next;
    if (r->what == REVOKE_KEY) {
        dht_on_peer_gone(&n->dht, n->now_us, &r->key, DHT_GONE_REVOKED);
    }
    LIST_EACH(e, next, &n->chains.lru, struct chain, lru)
    {
        if (revoke_strikes(r, &e->facts)) {
            dht_on_peer_gone(&n->dht, n->now_us, &e->facts.id, DHT_GONE_REVOKED);
        }
    }
}

static void close_links(struct node *n, const struct revoke *r)
{
    struct conn *c;
    struct list *next;
    LIST_EACH(c, next, &n->conns, struct conn, list)
    {
        /* known as soon as the peer's chain was judged, before the link is up */
        const struct cert_facts *facts = c->link != NULL ? link_facts(c->link) : NULL;
        if (facts != NULL && revoke_strikes(r, facts)) {
            conns_close(n, c, IPX_REVOKED);
        }
    }
}

/* It may be we ourselves, or the key that we sign others with. */
static void look_at_self(struct node *n, const struct revoke *r)
{
    if (n->chain_len > 0 && revoke_strikes(r, &n->self)) {
        char text[sizeof(n->stop.text)];
        snprintf(text, sizeof(text),
                 "this node was revoked (%s): to come back it needs a new home and a new ticket",
                 revoke_reason_text(r->reason));
        node_fail_stop(n, 1, text);
    }
    if (n->config.has_issuer && revoke_strikes_issuer(r, &n->signer.key.pk)) {
        n->config.has_issuer = false; /* what it signed would be worth nothing */
        if (n->has_cores) {
            exec_set_holds_issuer(n->exec, false);
        }
    }
}

static enum ipx_err take(struct node *n, const struct revoke *r, struct slice bytes)
{
    if (n->has_cores) {
        purge(n, r); /* chains that are struck are forgotten next */
    }
    enum ipx_err err = chains_revoke(&n->chains, r, bytes, node_wall_ms(n));
    if (err != IPX_OK) {
        return err;
    }
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "revoked", &r->revoker, (uint64_t)r->what,
               n->chains.revoked.n);
    node_save_later(n, NODE_SAVE_REVOKED);
    node_save_later(n, NODE_SAVE_ISSUERS); /* the revoker's: it proves them after a restart */
    if (n->has_cores) {
        bar_members(n, r);
    }
    close_links(n, r);
    if (n->sessions != NULL) {
        session_drop_revoked(n->sessions, n->now_us);
    }
    look_at_self(n, r);
    return IPX_OK;
}

/* --- where they come from --- */

void revoking_load(struct node *n)
{
    struct cbor_reader items = cbor_reader_of(n->config.saved[NODE_SAVE_REVOKED]);
    while (cbor_peek(&items) == CBOR_ARRAY) { /* of a damaged file what can be read */
        struct revoke r;
        struct slice bytes = cbor_raw(&items);
        if (!items.failed && revoke_decode(bytes, &r) == IPX_OK &&
            revoke_verify(bytes, &n->config.mesh, issuers_find(n, &r.issuer_cert), &r) == IPX_OK) {
            err_ignore(chains_revoke(&n->chains, &r, bytes, n->wall_ms),
                       "a full table was saved by a node of another limit");
        }
    }
}

/* Those that we know are part of what we compare with others from the first moment. */
void revoking_start(struct node *n)
{
    size_t at = 0;
    const struct revoked *t = &n->chains.revoked;
    for (uint32_t i = 0; i < t->n; i++) {
        struct slice bytes = slice_of(buf_slice(&t->bytes).data + at, t->all[i].len);
        struct hash key = crypt_hash(bytes);
        at += t->all[i].len;
        err_ignore(gossip_keep_doc(&n->gossip, GOSSIP_DOC_REVOCATION, &key, bytes),
                   "without memory others tell it");
        look_at_self(n, &t->all[i].r);
    }
}

enum ipx_err node_revoke(struct node *n, uint64_t now_us, struct slice bytes)
{
    struct revoke r;
    n->now_us = now_us;
    if (!n->has_cores) {
        return IPX_AGAIN;
    }
    enum ipx_err err = revoke_decode(bytes, &r);
    if (err == IPX_OK) {
        err = revoke_verify(bytes, &n->config.mesh, issuers_find(n, &r.issuer_cert), &r);
    }
    if (err == IPX_OK) {
        err = take(n, &r, bytes);
    }
    if (err == IPX_OK) {
        struct hash key = crypt_hash(bytes);
        err_ignore(gossip_spread_doc(&n->gossip, now_us, GOSSIP_DOC_REVOCATION, &key, bytes),
                   "it is kept: comparisons spread it once there is memory");
    }
    return err;
}

/* Its revoker's certificate is asked for where it came from; it waits here. */
static void wait_for_issuer(struct node *n, const struct gossip_action *a, const struct revoke *r)
{
    struct revoking *x = &n->revoking;
    struct revoking_wait *w = &x->waits[x->next];
    x->next = (x->next + 1) % NODE_REVOKING_MAX;
    if (w->len > 0) { /* the oldest: the next comparison brings it again */
        gossip_accept_doc(&n->gossip, n->now_us, &w->key, false);
    }
    w->key = a->u.doc.key;
    w->issuer_cert = r->issuer_cert;
    w->len = (uint8_t)a->u.doc.bytes.len;
    w->since_us = n->now_us;
    memcpy(w->bytes, a->u.doc.bytes.data, w->len);
    struct writer out = writer_of(n->buffers->body, sizeof(n->buffers->body));
    session_get_chain_encode(&r->issuer_cert, &out);
    members_send(n, &a->u.doc.from, NULL, SESSION_GET_CHAIN, 0, writer_slice(&out));
}

void revoking_on_doc(struct node *n, const struct gossip_action *a)
{
    struct revoke r;
    struct slice bytes = a->u.doc.bytes;
    struct hash h = crypt_hash(bytes);
    enum ipx_err err = hash_equal(&h, &a->u.doc.key) ? revoke_decode(bytes, &r) : IPX_CONFLICT;
    if (err == IPX_OK) {
        err = revoke_verify(bytes, &n->config.mesh, issuers_find(n, &r.issuer_cert), &r);
    }
    if (err == IPX_NEED_CHAIN) {
        wait_for_issuer(n, a, &r);
        return;
    }
    if (err == IPX_OK) {
        err = take(n, &r, bytes);
    }
    gossip_accept_doc(&n->gossip, n->now_us, &a->u.doc.key, err == IPX_OK || err == IPX_EXISTS);
}

void revoking_on_issuer(struct node *n, struct slice cert)
{
    struct hash h = crypt_hash(cert);
    for (unsigned i = 0; i < NODE_REVOKING_MAX; i++) {
        struct revoking_wait *w = &n->revoking.waits[i];
        struct revoke r;
        if (w->len == 0 || !hash_equal(&w->issuer_cert, &h)) {
            continue;
        }
        struct slice bytes = slice_of(w->bytes, w->len);
        enum ipx_err err = revoke_verify(bytes, &n->config.mesh, cert, &r);
        if (err == IPX_OK) {
            issuers_keep(n, &h, cert);
            err = take(n, &r, bytes);
        }
        w->len = 0;
        gossip_accept_doc(&n->gossip, n->now_us, &w->key, err == IPX_OK || err == IPX_EXISTS);
    }
}

void revoking_on_clock(struct node *n)
{
    for (unsigned i = 0; i < NODE_REVOKING_MAX; i++) {
        struct revoking_wait *w = &n->revoking.waits[i];
        if (w->len > 0 && n->now_us - w->since_us > REVOKING_WAIT_US) {
            w->len = 0; /* another may have the certificate, too */
            gossip_accept_doc(&n->gossip, n->now_us, &w->key, false);
        }
    }
    if (IPX_PLANT(REVOKED)) {
        while (revoked_drop_over(&n->chains.revoked, node_wall_ms(n))) {
        }
    }
}
