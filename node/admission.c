/* SPDX-License-Identifier: Apache-2.0 */
/* How this node admits others, makes tickets, and keeps its own certificate (overlay 1.2). */
#include <stdio.h>

#include "node/core.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define RENEW_LOOK_US (60 * US_PER_S) /* between looks for one who renews our certificate */

/* Messages of this plane beside those of node/session.h; docs/wire.md. */
enum admission_type {
    ADMISSION_CERTIFY = 11,  /* "a plain certificate for what I showed you": empty body */
    ADMISSION_CERTIFIED = 12 /* the new chain */
};

/* --- life --- */

enum ipx_err admission_init(struct node *n)
{
    uint8_t secret[16];
    rng_fill(&n->rng, secret, sizeof(secret));
    enum ipx_err err =
        admit_book_init(&n->book, n->mem, &n->config.mesh, NODE_BOOK_ENTRIES, secret);
    if (err != IPX_OK) {
        return err;
    }
    err_ignore(admit_book_load(&n->book, n->config.saved[NODE_SAVE_BOOK]),
               "what can be read of a damaged book is kept");
    if (n->config.ticket.len > 0) {
        n->join.is_active = true;
        err = ticket_parse(n->config.ticket, &n->join.ticket);
    }
    if (err == IPX_OK && n->config.has_issuer) {
        err = keys_signer_make(&n->config.issuer_key, n->config.issuer_cert, &n->config.mesh,
                               &n->signer);
    }
    if (err != IPX_OK) {
        admit_book_done(&n->book);
    }
    return err;
}

/* When our own certificate is looked at: soon while it is of the admitted form. */
void admission_watch(struct node *n)
{
    n->renew_us = n->now_us + (n->self.is_plain ? RENEW_LOOK_US : US_PER_S);
}

void admission_start(struct node *n)
{
    n->renew_us = NEVER_US;
    if (n->join.is_active) {
        join_start(n);
    } else {
        admission_watch(n);
    }
}

/* --- admitting others --- */

/* Names are unique in a lab; one is free 24 h after its holder went (its tombstone is gone). */
static bool name_holder(const struct node *n, const struct admit_request *req,
                        char detail[static ADMIT_DETAIL_MAX + 1])
{
    for (const struct gossip_member *m = members_next(n, NULL); m != NULL; m = members_next(n, m)) {
        if (strcmp(m->facts.name, req->claim.name) == 0 &&
            strcmp(m->facts.lab, req->ticket.grant.lab) == 0 &&
            !node_id_equal(&m->facts.id, &req->claim.id)) {
            char id[ID_SHORT_LEN + 1];
            node_id_short(&m->facts.id, id);
            snprintf(detail, ADMIT_DETAIL_MAX + 1, "%s/%s is %s", m->facts.lab, m->facts.name, id);
            return true;
        }
    }
    return false;
}

/* May this request be granted? Fills the grant: a key that asks again gets what it got. */
static enum ipx_err judge(struct node *n, const struct session_action *a, struct admit_request *req,
                          struct admit_grant *grant, char detail[static ADMIT_DETAIL_MAX + 1])
{
    struct admit_notice known;
    int64_t wall_ms = node_wall_ms(n);
    enum ipx_err err = admit_request_decode(a->body, req);
    if (err != IPX_OK) {
        return err;
    }
    if (!n->has_cores || !admit_is_allowed(&n->self)) {
        snprintf(detail, ADMIT_DETAIL_MAX + 1, "this member may not admit");
        return IPX_DENIED;
    }
    struct slice issuer = issuers_find(n, &req->ticket.issuer_cert);
    if (issuer.len == 0) {
        return issuers_ask(n, &req->ticket.issuer_cert) ? IPX_AGAIN : IPX_UNKNOWN_ISSUER;
    }
    err = admit_request_verify(a->body, issuer, &n->config.mesh, wall_ms, &a->peer, req);
    if (err == IPX_OK && revoked_has_ticket(&n->chains.revoked, &req->issuer.subject,
                                            req->ticket.grant.serial, &a->peer)) {
        err = IPX_REVOKED;
    }
    if (err != IPX_OK) {
        return err;
    }
    grant->admitter = n->config.key.pk;
    grant->admitted_ms = wall_ms;
    grant->serial = rng_u64(&n->rng);
    rng_fill(&n->rng, grant->nonce, sizeof(grant->nonce));
    err = admit_book_find(&n->book, req, &known);
    if (err == IPX_OK) {
        memcpy(grant->nonce, known.nonce, sizeof(grant->nonce));
        if (node_id_equal(&known.admitter, &grant->admitter)) {
            grant->admitted_ms = known.admitted_ms;
        }
        return IPX_OK;
    }
    if (err != IPX_NOT_FOUND) {
        snprintf(detail, ADMIT_DETAIL_MAX + 1, "it admitted \"%s\"", known.claim.name);
        return err;
    }
    return name_holder(n, req, detail) ? IPX_NAME_TAKEN : IPX_OK;
}

/* One issuer admits more nodes within a day than a lab has: a stolen key, perhaps, with which
 * somebody wants to be in the majority around some key. Told once, when it passes the limit. */
static void watch_issuer(struct node *n, const uint8_t *tag)
{
    char text[EVENTS_TEXT_MAX], hex[2 * 8 + 1];
    if (n->book.count <= ADMISSION_DAY_MAX ||
        admit_book_count_since(&n->book, tag, node_wall_ms(n) - DAY_MS) != ADMISSION_DAY_MAX + 1) {
        return;
    }
    for (size_t i = 0; i < 8; i++) {
        snprintf(hex + 2 * i, 3, "%02x", tag[i]);
    }
    snprintf(text, sizeof(text), "tickets of issuer %s.. admitted more than %d nodes within a day",
             hex, ADMISSION_DAY_MAX);
    events_tell(n, EVENTS_MANY_ADMITTED, NULL, slice_text(text));
}

/* The mesh is told of every admission, so that one ticket is one membership. */
static void announce(struct node *n, const struct admit_request *req,
                     const struct admit_notice *notice)
{
    uint8_t bytes[ADMIT_NOTICE_MAX];
    struct admit_seen seen;
    struct writer w = writer_of(bytes, sizeof(bytes));
    admit_notice_put(&w, notice, &n->config.mesh, &n->config.key);
    err_ignore(admit_book_see(&n->book, notice, &req->ticket.one_time, node_wall_ms(n), &seen),
               "it was judged a moment ago");
    watch_issuer(n, notice->issuer_tag);
    node_save_later(n, NODE_SAVE_BOOK);
    struct hash key = crypt_hash(writer_slice(&w));
    err_ignore(
        gossip_spread_doc(&n->gossip, n->now_us, GOSSIP_DOC_REDEMPTION, &key, writer_slice(&w)),
        "the certificate is valid all the same");
}

static enum ipx_err grant_plain(struct node *n, const struct admit_request *req,
                                const struct admit_grant *grant, struct writer *answer)
{
    uint8_t cert[CERT_BYTES_MAX], chain[CERT_CHAIN_MAX];
    struct writer w = writer_of(cert, sizeof(cert));
    struct writer c = writer_of(chain, sizeof(chain));
    struct cert_facts facts;
    struct admit_notice notice;
    enum ipx_err err = admit_issue_first(&n->signer, req, grant, &w);
    if (err != IPX_OK) {
        return err;
    }
    cert_chain_put_plain(&c, writer_slice(&w), slice_of(n->signer.bytes, n->signer.len));
    err = cert_chain_verify(writer_slice(&c), &n->config.mesh, node_wall_ms(n), &req->claim.id,
                            &facts);
    if (err != IPX_OK) {
        return err;
    }
    admit_answer_put_chain(answer, writer_slice(&c));
    admit_notice_of_request(req, grant, &notice);
    announce(n, req, &notice);
    return IPX_OK;
}

static void grant_redemption(struct node *n, const struct admit_request *req,
                             const struct admit_grant *grant, struct slice issuer,
                             struct writer *answer)
{
    uint8_t bytes[ADMIT_REDEMPTION_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct admit_notice notice;
    admit_redeem(req, &n->config.key, grant->nonce, grant->admitted_ms, &w);
    admit_answer_put_redemption(answer, writer_slice(&w), issuer);
    admit_notice_of_request(req, grant, &notice);
    announce(n, req, &notice);
}

static void tell_admission(struct node *n, const struct admit_request *req, enum ipx_err err,
                           const char *detail)
{
    char text[EVENTS_TEXT_MAX];
    if (err == IPX_OK) {
        snprintf(text, sizeof(text), "%s/%s", req->ticket.grant.lab, req->claim.name);
        events_tell(n, EVENTS_ADMITTED, &req->claim.id, slice_text(text));
    } else {
        snprintf(text, sizeof(text), "%s%s%s", err_text(err), detail[0] != '\0' ? ": " : "",
                 detail);
        events_tell(n, EVENTS_REFUSED, NULL, slice_text(text));
    }
}

static void on_admit(struct node *n, const struct session_action *a)
{
    struct admit_request req;
    struct admit_grant grant;
    char detail[ADMIT_DETAIL_MAX + 1] = "";
    struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
    enum ipx_err err = judge(n, a, &req, &grant, detail);
    if (err == IPX_MALFORMED || err == IPX_AGAIN) {
        return; /* the joiner asks again, until there is an answer */
    }
    if (err == IPX_OK && n->config.has_issuer) {
        err = grant_plain(n, &req, &grant, &w);
    } else if (err == IPX_OK) {
        grant_redemption(n, &req, &grant, issuers_find(n, &req.ticket.issuer_cert), &w);
    }
    if (err != IPX_OK) {
        w = writer_of(n->buffers->body, sizeof(n->buffers->body));
        admit_answer_put_refusal(&w, err, detail);
    }
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "admit", &a->peer, (uint64_t)err, 0);
    tell_admission(n, &req, err, detail);
    members_send(n, &a->peer, &a->addr, SESSION_ADMITTED, a->request_id, writer_slice(&w));
}

/* Who lost a ticket to the admission of these facts, which are proved by now, is no member. */
static void bar_losers(struct node *n, const struct cert_facts *winner)
{
    const struct gossip_member *m = gossip_next(&n->gossip, NULL);
    while (m != NULL) {
        struct node_id id = m->facts.id;
        bool is_loser = gossip_member_is_live(m) && m->facts.birth_serial == winner->birth_serial &&
                        node_id_equal(&m->facts.birth_issuer, &winner->birth_issuer) &&
                        !node_id_equal(&id, &winner->id) &&
                        admit_book_is_dropped(&n->book, &m->facts);
        m = gossip_next(&n->gossip, m);
        if (is_loser) {
            gossip_bar(&n->gossip, n->now_us, &id);
            m = gossip_next(&n->gossip, NULL); /* those barred live no more: it comes to an end */
        }
    }
}

bool admission_on_chain(struct node *n, const struct cert_facts *facts)
{
    struct admit_notice notice;
    struct admit_seen seen;
    if (!facts->is_plain) {
        admit_notice_of_facts(facts, &notice);
        enum ipx_err err = admit_book_see(&n->book, &notice, NULL, node_wall_ms(n), &seen);
        if (seen.is_new) {
            watch_issuer(n, notice.issuer_tag);
            node_save_later(n, NODE_SAVE_BOOK);
        }
        if (err != IPX_BAD_SIGNATURE && node_id_equal(&seen.winner.claim.id, &facts->id)) {
            bar_losers(n, facts);
        }
    }
    return !admit_book_is_dropped(&n->book, facts);
}

bool admission_on_doc(struct node *n, struct slice bytes)
{
    struct admit_notice notice;
    struct admit_seen seen;
    const struct cert_facts *admitter = NULL;
    if (admit_notice_decode(bytes, &notice) != IPX_OK) {
        return false;
    }
    const struct gossip_member *m = gossip_find(&n->gossip, &notice.admitter);
    if (m != NULL) {
        admitter = &m->facts;
    }
    if (admitter == NULL ||
        admit_notice_verify(bytes, &n->config.mesh, admitter, &notice) != IPX_OK) {
        return false;
    }
    enum ipx_err err = admit_book_see(&n->book, &notice, NULL, node_wall_ms(n), &seen);
    if (err == IPX_CONFLICT) {
        trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "ticket used twice",
                   &seen.loser.claim.id, seen.loser.claim.serial, seen.is_dropped);
        /* hearsay takes nothing from anybody: the winner's own chain has to prove it */
        if (seen.is_dropped && seen.winner.is_proved &&
            !node_id_equal(&seen.loser.claim.id, &n->config.key.pk)) {
            gossip_bar(&n->gossip, n->now_us, &seen.loser.claim.id);
        }
    }
    if (seen.is_new) {
        watch_issuer(n, notice.issuer_tag);
    }
    node_save_later(n, NODE_SAVE_BOOK);
    return err != IPX_BAD_SIGNATURE;
}

/* --- from a redemption to a certificate, and renewal --- */

static bool wants_certificate(const struct node *n)
{
    return n->has_cores && !n->config.has_issuer &&
           (!n->self.is_plain || node_wall_ms(n) >= cert_renew_at_ms(&n->self));
}

void admission_on_member(struct node *n, const struct cert_facts *facts)
{
    if ((facts->caps & CERT_CAP_ISSUE) != 0 && wants_certificate(n)) {
        members_send(n, &facts->id, NULL, ADMISSION_CERTIFY, 0, SLICE_EMPTY);
    }
}

static void on_certify(struct node *n, const struct session_action *a)
{
    uint8_t cert[CERT_BYTES_MAX];
    struct writer w = writer_of(cert, sizeof(cert));
    struct writer c = writer_of(n->buffers->body, sizeof(n->buffers->body));
    if (!n->config.has_issuer || a->facts == NULL) {
        return;
    }
    uint64_t serial = rng_u64(&n->rng);
    enum ipx_err err = a->facts->is_plain
                           ? cert_renew(&n->signer, a->facts, serial, node_wall_ms(n), &w)
                           : admit_issue(&n->signer, a->facts, serial, node_wall_ms(n), &w);
    if (err == IPX_OK) {
        cert_chain_put_plain(&c, writer_slice(&w), slice_of(n->signer.bytes, n->signer.len));
        members_send(n, &a->peer, &a->addr, ADMISSION_CERTIFIED, 0, writer_slice(&c));
    }
}

/* Only what continues our own membership is taken: same key, lab, name and nonce. */
static bool is_continued(const struct cert_facts *old, const struct cert_facts *new)
{
    return strcmp(old->lab, new->lab) == 0 && strcmp(old->name, new->name) == 0 &&
           memcmp(old->nonce, new->nonce, sizeof(old->nonce)) == 0 && new->is_plain &&
           (!old->is_plain || new->not_after_ms > old->not_after_ms);
}

static void on_certified(struct node *n, const struct session_action *a)
{
    struct cert_facts facts;
    if (!wants_certificate(n) || a->body.len > CERT_CHAIN_MAX ||
        cert_chain_verify(a->body, &n->config.mesh, node_wall_ms(n), &n->config.key.pk, &facts) !=
            IPX_OK ||
        !is_continued(&n->self, &facts) || join_use_chain(n, a->body, &facts) != IPX_OK) {
        return;
    }
    exec_set_self(n->exec, &n->self);
    err_ignore(gossip_set_chain(&n->gossip, n->now_us, &n->self, slice_of(n->chain, n->chain_len)),
               "without memory the old chain is told on; it is valid still");
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "certified", &a->peer, n->self.serial, 0);
}

static void seek_certificate(struct node *n)
{
    for (const struct gossip_member *m = gossip_next(&n->gossip, NULL); m != NULL;
         m = gossip_next(&n->gossip, m)) {
        if (gossip_member_is_live(m) && (m->facts.caps & CERT_CAP_ISSUE) != 0) {
            admission_on_member(n, &m->facts);
            return;
        }
    }
}

void admission_recv(struct node *n, const struct session_action *a)
{
    switch (a->message_type) {
    case SESSION_ADMIT:
        on_admit(n, a);
        break;
    case SESSION_ADMITTED:
        join_on_admitted(n, a);
        break;
    case ADMISSION_CERTIFY:
        on_certify(n, a);
        break;
    case ADMISSION_CERTIFIED:
        on_certified(n, a);
        break;
    default:
        break;
    }
}

/* --- time --- */

void admission_tick(struct node *n)
{
    if (n->join.is_active) {
        join_tick(n);
    }
    if (n->now_us >= n->renew_us) {
        n->renew_us = n->now_us + RENEW_LOOK_US;
        if (wants_certificate(n)) {
            seek_certificate(n);
        }
    }
}

uint64_t admission_deadline(const struct node *n)
{
    uint64_t due = join_deadline(n);
    /* Looked at with the clock each minute (node.c) unless something is wanted soon. */
    return wants_certificate(n) ? IPX_MIN(due, n->renew_us) : due;
}

enum ipx_err admission_invite(struct node *n, const struct invite_plan *plan, struct ticket *ret)
{
    int64_t wall_ms = node_wall_ms(n);
    struct ticket_plan t = {.issued_by = n->self.name};
    if (!n->config.has_issuer) {
        return IPX_DENIED;
    }
    t.grant.serial = rng_u64(&n->rng);
    t.grant.not_before_ms = wall_ms;
    t.grant.not_after_ms = wall_ms + plan->life_ms;
    t.grant.caps = plan->caps;
    if (!slice_to_text(plan->lab.len > 0 ? plan->lab : slice_text(n->self.lab), t.grant.lab,
                       sizeof(t.grant.lab))) {
        return IPX_MALFORMED;
    }
    memcpy(t.gate_key, n->config.gates[0], sizeof(t.gate_key));
    if (n->config.n_listen > 0) {
        t.contacts[t.n_contacts++] = (struct ticket_contact){
            .id = n->config.key.pk, .addr = n->config.listen[0], .coat = n->config.coat};
    }
    for (const struct gossip_member *m = gossip_next(&n->gossip, NULL);
         m != NULL && t.n_contacts < TICKET_CONTACTS_MAX; m = gossip_next(&n->gossip, m)) {
        if (gossip_member_is_live(m) && admit_is_allowed(&m->facts) && m->n_addrs > 0) {
            t.contacts[t.n_contacts++] =
                (struct ticket_contact){.id = m->facts.id, .addr = m->addrs[0], .coat = m->coat};
        }
    }
    enum ipx_err err = IPX_REFUSED;
    for (int tries = 0; tries < 64 && err == IPX_REFUSED; tries++) {
        /* A secret of the reactor's stream, which the kernel seeded: it lives a day at most. */
        rng_fill(&n->rng, t.seed, sizeof(t.seed));
        err = ticket_make(&n->signer, &t, wall_ms, ret);
    }
    crypt_wipe(&t, sizeof(t));
    return err;
}
