/* SPDX-License-Identifier: Apache-2.0 */
#include "node/session_parts.h"

static struct session_out *item_new(struct session_plane *p, size_t len)
{
    struct session_out *o = mem_alloc(p->mem, sizeof(*o) + len);
    if (o == NULL) {
        p->stats.dropped_memory++;
        return NULL;
    }
    o->len = len;
    list_push_back(&p->out, &o->list);
    p->n_out++;
    return o;
}

static bool is_full(struct session_plane *p)
{
    if (p->n_out < OUT_MAX) {
        return false;
    }
    p->stats.dropped_memory++;
    return true;
}

bool session_out_packet(struct session_plane *p, const struct addr *to, struct slice packet)
{
    struct session_out *o = is_full(p) ? NULL : item_new(p, packet.len);
    if (o == NULL) {
        return false;
    }
    memcpy(o->bytes, packet.data, packet.len);
    o->action = (struct session_action){
        .type = SESSION_ACTION_SEND, .addr = *to, .bytes = slice_of(o->bytes, packet.len)};
    p->stats.packets_out++;
    p->stats.bytes_out += packet.len;
    return true;
}

bool session_out_action(struct session_plane *p, const struct session_action *a,
                        const struct session_who *who, struct slice body)
{
    /* what a peer says may be lost here, what became of a session may not */
    bool is_message = a->type == SESSION_ACTION_MESSAGE || a->type == SESSION_ACTION_EARLY;
    size_t ticket_len = who != NULL ? who->ticket_len : 0;
    if (is_message && is_full(p)) {
        return false;
    }
    struct session_out *o = item_new(p, body.len + ticket_len);
    if (o == NULL) {
        return false;
    }
    o->action = *a;
    if (body.len > 0) {
        memcpy(o->bytes, body.data, body.len);
    }
    o->action.body = slice_of(o->bytes, body.len);
    if (ticket_len > 0) {
        memcpy(o->bytes + body.len, who->ticket, ticket_len);
        o->action.ticket = slice_of(o->bytes + body.len, ticket_len);
    }
    if (who != NULL && who->has_facts) {
        o->facts = who->facts;
        o->action.facts = &o->facts;
    }
    return true;
}

void session_out_drop_revoked(struct session_plane *p)
{
    struct session_out *o;
    struct list *next;
    LIST_EACH(o, next, &p->out, struct session_out, list)
    {
        if (o->action.facts != NULL && chains_is_revoked(p->chains, o->action.facts)) {
            list_unlink(&o->list);
            p->n_out--;
            mem_free(p->mem, o);
        }
    }
}

bool session_poll(struct session_plane *p, struct session_action *ret)
{
    mem_free(p->mem, p->polled);
    p->polled = NULL;
    while (list_is_empty(&p->out) && !list_is_empty(&p->dirty)) {
        session_flush(p, LIST_FIRST(&p->dirty, struct session_peer, dirty));
    }
    struct session_out *o = LIST_FIRST(&p->out, struct session_out, list);
    if (o == NULL) {
        return false;
    }
    list_unlink(&o->list);
    p->n_out--;
    p->polled = o;
    *ret = o->action;
    return true;
}
