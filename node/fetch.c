/* SPDX-License-Identifier: Apache-2.0 */
/* Documents too long for a packet, fetched over a link: one question and one answer a stream
 * (docs/wire/node.md). */
#include "node/core.h"

enum fetch_type {
    FETCH_AD = 1, /* node id: 32 bytes */
    FETCH_DOC = 2 /* the signed document; empty if it is not held */
};

#define FETCH_ASKED_MAX 16 /* at once; gossip asks again */

void fetch_ad(struct node *n, const struct gossip_action *a)
{
    uint32_t n_asked = 0;
    for (uint32_t i = 0; i < n->streams.capacity; i++) {
        const struct stream *s = n->streams.table[i];
        n_asked += s != NULL && s->use == STREAM_FETCH && s->is_opened_here;
    }
    struct stream *s =
        n_asked < FETCH_ASKED_MAX ? streams_new(n, streams_new_handle(n), STREAM_FETCH) : NULL;
    if (s == NULL) {
        return;
    }
    s->is_opened_here = true;
    s->peer = a->u.fetch.from.id;
    s->protocol = NODE_PROTOCOL_FETCH;
    streams_send(n, s, FETCH_AD, slice_of(a->u.fetch.id.bytes, sizeof(a->u.fetch.id.bytes)));
    conns_attach(n, s);
}

static void answer(struct node *n, struct stream *s, struct slice body)
{
    struct node_id id;
    struct slice doc = SLICE_EMPTY;
    if (body.len == sizeof(id.bytes)) {
        memcpy(id.bytes, body.data, sizeof(id.bytes));
        doc = gossip_get_doc(&n->gossip, &id);
    }
    streams_send(n, s, FETCH_DOC, doc);
    streams_finish(n, s);
}

void fetch_message(struct node *n, struct stream *s, uint8_t type, struct slice body)
{
    if (!s->is_opened_here && type == FETCH_AD) {
        answer(n, s, body);
    } else if (s->is_opened_here && type == FETCH_DOC) {
        if (body.len > 0) {
            err_ignore(gossip_on_doc(&n->gossip, n->now_us, &s->peer, body),
                       "a document that does not fit is dropped and asked for elsewhere");
        }
        streams_finish(n, s);
    } else {
        streams_break(n, s, IPX_MALFORMED);
    }
}
