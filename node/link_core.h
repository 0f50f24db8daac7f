/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of a link, shared by link.c (life, records, events) and link_hello.c (the
 * handshake). Nobody else includes it but tests.
 */
#include "node/link.h"

struct link_hello { /* what only the handshake needs; freed when it is over */
    struct handshake_dial dial;
    struct buf in;  /* the other end's message, its u16 length before it */
    struct buf out; /* ours, not yet written out */
};

struct link {
    struct link_context *context;
    struct mem *mem;
    enum link_role role;
    uint8_t state; /* enum link_state */
    uint64_t cookie;
    uint64_t now_us;

    struct node_id peer;
    struct cert_facts facts;
    struct addr observed; /* to be told to a dialler; then: told to us */
    uint8_t ticket[HANDSHAKE_TICKET_MAX];
    uint16_t ticket_len;
    bool has_peer, has_facts;

    struct link_hello *hello;
    struct slice in; /* borrowed input of the handshake or of a local link */
    enum crypt_suite suite;
    struct record_sealer sealer;
    struct record_opener opener;
    struct mux *mux;

    uint64_t due_us; /* end of the handshake, or of waiting for CLOSE */
    uint64_t ping_due_us;
    uint64_t idle_since_us; /* NEVER_US while streams are open */
    uint64_t up_us;
    uint64_t rtt_us;
    uint8_t n_lost; /* PINGs in a row that nothing answered */

    bool is_up_owed;    /* UP is to be told */
    bool is_close_owed; /* GOAWAY and CLOSE are to be written */
    bool is_refused;    /* a RESP that refuses goes out, then it is over */
    bool is_peer_closed;
    bool is_draining;
    bool is_down_told;
    enum ipx_err drain_code;
    enum ipx_err peer_code; /* of its GOAWAY */
    enum ipx_err code;      /* of DOWN */
    const char *why;
};

static inline bool link_is_local(const struct link *l)
{
    return l->role == LINK_LOCAL_CLIENT || l->role == LINK_LOCAL_NODE;
}

/* link.c */
/* The link is over: every open stream ends in `code`. */
void link_down(struct link *l, enum ipx_err code, const char *why);
IPX_MUST_USE enum ipx_err link_make_mux(struct link *l);
void link_become_up(struct link *l);
/* A link that drains, or has long been without a stream, closes. Also sees when streams begin and
 * end, as they do so by calls on the mux. */
void link_look_at_streams(struct link *l);

/* link_hello.c */
IPX_MUST_USE enum ipx_err link_hello_new(struct link *l);
void link_hello_free(struct link *l);
/* Takes handshake bytes off the input; false when there are none left. */
bool link_hello_advance(struct link *l);
/* Moves bytes to be written to `out`; returns how many. */
size_t link_hello_output(struct link *l, uint8_t *out, size_t max);
