/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A link: handshake, sealed records and mux over one TCP connection (overlay 1.4);
 * or, as a local link, the bare mux over a Unix socket. Pure.
 *
 * Use: link_new() when the connection is there; link_recv() with its bytes, then
 * link_poll() until it says false; link_output() whenever the connection can take
 * bytes, until it gives 0; link_tick() at link_deadline(). Streams are used through
 * link_mux(). After the DOWN event nothing more comes: write out what link_output()
 * gave, close the connection, link_free().
 *
 * Invariant: nothing of a peer is shown before its chain was verified and, on the
 * answering side, its first record came; the peer is who was dialled. The end of
 * the connection before CLOSE ends every open stream in an error, never in FINISHED.
 */
#include "base/rng.h"
#include "base/sm.h"
#include "base/trace.h"
#include "node/handshake_judge.h"
#include "node/mux.h"
#include "node/record.h"

#define LINK_ACCEPT_US (2 * US_PER_S) /* from accept to the confirming record: half-open slots */
#define LINK_DIAL_US (5 * US_PER_S)   /* from connect to RESP */
#define LINK_PING_US (15 * US_PER_S)  /* silence with streams open before a PING */
#define LINK_PING_LOSSES 3            /* unanswered PINGs in a row: the link is dead */
#define LINK_IDLE_US (60 * US_PER_S)  /* without a stream: closed */
#define LINK_CLOSE_US (2 * US_PER_S)  /* for the other end's CLOSE */
#define LINK_OUTPUT_MIN 8192          /* smallest `max` of link_output(): a handshake message */

enum link_role {
    LINK_DIALLER,
    LINK_ANSWERER,
    LINK_LOCAL_CLIENT, /* no handshake, no records, no keepalive, never idle */
    LINK_LOCAL_NODE
};

/* What the links of a node share; outlives them. */
struct link_context {
    struct mem *mem;           /* node-wide budget of links */
    const struct trace *trace; /* may be NULL */
    struct rng *rng;
    const struct handshake_self *self;
    struct chains *chains;
    struct clocks *clocks;       /* of the stream plane */
    int64_t wall_offset_ms;      /* wall clock = now_us / 1000 + this; kept by the owner */
    struct slice chain;          /* own; empty while joining */
    struct slice admitter_chain; /* of an own chain that is not plain */
    struct slice ticket;         /* public part; only without a chain */
};

struct link_config {
    struct link_context *context; /* for local links only `mem` and `trace` are used */
    enum link_role role;
    struct node_id peer;  /* LINK_DIALLER: whom */
    struct addr observed; /* LINK_ANSWERER: the dialler's address, told to it */
    uint64_t cookie;      /* the owner's */
};

enum link_state {
    LINK_STATE_DIALLING,    /* INIT goes out, RESP is awaited */
    LINK_STATE_ANSWERING,   /* INIT is awaited */
    LINK_STATE_UNCONFIRMED, /* RESP goes out, the first record is awaited */
    LINK_STATE_UP,
    LINK_STATE_CLOSING, /* our CLOSE goes out, the other's is awaited */
    LINK_STATE_DOWN
};

enum link_event_type {
    LINK_EVENT_UP,     /* once; link_facts() and the rest are set */
    LINK_EVENT_STREAM, /* OPENED, DATA, FINISHED, RESET, WRITABLE, PONG, GOAWAY of the mux */
    LINK_EVENT_DOWN    /* last; after a RESET for each stream that was open */
};

struct link_event {
    enum link_event_type type;
    struct mux_event stream; /* STREAM */
    enum ipx_err code; /* DOWN: IPX_END after an orderly close, else the reason of either end */
    const char *why;   /* DOWN: static text for the log */
};

struct link;
extern const struct sm_table link_state_table;

/* Conditions: IPX_SELF (dialled itself), IPX_REFUSED (no key). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err link_new(const struct link_config *config, uint64_t now_us,
                                   struct link **ret);
void link_free(struct link *l);

/* Inputs. The bytes are borrowed until link_poll() says false, which must have happened before the
 * next call of these. Slices of events are valid until the next link_poll(). */
void link_recv(struct link *l, uint64_t now_us, struct slice bytes);
/* The connection ended: IPX_END for end of file, else what happened. */
void link_on_eof(struct link *l, uint64_t now_us, enum ipx_err err);
void link_tick(struct link *l, uint64_t now_us);

/* Outputs. */
bool link_poll(struct link *l, struct link_event *ret);
/* Up to `max` >= LINK_OUTPUT_MIN bytes for the connection; 0 if there is nothing to say. */
size_t link_output(struct link *l, uint64_t now_us, uint8_t *out, size_t max);
uint64_t link_deadline(const struct link *l);

/* Commands. */
/* Ends now: streams that are open die with `code` (RESET events), the other end gets GOAWAY(code)
 * and CLOSE. `code` is a condition; IPX_END says that all is well. */
void link_close(struct link *l, uint64_t now_us, enum ipx_err code);
/* Takes no new streams, and closes when the last one has ended. */
void link_drain(struct link *l, uint64_t now_us, enum ipx_err code);

/* Streams: mux_open() and so on. Of a dialled link they may be opened at once; of an answered one
 * this is NULL before UP. */
struct mux *link_mux(struct link *l);

/* Queries. */
enum link_state link_state_of(const struct link *l);
/* After UP: what the peer's chain says; NULL of a ticket holder (and of a local link). */
const struct cert_facts *link_facts(const struct link *l);
const struct node_id *link_peer(const struct link *l);  /* after UP, or if dialled; else NULL */
struct slice link_ticket(const struct link *l);         /* public part a joiner showed */
const struct addr *link_observed(const struct link *l); /* our address as the peer sees it */
enum crypt_suite link_suite(const struct link *l);      /* after UP */
uint64_t link_rtt_us(const struct link *l);             /* 0: not measured yet */
uint64_t link_cookie(const struct link *l);
bool link_is_dialler(const struct link *l);
bool link_is_idle(const struct link *l); /* up, and no stream is open */

/* Of two links that are up with one peer: the one that this end must close with IPX_EXISTS, NULL
 * if the other end does it. The one dialled by the lower fingerprint stays; of two dialled by the
 * same end its dialler keeps the newer. */
struct link *link_duplicate(struct link *a, struct link *b, const struct node_id *self);

void link_check(const struct link *l); /* asserts the invariant */
