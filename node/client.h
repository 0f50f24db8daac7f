/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command line's end of the control socket: one stream of the bare mux over a Unix socket,
 * blocking. Messages go out by local_send and come by local_next; local_wait sleeps until
 * there is something, on the socket or on descriptors of the caller.
 *
 * After a second of waiting it says on stderr for what and on whom, after ten it gives a hint.
 */
#include <poll.h>

#include "base/buf.h"
#include "node/framing.h"
#include "node/mux.h"
#include "node/out.h"

#define CLIENT_POLLS_MAX 4 /* descriptors of the caller */

struct client {
    int fd; /* -1: not open */
    struct mem *mem;
    struct out *out;
    struct mux *mux;
    uint32_t stream;
    struct framing framing;
    struct buf in;    /* bytes of the stream not yet taken */
    struct buf send;  /* bytes for the socket */
    size_t taken;     /* of `in`, by the message shown last */
    bool is_finished; /* the node sends no more on this stream */
    bool is_lost;
    const char *waits_for; /* "the node", "bio/laptop": named after a second; NULL: say nothing */
    const char *hint;      /* after ten; may be NULL */
    int interrupt_fd;      /* a signalfd that ends the waiting; 0: none */
    bool is_interrupted;
    uint64_t since_us;
    int told;
};

/* Connects to the node of this home and opens a stream of `protocol` (enum node_protocol).
 * Conditions: IPX_UNREACHABLE (no node runs there). Faults: IPX_NO_MEMORY, IPX_IO. */
IPX_MUST_USE enum ipx_err local_open(struct client *c, const char *home, uint16_t protocol,
                                     struct mem *mem, struct out *out);
void local_close(struct client *c); /* also of one that was never opened, if zeroed and fd -1 */
/* Queues one message; false if the connection is lost or the message was not taken. */
IPX_MUST_USE bool local_send(struct client *c, uint8_t type, struct slice body);
/* Bytes queued and not yet with the node. */
size_t local_backlog(const struct client *c);
/* The next message, valid until the next call. Conditions: IPX_AGAIN (none yet: local_wait),
 * IPX_END (none will come), IPX_CLOSED (connection lost). */
IPX_MUST_USE enum ipx_err local_next(struct client *c, uint8_t *ret_type, struct slice *ret_body);
/* Sends what is queued, then sleeps until something comes in, one of `extra` is ready, a signal
 * comes, or `timeout_ms` (-1: none) has passed. Receives what is there. A signal of interrupt_fd
 * (which stays to be read) counts as a lost connection. */
void local_wait(struct client *c, struct pollfd *extra, size_t n_extra, int timeout_ms);
/* local_next and local_wait until a message, or the end. */
IPX_MUST_USE enum ipx_err local_read(struct client *c, uint8_t *ret_type, struct slice *ret_body);
uint64_t local_now_us(void);
