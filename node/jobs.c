/* SPDX-License-Identifier: Apache-2.0 */
/* exec's actions: messages to others and to this node itself; processes and storage go to the
 * shell as they are. */
#include "node/core.h"

/* What the node says to itself takes the way of the cores, not of the wire. */
static void to_self(struct node *n, const struct exec_action_dgram *d)
{
    uint8_t body[SESSION_BODY_MAX];
    assert(d->body.len <= sizeof(body));
    if (d->body.len > 0) {
        memcpy(body, d->body.data, d->body.len); /* the action's bytes end with the next call */
    }
    exec_recv(n->exec, n->now_us, &n->self, d->type, d->req_id, slice_of(body, d->body.len));
}

static void send_on_stream(struct node *n, const struct exec_action_send *a)
{
    struct stream *s = streams_find(n, a->handle);
    if (s != NULL && !s->is_forgotten) {
        streams_send(n, s, a->type, a->body);
    }
}

static void close_stream(struct node *n, const struct exec_action_close *a)
{
    struct stream *s = streams_find(n, a->handle);
    if (s == NULL) {
        return;
    }
    s->is_forgotten = true; /* exec has forgotten the handle */
    if (a->err != IPX_OK) {
        streams_break(n, s, a->err);
        return;
    }
    streams_finish(n, s);
    if (s->conn == STREAM_CONN_OWN || s->conn == 0) {
        streams_on_lost(n, s, IPX_OK);
    }
}

/* True if the shell has to act. */
static bool perform(struct node *n, const struct exec_action *a)
{
    switch (a->kind) {
    case EXEC_DGRAM:
        if (node_id_equal(&a->dgram.to, &n->config.key.pk)) {
            to_self(n, &a->dgram);
        } else {
            members_send(n, &a->dgram.to, NULL, a->dgram.type, a->dgram.req_id, a->dgram.body);
        }
        return false;
    case EXEC_STREAM_OPEN:
        streams_open_exec(n, a->open.handle, &a->open.to, a->open.protocol);
        return false;
    case EXEC_STREAM_SEND:
        send_on_stream(n, &a->send);
        return false;
    case EXEC_STREAM_CLOSE:
        close_stream(n, &a->close);
        return false;
    case EXEC_SOURCES_CHANGED:
        n->is_ad_due = true;
        return false;
    case EXEC_JOB_CHANGED:
        events_tell_job(n, &a->job);
        return false;
    case EXEC_SPAWN:
    case EXEC_KILL:
    case EXEC_STDIN:
    case EXEC_STDIN_EOF:
    case EXEC_READ_MORE:
    case EXEC_STORE:
    case EXEC_LOAD:
    case EXEC_DROP:
        return true;
    }
    return true;
}

bool jobs_drain(struct node *n, struct node_action *ret)
{
    if (!n->has_cores) {
        return false;
    }
    for (;;) {
        while (exec_poll(n->exec, n->now_us, &n->exec_action)) {
            if (perform(n, &n->exec_action)) {
                ret->type = NODE_ACTION_EXEC;
                ret->u.exec = &n->exec_action;
                return true;
            }
        }
        if (!streams_drain_own(n)) {
            return false;
        }
    }
}
