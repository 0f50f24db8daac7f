/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages over a stream of the mux: length u32 (of what follows), type u8, body.
 * Used by the control, job and tap protocols; docs/wire/links.md.
 *
 * Invariant: a message is judged by its length before a byte of it is kept, and
 * memory grows with the bytes that came, not with the length that was claimed.
 * A message that lies whole in the bytes brought is shown where it lies.
 */
#include "base/buf.h"

#define FRAMING_HEAD_LEN 5
#define FRAMING_BODY_MAX (1 << 20) /* no protocol has longer ones; larger things are streamed */

struct mux;

struct framing {
    struct buf partial; /* the start of a message whose rest has not come */
    size_t body_max;
    bool is_partial_out; /* the last message lies in `partial` and leaves at the next call */
};

/* `body_max` <= FRAMING_BODY_MAX bytes are accepted as a body. */
void framing_init(struct framing *f, struct mem *mem, size_t body_max);
void framing_done(struct framing *f);

/* Takes the next message off the front of `bytes`, which move on; call until it says IPX_AGAIN.
 * `ret_body` is valid until the next call and as long as the bytes are. Conditions: IPX_AGAIN (all
 * bytes were taken), IPX_LIMIT (too long), IPX_MALFORMED (no type): reset the stream. Fault:
 * IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err framing_next(struct framing *f, struct slice *bytes, uint8_t *ret_type,
                                       struct slice *ret_body);
/* True if the stream may end here without cutting a message. */
bool framing_is_between(const struct framing *f);

void framing_head(uint8_t type, size_t body_len, uint8_t ret[static FRAMING_HEAD_LEN]);
/* Sends one message whole or not at all: false if the stream is full (MUX_EVENT_WRITABLE follows)
 * or dead. */
IPX_MUST_USE bool framing_send(struct mux *m, uint32_t stream, uint8_t type, struct slice body);
