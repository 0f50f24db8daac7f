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

static void keep(struct node *n, const struct hash *hash, struct slice cert)
{
    struct issuers *x = &n->issuers;
    if (find(n, hash) != NULL || cert.len > CERT_BYTES_MAX) {
        return;
    }
    struct issuer *to = &x->known[x->next];
    x->next = (x->next + 1) % NODE_ISSUERS_MAX; /* the oldest leaves */
    x->n = IPX_MIN(x->n + 1, NODE_ISSUERS_MAX);
    to->hash = *hash;
    to->len = (uint16_t)cert.len;
    memcpy(to->bytes, cert.data, cert.len);
}

void issuers_on_chain(struct node *n, struct slice chain)
{
    struct cert_chain_parts parts;
    if (cert_chain_split(chain, &parts) == IPX_OK) {
        struct hash h = crypt_hash(parts.issuer_cert);
        keep(n, &h, parts.issuer_cert);
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
            keep(n, &h, cert); /* whoever admits verifies it */
            *q = (struct issuer_question){.due_us = 0};
        }
    }
}
