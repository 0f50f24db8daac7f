/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of this node to itself: what one end says waits at the other until it is drained. */
#include "node/core.h"

/* Both ends of a stream to this node itself. */
void streams_open_own(struct node *n, struct stream *s)
{
    struct stream *other = streams_new(n, streams_new_handle(n), STREAM_EXEC);
    if (other == NULL) {
        streams_on_lost(n, s, IPX_NO_MEMORY);
        return;
    }
    other->peer = s->peer;
    other->protocol = s->protocol;
    other->conn = s->conn = STREAM_CONN_OWN;
    other->id = s->handle;
    s->id = other->handle;
    exec_on_stream(n->exec, n->now_us, &n->self, other->handle, (uint8_t)s->protocol);
}

static bool own_message(struct node *n, struct stream *s)
{
    struct slice all = buf_slice(&s->wait);
    if (all.len == 0) {
        return false;
    }
    assert(all.len >= FRAMING_HEAD_LEN);
    size_t len = load_be32(all.data); /* of type and body */
    uint8_t type = all.data[4];
    uint32_t handle = s->handle;
    assert(len >= 1 && all.len >= 4 + len);
    /* exec may answer into this very buffer's stream only by actions, drained later. */
    if (!s->is_forgotten) {
        exec_on_stream_message(n->exec, n->now_us, handle, type,
                               slice_of(all.data + FRAMING_HEAD_LEN, len - 1));
    }
    s = streams_find(n, handle);
    if (s != NULL) {
        buf_consume(&s->wait, 4 + len);
    }
    return s != NULL;
}

bool streams_drain_own(struct node *n)
{
    if (list_is_empty(&n->streams.own)) {
        return false;
    }
    struct stream *s = CONTAINER_OF(n->streams.own.next, struct stream, list);
    list_unlink(&s->list);
    bool is_there = true;
    while (is_there && s->wait.len > 0) {
        is_there = own_message(n, s);
    }
    if (is_there && s->is_other_done) {
        streams_on_lost(n, s, IPX_OK);
    }
    return true;
}
