/* SPDX-License-Identifier: Apache-2.0 */
/* How this node becomes a member: a ticket is shown to the members it names (overlay 1.2). */
#include <stdio.h>

#include "node/core.h"

#define JOIN_NEXT_US (150 * US_PER_MS) /* the second contact is tried this long after the first */
#define JOIN_ASK_AGAIN_US US_PER_S /* an answer takes a round trip: then a new session is tried */
#define JOIN_GIVE_UP_US (15 * US_PER_S) /* two full handshake tries, 5 s each, and an answer */

static void settle_failed(struct node *n, enum ipx_err why, const char *detail)
{
    n->join.is_active = false;
    n->join.is_failed = true;
    n->join.why = why;
    snprintf(n->join.detail, sizeof(n->join.detail), "%s", detail);
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "join failed", NULL, (uint64_t)why, 0);
}

static void ask(struct node *n, const struct node_id *peer);

static void call_contact(struct node *n, unsigned i)
{
    uint32_t request_id;
    const struct ticket_contact *c = &n->join.ticket.contacts[i];
    if (tunnels_is_up(n, &c->id)) {
        n->join.contact = i;
        ask(n, &c->id);
        return;
    }
    tunnels_watch(n, &c->id, &c->addr);
    err_ignore(session_ping(n->sessions, n->now_us, &c->id, &c->addr, &request_id),
               "the other contact, or the time limit, decides");
    n->join.contact = i;
    n->join.next_us = n->now_us + JOIN_NEXT_US;
}

/* No answer came: the other end may know nothing of this session (its confirmation was lost), so it
 * is made anew, with the next contact. Asking twice is harmless: who is known gets what it got. */
static void call_again(struct node *n)
{
    n->join.is_asked = false;
    session_forget(n->sessions, n->now_us, &n->join.asked, IPX_TIMEOUT);
    call_contact(n, (n->join.contact + 1) % n->join.ticket.n_contacts);
}

static void ask(struct node *n, const struct node_id *peer)
{
    struct writer w = writer_of(n->buffers->body, sizeof(n->buffers->body));
    if (admit_request_put(&n->join.ticket, &n->config.key, n->config.name, &w) != IPX_OK) {
        settle_failed(n, IPX_MALFORMED, "a node name is a-z 0-9 - and at most 24 letters");
        return;
    }
    n->join.is_asked = true;
    n->join.silent = 0;
    n->join.asked = *peer;
    n->join.next_us = n->now_us + JOIN_ASK_AGAIN_US;
    members_send(n, peer, NULL, SESSION_ADMIT, 0, writer_slice(&w));
}

void join_start(struct node *n)
{
    n->join.began_us = n->now_us;
    n->join.give_up_us = n->now_us + JOIN_GIVE_UP_US;
    enum ipx_err err = ticket_check(&n->join.ticket, &n->config.mesh, node_wall_ms(n));
    if (err != IPX_OK) {
        settle_failed(n, err, "");
        return;
    }
    for (unsigned i = n->join.ticket.n_contacts; i-- > 0;) {
        coats_put(&n->coats, &n->join.ticket.contacts[i].id, &n->join.ticket.contacts[i].coat);
    }
    call_contact(n, 0);
}

/* Its number, or n_contacts. */
static unsigned contact_of(const struct node *n, const struct node_id *peer)
{
    unsigned i = 0;
    while (i < n->join.ticket.n_contacts && !node_id_equal(&n->join.ticket.contacts[i].id, peer)) {
        i++;
    }
    return i;
}

static bool is_contact(const struct node *n, const struct node_id *peer)
{
    return contact_of(n, peer) < n->join.ticket.n_contacts;
}

/* Neither datagrams nor a connection came to anything, with any of them: strangers get no answer,
 * so this is also what a ticket of another mesh looks like. */
static void settle_silent(struct node *n)
{
    char detail[JOIN_DETAIL_SIZE], addr[ADDR_TEXT_SIZE];
    size_t used = 0;
    for (unsigned i = 0; i < n->join.ticket.n_contacts; i++) {
        addr_text(&n->join.ticket.contacts[i].addr, addr);
        used += (size_t)snprintf(detail + used, sizeof(detail) - used, "%s%s", i > 0 ? " and " : "",
                                 addr);
    }
    snprintf(detail + used, sizeof(detail) - used, ": no answer, by UDP or by TCP");
    settle_failed(n, IPX_TIMEOUT, detail);
}

void join_on_up(struct node *n, const struct node_id *peer)
{
    if (n->join.is_active && !n->join.is_asked && is_contact(n, peer)) {
        ask(n, peer);
    }
}

/* The refusals that another contact would give as well. */
static bool is_final(enum ipx_err err)
{
    return err == IPX_USED || err == IPX_EXPIRED || err == IPX_NAME_TAKEN ||
           err == IPX_BAD_SIGNATURE || err == IPX_OTHER_MESH || err == IPX_REVOKED ||
           err == IPX_CONFLICT || err == IPX_NOT_YET || err == IPX_CAPS || err == IPX_WRONG_LAB;
}

static void try_other(struct node *n, const struct node_id *failed, enum ipx_err err,
                      const char *detail)
{
    unsigned other = n->join.contact + 1;
    unsigned all = (1u << n->join.ticket.n_contacts) - 1;
    if (err == IPX_TIMEOUT && n->join.silent == all) {
        settle_silent(n);
        return;
    }
    if (is_final(err) || (other >= n->join.ticket.n_contacts && err != IPX_TIMEOUT)) {
        settle_failed(n, err, detail);
        return;
    }
    if (n->join.is_asked && node_id_equal(&n->join.asked, failed)) {
        n->join.is_asked = false;
    }
    if (other < n->join.ticket.n_contacts) {
        call_contact(n, other);
    }
}

void join_on_failed(struct node *n, const struct node_id *peer, enum ipx_err err)
{
    if (n->join.is_active && is_contact(n, peer) && (!n->join.is_asked || is_final(err))) {
        n->join.why = err; /* told if nobody answers */
        n->join.silent |= err == IPX_TIMEOUT ? 1u << contact_of(n, peer) : 0;
        try_other(n, peer, err, "");
    }
}

enum ipx_err join_use_chain(struct node *n, struct slice chain, const struct cert_facts *facts)
{
    assert(chain.len <= sizeof(n->chain));
    memmove(n->chain, chain.data, chain.len);
    n->chain_len = chain.len;
    n->self = *facts;
    node_save_later(n, NODE_SAVE_CHAIN);
    if (!facts->is_plain) {
        /* without the admitter's chain ours proves nothing after a restart */
        node_save_later(n, NODE_SAVE_ISSUERS);
    }
    return session_set_chain(n->sessions, n->now_us, slice_of(n->chain, n->chain_len));
}

static void become_member(struct node *n, const struct admit_answer *answer)
{
    const struct chain *own;
    struct slice admitter = members_chain_of(n, &answer->facts.admitter);
    n->join.is_active = false;
    n->join.took_us = n->now_us - n->join.began_us;
    enum ipx_err err =
        chains_put(&n->chains, node_wall_ms(n), slice_of(answer->chain, answer->chain_len),
                   admitter, &n->config.key.pk, &own);
    if (err == IPX_OK || err == IPX_NEED_CHAIN) {
        err = join_use_chain(n, slice_of(answer->chain, answer->chain_len), &answer->facts);
    }
    if (err == IPX_OK) {
        err = members_start(n);
    }
    if (err != IPX_OK) {
        settle_failed(n, err, "");
        return;
    }
    node_save_later(n, NODE_SAVE_CONTACTS); /* the ticket has done its work: those it named */
    tunnels_forget(n);                      /* made with the ticket */
    conns_close_all(n);
    admission_watch(n);
    trace_emit(&n->config.trace, n->now_us, TRACE_NODE, "joined", &n->join.asked, n->self.is_plain,
               n->join.took_us / US_PER_MS);
}

void join_on_admitted(struct node *n, const struct session_action *a)
{
    struct admit_answer answer;
    struct admit_expected want = {.ticket = &n->join.ticket,
                                  .self = &n->config.key.pk,
                                  .name = n->config.name,
                                  .admitter_chain = members_chain_of(n, &a->peer),
                                  .wall_ms = node_wall_ms(n)};
    if (!n->join.is_active || !n->join.is_asked) {
        return;
    }
    enum ipx_err err = admit_answer_verify(a->body, &want, &answer);
    if (err != IPX_OK) {
        try_other(n, &a->peer, err, "the answer of the admitting node is not valid");
    } else if (answer.why != IPX_OK) {
        try_other(n, &a->peer, answer.why, answer.detail);
    } else {
        become_member(n, &answer);
    }
}

bool join_is_settled(const struct node *n)
{
    if (n->join.is_failed) {
        return true;
    }
    return n->has_cores && (gossip_n_live(&n->gossip) > 1 || n->join.ticket.n_contacts == 0);
}

const char *join_hint(enum ipx_err why)
{
    if (why == IPX_NAME_TAKEN) {
        return "Choose another: ipx-node join --name NAME TICKET";
    }
    if (why == IPX_TIMEOUT || why == IPX_UNREACHABLE) {
        return "Is one of them up, and is the ticket of this mesh? Ask for a new one: ipx-node "
               "invite";
    }
    return "Ask its owner for a new ticket: ipx-node invite";
}

void join_tick(struct node *n)
{
    struct join *j = &n->join;
    if (j->is_active && n->now_us >= j->give_up_us) {
        settle_failed(n, j->why != IPX_OK ? j->why : IPX_TIMEOUT,
                      "no member named in the ticket answers");
    } else if (j->is_active && n->now_us >= j->next_us) {
        j->next_us = NEVER_US;
        if (j->is_asked) {
            call_again(n);
        } else if (j->contact + 1 < j->ticket.n_contacts) {
            call_contact(n, j->contact + 1);
        }
    }
}

uint64_t join_deadline(const struct node *n)
{
    return n->join.is_active ? IPX_MIN(n->join.next_us, n->join.give_up_us) : NEVER_US;
}
