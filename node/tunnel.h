/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of the datagram plane on a stream of a link: type u8, request id u32, length u16, body,
 * one after the other, as inside a DATA packet (docs/wire/links.md). For peers between which UDP
 * does not pass; node/tunnels.c decides who they are.
 *
 * Invariant: a message is judged by its header before a byte of its body is kept; at most one
 * message is kept. A message that lies whole in the bytes brought is shown where it lies.
 */
#include "base/sm.h"
#include "node/bucket.h"
#include "node/session.h"

#define TUNNEL_MESSAGE_MAX (SESSION_MESSAGE_HEADER + SESSION_BODY_MAX)

enum tunnel_state {                 /* of one peer */
                    TUNNEL_WATCHED, /* a session is being tried; if it is long in coming, so is a
                                       link */
                    TUNNEL_DIALLING,
                    TUNNEL_UP,
                    TUNNEL_FAILED /* no link either: not tried again for a while */
};
extern const struct sm_table node_tunnel_table;

struct tunnel_message {
    uint8_t type; /* 1..63 */
    uint32_t request_id;
    struct slice body; /* <= SESSION_BODY_MAX */
};

struct tunnel_reader { /* what has come of one stream */
    struct bucket bucket;
    uint16_t len;
    bool is_out; /* the message kept was shown and leaves at the next call */
    uint8_t bytes[TUNNEL_MESSAGE_MAX];
};

/* Takes the next message off the front of `bytes`, which move on; call until it says IPX_AGAIN. The
 * body is valid until the next call and as long as the bytes are. Conditions: IPX_AGAIN (all bytes
 * were taken), IPX_MALFORMED (no message of this plane: the stream is reset). */
IPX_MUST_USE enum ipx_err tunnel_next(struct tunnel_reader *r, struct slice *bytes,
                                      struct tunnel_message *ret);
/* Writes one message. */
void tunnel_put(struct writer *w, const struct tunnel_message *m);
