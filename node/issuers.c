/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of issuers, by their hash: a ticket names its issuer so, and whoever admits needs
 * the certificate (overlay 1.2). Those of verified chains are kept; for another the members are
 * asked with GET_CHAIN, so many at a time, before the admission is refused. The joiner, who asks
 * for admission each second, is the clock of it: a question needs no timer.
 */
#include "node/core.h"
#include "node/session_wire.h"

#define ISSUERS_ROUND_US (400 * US_PER_MS) /* for the answers of those asked at once */
#define ISSUERS_ROUND 32                   /* members asked at once */
#define ISSUERS_REFUSED_US (10 * US_PER_S) /* nobody had it: not asked for again */

static struct issuer *find(struct node *n, const struct hash *want)
{
    for (unsigned i = 0; i < n->issuers.n; i++) {
        if (hash_equal(&n->issuers.known[i].hash, want)) {
            return &n->issuers.known[i];
        }
    }
    return NULL;
}

/* A revocation is proved by it after every start: it stays as long as that. */
static bool is_revoker(const struct node *n, const struct hash *hash)
{
    const struct revoked *t = &n->chains.revoked;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->all[i].r.is_by_root && hash_equal(&t->all[i].r.issuer_cert, hash)) {
            return true;
        }
    }
    return false;
}

void issuers_keep(struct node *n, const struct hash *hash, struct slice cert)
{
    struct issuers *x = &n->issuers;
    if (find(n, hash) != NULL || cert.len == 0 || cert.len > CERT_BYTES_MAX) {
        return;
    }
    unsigned tries = 0;
    while (x->n == NODE_ISSUERS_MAX && is_revoker(n, &x->known[x->next].hash)) {
        x->next = (x->next + 1) % NODE_ISSUERS_MAX;
        if (++tries == NODE_ISSUERS_MAX) {
            return; /* all of them revoke; tickets of one more are not redeemed here */
        }
    }
    struct issuer *to = &x->known[x->next];
    x->next = (x->next + 1) % NODE_ISSUERS_MAX; /* the oldest leaves */
    x->n = IPX_MIN(x->n + 1, NODE_ISSUERS_MAX);
    node_save_later(n, NODE_SAVE_ISSUERS);
    to->hash = *hash;
    to->len = (uint16_t)cert.len;
    memcpy(to->bytes, cert.data, cert.len);
}

void issuers_on_chain(struct node *n, struct slice chain)
{
    struct cert_chain_parts parts;
    if (cert_chain_split(chain, &parts) == IPX_OK) {
        struct hash h = crypt_hash(parts.issuer_cert);
        issuers_keep(n, &h, parts.issuer_cert);
    }
}

struct slice issuers_find(struct node *n, const struct hash *want)
{
    struct cert_chain_parts parts;
    if (n->config.has_issuer) {
        struct slice cert = slice_of(n->signer.bytes, n->signer.len);
        struct hash h = crypt_hash(cert);
        if (hash_equal(&h, want)) {
            return cert;
        }
    }
    if (cert_chain_split(slice_of(n->chain, n->chain_len), &parts) == IPX_OK) {
        struct hash h = crypt_hash(parts.issuer_cert);
        if (hash_equal(&h, want)) {
            return parts.issuer_cert;
        }
    }
    const struct issuer *x = find(n, want);
    return x != NULL ? slice_of(x->bytes, x->len) : SLICE_EMPTY;
}

/* --- the disk: [admitter's chain, certificate ..] --- */

void issuers_save(struct node *n, struct writer *w)
{
    cbor_put_array(w, 1 + n->issuers.n);
    cbor_put_bytes(w, members_chain_of(n, &n->self.admitter));
    for (unsigned i = 0; i < n->issuers.n; i++) {
        cbor_put_bytes(w, slice_of(n->issuers.known[i].bytes, n->issuers.known[i].len));
    }
}

struct slice issuers_saved_admitter(const struct node *n)
{
    struct cbor_reader r = cbor_reader_of(n->config.saved[NODE_SAVE_ISSUERS]);
    return cbor_array_begin(&r, 1 + NODE_ISSUERS_MAX) > 0 ? cbor_bytes(&r, CERT_CHAIN_MAX)
                                                          : SLICE_EMPTY;
}

void issuers_load(struct node *n)
{
    struct cert cert;
    struct cbor_reader r = cbor_reader_of(n->config.saved[NODE_SAVE_ISSUERS]);
    uint64_t left = cbor_array_begin(&r, 1 + NODE_ISSUERS_MAX);
    (void)cbor_bytes(&r, CERT_CHAIN_MAX); /* the admitter's */
    while (left-- > 1 && !r.failed) {
        struct slice bytes = cbor_bytes(&r, CERT_BYTES_MAX);
        if (!r.failed && cert_issuer_verify(bytes, &n->config.mesh, &cert) == IPX_OK) {
            struct hash h = crypt_hash(bytes);
            issuers_keep(n, &h, bytes);
        }
    }
    n->save_due[NODE_SAVE_ISSUERS] = false;
}

/* --- questions --- */

static struct issuer_question *question_of(struct node *n, const struct hash *want)
{
    struct issuer_question *free_one = NULL;
    for (unsigned i = 0; i < NODE_ISSUER_QUESTIONS_MAX; i++) {
        struct issuer_question *q = &n->issuers.questions[i];
        if (q->due_us != 0 && hash_equal(&q->hash, want) &&
            (!q->is_over || n->now_us < q->due_us)) {
            return q;
        }
        /* one whose joiner has gone stands still: its place is free as well */
        if ((q->is_over && n->now_us >= q->due_us) || q->due_us == 0 ||
            n->now_us > q->due_us + ISSUERS_REFUSED_US) {
            free_one = q;
        }
    }
    if (free_one != NULL) {
        *free_one = (struct issuer_question){.hash = *want};
    }
    return free_one;
}

/* Asks the next members; false when all were asked. */
static bool ask_more(struct node *n, struct issuer_question *q)
{
    struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
    uint32_t at = 0, n_now = 0;
    session_get_chain_encode(&q->hash, &w);
    for (const struct gossip_member *m = gossip_next(&n->gossip, NULL);
         m != NULL && n_now < ISSUERS_ROUND; m = gossip_next(&n->gossip, m)) {
        if (gossip_member_is_live(m) && at++ >= q->n_asked) {
            members_send(n, &m->facts.id, NULL, SESSION_GET_CHAIN, 0, writer_slice(&w));
            n_now++;
        }
    }
    q->n_asked += n_now;
    q->due_us = n->now_us + ISSUERS_ROUND_US;
    return n_now > 0;
}

bool issuers_ask(struct node *n, const struct hash *want)
{
    struct issuer_question *q = question_of(n, want);
    if (q == NULL) {
        return true; /* too many at once: the joiner asks again, and we then */
    }
    if (q->is_over) {
        return false;
    }
    if (n->now_us < q->due_us || ask_more(n, q)) {
        return true;
    }
    q->is_over = true;
    q->due_us = n->now_us + ISSUERS_REFUSED_US;
    return false;
}

void issuers_on_answer(struct node *n, struct slice cert)
{
    struct hash h = crypt_hash(cert);
    for (unsigned i = 0; i < NODE_ISSUER_QUESTIONS_MAX; i++) {
        struct issuer_question *q = &n->issuers.questions[i];
        if (q->due_us != 0 && hash_equal(&q->hash, &h)) {
            issuers_keep(n, &h, cert); /* whoever admits verifies it */
            *q = (struct issuer_question){.due_us = 0};
        }
    }
}
