/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bytes of a publisher cut into frames, and sent as far as the node's credit goes. Private to
 * cmd_publish.c.
 */
#include "exec/exec.h"
#include "exec/source_wire.h"
#include "node/cmd.h"

#define FRAMES_PENDING_MAX (1u << 20) /* bytes read and not sent, before reading stops */

struct frames {
    struct client *client;
    enum source_framing framing;
    uint32_t size;    /* of SIZE */
    struct buf bytes; /* read, not yet sent */
    struct source_credit credit, used;
    uint64_t seq;
    bool is_end;         /* nothing more comes: what is left of a line is one */
    bool is_too_long;    /* a frame over SOURCE_FRAME_MAX came: the source cannot go on */
    uint8_t *raw, *body; /* EXEC_BODY_MAX each */
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err frames_init(struct frames *f, struct client *client, struct mem *mem);
void frames_done(struct frames *f, struct mem *mem);
bool frames_has_room(const struct frames *f);
/* Adds bytes as read. False: no memory. */
IPX_MUST_USE bool frames_add(struct frames *f, struct slice bytes);
/* A new begin, of a restarted command: half a frame of the old one is dropped. */
void frames_restart(struct frames *f);
/* Sends what is whole and within the credit. False: the connection is lost. */
IPX_MUST_USE bool frames_send(struct frames *f);
/* True if all that was read is sent (half a frame does not count). */
bool frames_is_empty(const struct frames *f);
