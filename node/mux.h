/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Stream mux: many ordered byte streams over one ordered byte pipe (overlay 1.4).
 * Sealed inside a link's records, bare on the local control socket. Pure.
 *
 * Use: mux_recv() with the pipe's bytes, then mux_poll() until it says false;
 * when the pipe is writable mux_output() until it gives 0. Frames are made when
 * they are pulled: small ones coalesce, and priorities act on what is sent now.
 *
 * Memory: received bytes are shown where they lie; only what the user leaves
 * unconsumed is copied, up to the credit given (1 MiB a stream, 32 MiB in all).
 * What is sent waits in the stream, up to `send_max` and one message. All of it
 * comes from `mem`, whose limit is the budget of the whole node.
 *
 * Invariant: every limit is checked on a frame's header before any state is made
 * of it; after an error the mux takes no more input and gives no more output.
 * A stream id is dead after its RESET event, after mux_reset(), and after both
 * FINISHED and mux_finish(); calls that name a dead stream do nothing.
 */
#include "base/mem.h"
#include "base/slice.h"

#define MUX_WINDOW (UINT32_C(1) << 20)       /* credit of a new stream */
#define MUX_LINK_WINDOW (UINT32_C(32) << 20) /* credit of the whole connection */
#define MUX_STREAMS_MAX 1024                 /* open at once, by each opener */
#define MUX_UNACKED_MAX 256                  /* OPENs that the other end has not yet taken */
#define MUX_OPENS_PER_S 100                  /* churn that one end may cause */
#define MUX_OPENS_BURST 128                  /* of a sender: with un-acked ones below the next */
#define MUX_OPENS_BURST_RECV 512             /* what a slow pipe can bunch up of honest OPENs */
#define MUX_PINGS_PER_S 10
#define MUX_PINGS_BURST 20
#define MUX_PING_RETRY_US (5 * US_PER_S)      /* an unanswered PING blocks the next so long */
#define MUX_SEND_MAX_DEFAULT (256 * 1024)     /* bytes waiting in a stream, plus one message */
#define MUX_MESSAGE_MAX ((1 << 20) + 64)      /* longest mux_send_message() */
#define MUX_MEMORY_RETRY_US (100 * US_PER_MS) /* a sender that found no memory asks again */
#define MUX_OUTPUT_MIN 1024                   /* smallest `max` of mux_output() */

enum mux_role { MUX_DIALLER = 1, MUX_ACCEPTOR = 0 }; /* parity of the streams it opens */

/* Class of a stream, chosen by its opener for both directions. Control goes first but gets at
 * most a tenth of the bytes while others wait; the others share 8 : 4 : 2 : 1. */
enum mux_class {
    MUX_CLASS_CONTROL,
    MUX_CLASS_RPC,
    MUX_CLASS_LIVE,
    MUX_CLASS_RESULT,
    MUX_CLASS_BULK,
    MUX_CLASS_N
};

struct mux_config {
    enum mux_role role;
    struct mem *mem;      /* outlives the mux; its limit is the budget of all muxes */
    uint32_t streams_max; /* that the peer may open, <= MUX_STREAMS_MAX; 0 = MUX_STREAMS_MAX */
    uint32_t send_max;    /* 0 = MUX_SEND_MAX_DEFAULT */
};

enum mux_event_type {
    MUX_EVENT_OPENED,   /* by the peer; its id is new */
    MUX_EVENT_DATA,     /* unconsumed bytes; comes again while some are consumed and some left */
    MUX_EVENT_FINISHED, /* the peer sends no more, and all was consumed */
    MUX_EVENT_RESET,    /* the stream ended in an error; the id is dead */
    MUX_EVENT_WRITABLE, /* a mux_send() that took less than asked may be tried again */
    MUX_EVENT_PONG,     /* the peer answered mux_ping() */
    MUX_EVENT_GOAWAY,   /* the peer takes no new streams */
    MUX_EVENT_ERROR     /* last event: the connection must be closed */
};

struct mux_event {
    enum mux_event_type type;
    uint32_t stream;   /* 0 for PONG, GOAWAY, ERROR */
    uint64_t cookie;   /* of the stream */
    uint16_t protocol; /* OPENED */
    uint8_t class;     /* OPENED: enum mux_class */
    struct slice data; /* DATA: valid until the next mux_poll() or until it is consumed */
    enum ipx_err code; /* RESET, GOAWAY, ERROR */
    const char *why;   /* ERROR: static text for the log */
    uint64_t rtt_us;   /* PONG */
};

struct mux;

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err mux_new(const struct mux_config *config, struct mux **ret);
void mux_free(struct mux *m);

/* Inputs. `bytes` may be cut anywhere; they are borrowed until mux_poll() says false, which must
 * have happened before the next call. */
void mux_recv(struct mux *m, uint64_t now_us, struct slice bytes);
void mux_tick(struct mux *m, uint64_t now_us);
/* The connection is lost: every stream that is not complete ends in `err`, then ERROR comes. */
void mux_fail(struct mux *m, enum ipx_err err, const char *why);

/* Outputs. */
bool mux_poll(struct mux *m, struct mux_event *ret);
/* Writes up to `max` >= MUX_OUTPUT_MIN bytes of whole frames; 0 if there is nothing to say. */
size_t mux_output(struct mux *m, uint64_t now_us, uint8_t *out, size_t max);
/* When mux_tick() and then mux_output() are due though nothing else happens; NEVER_US if not. */
uint64_t mux_deadline(const struct mux *m);

/* Opens a stream; the OPEN goes out with the next output that the limits allow (ask for one), and
 * data may be sent at once.
 * Conditions: IPX_LIMIT (too many streams), IPX_CLOSED (error, GOAWAY of either end, or no
 * number left: use another link). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err mux_open(struct mux *m, uint16_t protocol, enum mux_class class,
                                   uint64_t cookie, uint32_t *ret_stream);
void mux_set_cookie(struct mux *m, uint32_t stream, uint64_t cookie);
/* Takes as many bytes as there is room for and returns how many; if fewer than asked, WRITABLE
 * follows. Not after mux_finish(). */
IPX_MUST_USE size_t mux_send(struct mux *m, uint32_t stream, struct slice bytes);
/* Takes `head` and then `body` whole, or nothing (false; WRITABLE follows). At most
 * MUX_MESSAGE_MAX in all: a stream's buffer may go over its limit by one message. */
IPX_MUST_USE bool mux_send_message(struct mux *m, uint32_t stream, struct slice head,
                                   struct slice body);
/* Room left by mux_send()'s limit; 0 for a dead stream. */
size_t mux_send_room(const struct mux *m, uint32_t stream);
/* No more will be sent; what waits still goes out. */
void mux_finish(struct mux *m, uint32_t stream);
/* Ends both directions at once and drops what waits. `code` is a condition, not IPX_OK. No RESET
 * event follows. */
void mux_reset(struct mux *m, uint32_t stream, enum ipx_err code);
/* The first unconsumed bytes that lie in one piece. Valid as those of DATA. */
struct slice mux_peek(const struct mux *m, uint32_t stream);
/* The user is done with `n` of them: the peer gets its credit back. */
void mux_consume(struct mux *m, uint32_t stream, size_t n);

/* Asks for a PONG; does nothing while one is under way. */
void mux_ping(struct mux *m);
/* Takes no new streams of the peer and opens none; those open go on. */
void mux_goaway(struct mux *m, enum ipx_err code);
/* The last frame of a connection that is given up: GOAWAY, also after mux_fail(). */
#define MUX_FAREWELL_LEN 16
void mux_farewell(const struct mux *m, enum ipx_err code, uint8_t ret[static MUX_FAREWELL_LEN]);
bool mux_is_closing(const struct mux *m); /* GOAWAY of either end, or an error */
/* Streams that are not yet dead, of both openers. */
uint32_t mux_n_streams(const struct mux *m);

void mux_check(const struct mux *m); /* asserts the invariant; O(streams) */
