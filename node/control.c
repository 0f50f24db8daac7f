/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks of its node: dispatch, rights, tickets, pings. */
#include "node/control.h"

#include <stdio.h>

struct writer call_writer(struct control_call *c)
{
    return writer_of(c->n->buffers->scratch, CONTROL_BODY_MAX);
}

void call_row(struct control_call *c, const struct writer *w)
{
    struct slice row = writer_slice(w);
    assert(!w->failed);
    streams_send(c->n, c->s, CONTROL_ROW, row);
}

void call_note(struct control_call *c, const char *text)
{
    struct writer w = call_writer(c);
    control_row_begin(&w, 1);
    control_row_text(&w, "text", text);
    assert(!w.failed);
    streams_send(c->n, c->s, CONTROL_NOTE, writer_slice(&w));
}

void call_meant(struct control_call *c, const struct query *q, bool is_empty)
{
    struct exec_meant m;
    char text[200];
    if (q == NULL || !exec_meant_label(c->n->exec, q, &m) || (m.meant[0] == '\0' && !is_empty)) {
        return;
    }
    snprintf(text, sizeof(text), "%s %s%s%s%s",
             m.name[0] == '.' ? "no resource has the field" : "no node has the label", m.name,
             m.meant[0] != '\0' ? ". Did you mean " : "", m.meant, m.meant[0] != '\0' ? "?" : "");
    call_note(c, text);
}

void call_end(struct control_call *c, uint8_t exit_code)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));
    control_end_encode(exit_code, &w);
    streams_send(c->n, c->s, CONTROL_END, writer_slice(&w));
    streams_finish(c->n, c->s);
}

void call_fail(struct control_call *c, const struct call_error *e)
{
    uint8_t bytes[1024];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct control_error error = {.exit_code = e->exit_code,
                                  .name = slice_text(err_name(e->err)),
                                  .what = slice_text(e->what),
                                  .why = slice_text(e->why),
                                  .hint = slice_text(e->hint)};
    control_error_encode(&error, &w);
    assert(!w.failed);
    streams_send(c->n, c->s, CONTROL_ERROR, writer_slice(&w));
    streams_finish(c->n, c->s);
}

struct slice call_arg(const struct control_call *c, size_t i)
{
    return i < c->request->n_args ? c->request->args[i] : SLICE_EMPTY;
}

static bool name_matches(const struct node *n, const struct gossip_member *m, struct slice text)
{
    char shown[GOSSIP_NAME_SIZE];
    gossip_display_name(&n->gossip, m, shown);
    const char *bare = strchr(shown, '/');
    return slice_equal(text, slice_text(shown)) ||
           (bare != NULL && slice_equal(text, slice_text(bare + 1)));
}

static bool id_matches(const struct gossip_member *m, struct slice text)
{
    char id[ID_TEXT_SIZE];
    node_id_text(&m->facts.id, id);
    struct slice whole = slice_text(id);
    struct slice bare = slice_of(whole.data + 4, whole.len - 4);
    return text.len >= 4 &&
           ((text.len <= bare.len && memcmp(bare.data, text.data, text.len) == 0) ||
            (text.len <= whole.len && memcmp(id, text.data, text.len) == 0));
}

static void fail_find(struct control_call *c, struct slice text, size_t n_found)
{
    char what[160], near[MEANT_SIZE] = "", hint[MEANT_SIZE + 64];
    if (n_found == 0) {
        exec_meant_node(c->n->exec, text, near);
    }
    snprintf(hint, sizeof(hint), "%s%s%s%s", near[0] != '\0' ? "Did you mean " : "", near,
             near[0] != '\0' ? "? " : "", "See the names and ids: ipx-node nodes");
    snprintf(what, sizeof(what), "%s called \"%.*s\"",
             n_found == 0 ? "no node is" : "several nodes are", (int)IPX_MIN(text.len, 96u),
             text.len > 0 ? (const char *)text.data : "");
    call_fail(c, &(struct call_error){.exit_code = 3,
                                      .err = n_found == 0 ? IPX_NOT_FOUND : IPX_CONFLICT,
                                      .what = what,
                                      .why = "",
                                      .hint = hint});
}

enum ipx_err call_find_node(struct control_call *c, struct slice text,
                            const struct gossip_member **ret)
{
    const struct gossip_member *found = NULL;
    size_t n_found = 0;
    for (const struct gossip_member *m = members_next(c->n, NULL); m != NULL;
         m = members_next(c->n, m)) {
        if (name_matches(c->n, m, text) || id_matches(m, text)) {
            found = m;
            n_found++;
        }
    }
    if (n_found != 1) {
        fail_find(c, text, n_found);
        return n_found == 0 ? IPX_NOT_FOUND : IPX_CONFLICT;
    }
    *ret = found;
    return IPX_OK;
}

enum ipx_err call_query(struct control_call *c, size_t i, struct query **ret)
{
    struct slice text = call_arg(c, i);
    struct query_error error;
    *ret = NULL;
    if (text.len == 0) {
        return IPX_OK;
    }
    enum ipx_err err = query_compile(text, c->n->mem, ret, &error);
    if (err != IPX_OK) {
        char why[160];
        snprintf(why, sizeof(why), "at character %u: %s", error.position + 1, error.message);
        call_fail(c, &(struct call_error){.exit_code = 2,
                                          .err = err,
                                          .what = "the expression is not valid",
                                          .why = why,
                                          .hint = "Try it with: ipx-node match EXPR"});
    }
    return err;
}

/* Whom the ticket's holder asks first. */
static void contacts_text(const struct ticket *t, char *out, size_t size)
{
    char addr[ADDR_TEXT_SIZE];
    size_t used = 0;
    for (unsigned i = 0; i < t->n_contacts && used < size; i++) {
        addr_text(&t->contacts[i].addr, addr);
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", addr);
    }
}

static void invite(struct control_call *c)
{
    struct invite_plan plan = {.lab = call_arg(c, 2)};
    struct ticket ticket;
    char text[TICKET_TEXT_SIZE], contacts[TICKET_CONTACTS_MAX * ADDR_TEXT_SIZE] = "";
    uint64_t life_ms = 0;
    struct slice life = call_arg(c, 1);
    for (size_t i = 0; i < life.len && life.data[i] >= '0' && life.data[i] <= '9'; i++) {
        life_ms = life_ms * 10 + (uint64_t)(life.data[i] - '0');
    }
    plan.life_ms = life_ms > 0 ? (int64_t)life_ms : TICKET_LIFE_MS;
    struct slice role = call_arg(c, 0).len > 0 ? call_arg(c, 0) : slice_text("node");
    enum ipx_err err = cert_role_parse(role, &plan.caps);
    if (err == IPX_OK) {
        err = admission_invite(c->n, &plan, &ticket);
    }
    if (err != IPX_OK) {
        const char *why = err == IPX_NOT_FOUND   ? "roles are user and node"
                          : err == IPX_DENIED    ? "this node holds no issuer key"
                          : err == IPX_WRONG_LAB ? "the issuer here is not for that lab"
                                                 : err_text(err);
        call_fail(c, &(struct call_error){
                         .exit_code = err == IPX_NOT_FOUND ? 2 : 1,
                         .err = err,
                         .what = "no ticket was made",
                         .why = why,
                         .hint = "Tickets are made where the mesh was made (ipx-node new)"});
        return;
    }
    ticket_print(&ticket, text);
    struct writer w = call_writer(c);
    contacts_text(&ticket, contacts, sizeof(contacts));
    control_row_begin(&w, 5);
    control_row_text(&w, "ticket", text);
    control_row_u64(&w, "expires_ms", (uint64_t)ticket.body.grant.not_after_ms);
    control_row_slice(&w, "role", role);
    control_row_text(&w, "lab", ticket.body.grant.lab);
    control_row_text(&w, "contacts", contacts);
    call_row(c, &w);
    ticket_wipe(&ticket);
    crypt_wipe(text, sizeof(text));
    call_end(c, 0);
}

static void ping(struct control_call *c)
{
    const struct gossip_member *m;
    if (call_find_node(c, call_arg(c, 0), &m) != IPX_OK) {
        return;
    }
    streams_wait_for(c->n, c->s, STREAM_WAITS_PING);
    c->s->peer = m->facts.id;
    c->s->created_us = c->n->now_us;
    members_ping(c->n, m);
}

void control_on_pong(struct node *n, const struct node_id *peer, uint64_t rtt_us)
{
    for (uint32_t i = 0; n->streams.n_waiting > 0 && i < n->streams.capacity; i++) {
        struct stream *s = n->streams.table[i];
        if (s == NULL || s->waits_for != STREAM_WAITS_PING || !node_id_equal(&s->peer, peer)) {
            continue;
        }
        streams_wait_for(n, s, STREAM_WAITS_NOTHING);
        struct control_call c = {.n = n, .s = s};
        struct writer w = call_writer(&c);
        const struct gossip_member *m = gossip_find(&n->gossip, peer);
        char name[GOSSIP_NAME_SIZE] = "";
        char id[ID_SHORT_LEN + 1];
        if (m != NULL) {
            gossip_display_name(&n->gossip, m, name);
        }
        node_id_short(peer, id);
        control_row_begin(&w, 3);
        control_row_text(&w, "name", name);
        control_row_text(&w, "node", id);
        control_row_u64(&w, "rtt_us", rtt_us);
        call_row(&c, &w);
        call_end(&c, 0);
    }
}

static void stop(struct control_call *c, bool is_leave)
{
    call_end(c, 0);
    node_begin_stop(c->n, is_leave);
}

static bool is_change(uint8_t command)
{
    return command == CONTROL_LABEL_SET || command == CONTROL_LABEL_UNSET ||
           command == CONTROL_POLICY_SET || command == CONTROL_INVITE || command == CONTROL_LEAVE ||
           command == CONTROL_DOWN;
}

static bool is_allowed(struct control_call *c)
{
    bool is_task = c->who->is_below_spawner;
    if (is_change(c->request->command) && (is_task || !c->who->is_owner)) {
        call_fail(c, &(struct call_error){.exit_code = 1,
                                          .err = IPX_DENIED,
                                          .what = "not allowed",
                                          .why = is_task ? "a task may only look"
                                                         : "this node belongs to another user",
                                          .hint = "Ask who runs the node"});
        return false;
    }
    bool is_early = c->request->command == CONTROL_STATUS || c->request->command == CONTROL_DOWN ||
                    c->request->command == CONTROL_WAIT_JOIN ||
                    c->request->command == CONTROL_EVENTS;
    if (!c->n->has_cores && !is_early) {
        call_fail(c, &(struct call_error){.exit_code = 1,
                                          .err = IPX_NOT_YET,
                                          .what = "the node is not a member yet",
                                          .why = "it is joining",
                                          .hint = "See: ipx-node status"});
        return false;
    }
    return true;
}

static void dispatch(struct control_call *c)
{
    switch ((enum control_command)c->request->command) {
    case CONTROL_STATUS:
        control_status(c);
        return;
    case CONTROL_NODES:
        control_nodes(c);
        return;
    case CONTROL_PEERS:
        control_peers(c);
        return;
    case CONTROL_PING:
        ping(c);
        return;
    case CONTROL_SOURCES:
        control_sources(c);
        return;
    case CONTROL_LABEL_SHOW:
        control_label_show(c);
        return;
    case CONTROL_LABEL_SET:
        control_label_set(c);
        return;
    case CONTROL_LABEL_UNSET:
        control_label_unset(c);
        return;
    case CONTROL_POLICY_SHOW:
        control_policy_show(c);
        return;
    case CONTROL_POLICY_SET:
        control_policy_set(c);
        return;
    case CONTROL_INVITE:
        invite(c);
        return;
    case CONTROL_LEAVE:
        stop(c, true);
        return;
    case CONTROL_DOWN:
        stop(c, false);
        return;
    case CONTROL_EVENTS:
        control_events(c);
        return;
    case CONTROL_WAIT_JOIN:
        streams_wait_for(c->n, c->s, STREAM_WAITS_JOIN);
        return;
    }
    call_fail(c, &(struct call_error){.exit_code = 2,
                                      .err = IPX_MALFORMED,
                                      .what = "the node does not know this command",
                                      .why = "it may be older than the command line",
                                      .hint = "Compare: ipx-node version"});
}

void control_message(struct node *n, struct stream *s, const struct node_local *who, uint8_t type,
                     struct slice body)
{
    struct control_request request;
    struct control_call c = {.n = n, .s = s, .who = who, .request = &request};
    if (type != CONTROL_REQUEST || control_request_decode(body, &request) != IPX_OK) {
        request.n_args = 0;
        call_fail(&c, &(struct call_error){.exit_code = 2,
                                           .err = IPX_MALFORMED,
                                           .what = "the request cannot be read",
                                           .why = "",
                                           .hint = ""});
        return;
    }
    if (is_allowed(&c)) {
        dispatch(&c);
    }
}

#define PING_GIVE_UP_US (5 * US_PER_S) /* a handshake takes at most this long */

static void end_wait(struct node *n, struct stream *s)
{
    struct control_call c = {.n = n, .s = s};
    if (s->waits_for == STREAM_WAITS_PING && n->now_us - s->created_us > PING_GIVE_UP_US) {
        streams_wait_for(n, s, STREAM_WAITS_NOTHING);
        call_fail(&c, &(struct call_error){.exit_code = 1,
                                           .err = IPX_TIMEOUT,
                                           .what = "no answer in 5 s",
                                           .why = "",
                                           .hint = "See how it was seen last: ipx-node nodes"});
    } else if (s->waits_for == STREAM_WAITS_EVENTS && events_end_wait(n, s)) {
        streams_wait_for(n, s, STREAM_WAITS_NOTHING);
        call_end(&c, 0);
    } else if (s->waits_for == STREAM_WAITS_JOIN && join_is_settled(n)) {
        streams_wait_for(n, s, STREAM_WAITS_NOTHING);
        if (n->join.is_failed) {
            char what[128];
            snprintf(what, sizeof(what), "could not join: %s", err_text(n->join.why));
            call_fail(&c, &(struct call_error){.exit_code = 1,
                                               .err = n->join.why,
                                               .what = what,
                                               .why = n->join.detail,
                                               .hint = join_hint(n->join.why)});
        } else {
            c.who = NULL;
            control_status(&c);
        }
    }
}

void control_tick(struct node *n)
{
    for (uint32_t i = 0; n->streams.n_waiting > 0 && i < n->streams.capacity; i++) {
        struct stream *s = n->streams.table[i];
        if (s != NULL && s->waits_for != STREAM_WAITS_NOTHING) {
            end_wait(n, s);
        }
    }
}

uint64_t control_deadline(const struct node *n)
{
    uint64_t due = NEVER_US;
    for (uint32_t i = 0; n->streams.n_waiting > 0 && i < n->streams.capacity; i++) {
        const struct stream *s = n->streams.table[i];
        if (s != NULL && s->waits_for == STREAM_WAITS_PING) {
            due = IPX_MIN(due, s->created_us + PING_GIVE_UP_US + 1);
        }
    }
    return due;
}
