/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the mux, shared by mux.c (life, commands, events), mux_recv.c (frames
 * in) and mux_send.c (frames out). Nobody else includes it but tests.
 *
 * Invariants, asserted by mux_check():
 * - the two tables hold the streams of each opener that the user may name, in
 *   ascending order of id; one that only waits to send its RESET is in neither;
 * - a stream is in `ready` of its class exactly if it has bytes and credit to send;
 * - `n_open` and `n_unacked` count by the flags of the streams;
 * - the offer is of a live stream whose receive queue is empty.
 */
#include "base/list.h"
#include "base/sm.h"
#include "node/mux.h"
#include "node/mux_frame.h"
#include "node/mux_queue.h"

#define MUX_CREDIT_STEP (MUX_WINDOW / 4)           /* credit is given back in such steps */
#define MUX_LINK_CREDIT_STEP (MUX_LINK_WINDOW / 4) /* and that of the connection */
#define MUX_SHARED_FRAME_MAX 16384                 /* longest DATA while other streams wait too */
#define MUX_FRAGMENT_MIN 512                       /* no shorter piece of a longer queue is sent */
#define MUX_QUANTUM 4096        /* bytes a round of the lowest class, overhead counted */
#define MUX_CONTROL_BURST 65536 /* class 0 may be this far over its tenth */

enum mux_state {
    MUX_STATE_WAITING,      /* OPEN not yet sent */
    MUX_STATE_OPEN,         /* both directions */
    MUX_STATE_FIN_SENT,     /* the peer may still send */
    MUX_STATE_FIN_RECEIVED, /* we may still send */
    MUX_STATE_CLOSED,       /* complete on the wire; the user has not seen all of it */
    MUX_STATE_RESETTING,    /* RESET to be sent; dead for the user, who may have to be told */
    MUX_STATE_DEAD          /* the user is to be told of the error */
};

extern const struct sm_table mux_stream_table;

struct mux_stream {
    struct list ready;   /* in mux.ready[class] */
    struct list control; /* in mux.opens or mux.control */
    struct list event;   /* in mux.events */
    struct mux_queue tx, rx;
    uint64_t cookie;
    uint32_t id;
    uint32_t tx_credit; /* bytes that we may still send */
    uint32_t rx_credit; /* bytes that the peer may still send */
    uint32_t rx_owed;   /* consumed and not yet given back */
    enum ipx_err code;  /* RESETTING, DEAD */
    uint16_t protocol;
    uint8_t class;
    uint8_t state;      /* enum mux_state */
    bool is_own;        /* opened by us */
    bool is_counted;    /* in n_open */
    bool is_unacked;    /* in n_unacked */
    bool is_fin_asked;  /* mux_finish() was called */
    bool is_readable;   /* DATA is to be told */
    bool is_fin_told;   /* FINISHED was told */
    bool is_send_short; /* mux_send() took less than asked */
    bool is_writable;   /* WRITABLE is to be told */
};

struct mux_table { /* streams of one opener, by ascending id */
    struct mux_stream **items;
    uint32_t n, cap;
    uint32_t n_open;    /* as the opener counts them, or fewer */
    uint32_t n_unacked; /* likewise */
};

struct mux_bucket {    /* token bucket; a full one needs no clock */
    uint64_t level_us; /* tokens times `us_per_token` */
    uint64_t us_per_token, cap_us;
    uint64_t at_us;
};

struct mux {
    struct mem *mem;
    uint64_t now_us;
    enum mux_role role;
    uint32_t streams_max, send_max;
    uint32_t peer_streams_max; /* by its SETTINGS */

    struct mux_table tables[2]; /* by the parity of the id */
    uint32_t next_id;           /* next of ours; 0 = none left */
    uint32_t last_own;          /* highest of ours whose OPEN went out */
    uint32_t last_peer;         /* highest whose OPEN came */

    struct list opens;   /* WAITING, in order of id */
    struct list control; /* streams that owe WINDOW, FIN or RESET */
    struct list events;  /* streams that have something to tell */
    struct list ready[MUX_CLASS_N];

    uint32_t link_tx_credit;
    uint32_t link_rx_credit;
    uint32_t link_rx_owed;
    uint64_t late_bytes; /* what may still come for streams that we reset */

    struct mux_bucket opens_tx, opens_rx, pings_rx;
    int64_t deficit[MUX_CLASS_N];
    int64_t control_credit; /* bytes that class 0 may send before others */
    uint8_t turn;           /* class whose round it is */

    bool is_settings_owed, is_settings_seen;
    bool is_ping_owed, is_ping_out, is_pong_owed;
    bool is_goaway_owed, is_goaway_sent, is_goaway_seen, is_goaway_told;
    bool is_memory_short; /* a sender found no memory; told again at memory_retry_us */
    bool is_error_told;
    uint64_t ping_seq, ping_answered; /* PINGs sent; highest that was answered */
    uint64_t ping_sent_us, rtt_us;
    bool is_pong_told;
    uint8_t pong[8];
    enum ipx_err goaway_code; /* of ours */
    uint32_t goaway_last;     /* of ours: later OPENs are dropped */
    enum ipx_err peer_goaway_code;
    uint32_t peer_goaway_last;
    uint64_t memory_retry_us;
    enum ipx_err error;
    const char *why;

    struct slice in; /* borrowed input not yet parsed */
    uint8_t header[MUX_HEADER_LEN];
    uint8_t header_len;
    uint8_t body_len;
    uint8_t body[MUX_BODY_MAX];
    struct mux_frame frame; /* valid while header_len == MUX_HEADER_LEN */
    uint32_t data_left;     /* of a DATA frame */
    struct slice offer;     /* bytes of the last DATA event that lie in the input */
    struct mux_stream *offer_stream;
};

/* mux.c: streams */
/* NULL for a stream that never was or is dead. */
struct mux_stream *mux_find(const struct mux *m, uint32_t id);
/* A stream in no list; in the table if `is_listed`. NULL if there is no memory. */
struct mux_stream *mux_stream_new(struct mux *m, uint32_t id, bool is_listed);
void mux_stream_free(struct mux *m, struct mux_stream *s);
void mux_stream_unlist(struct mux *m, struct mux_stream *s); /* out of its table */
/* Frees a stream that is complete and of which all was told. */
void mux_stream_settle(struct mux *m, struct mux_stream *s);
void mux_stream_count(struct mux *m, struct mux_stream *s, bool is_counted, bool is_unacked);
/* Takes the stream from the user: its bytes go, credit of the connection comes back. */
void mux_stream_drop_bytes(struct mux *m, struct mux_stream *s);
/* The stream ends in an error that the user is told. */
void mux_stream_kill(struct mux *m, struct mux_stream *s, enum ipx_err code);
/* The user's mux_reset(): the peer is told, not the user. Frees what the peer need not know. */
void mux_stream_reset(struct mux *m, struct mux_stream *s, enum ipx_err code);
/* Both are told: no memory for what came. */
void mux_stream_abort(struct mux *m, struct mux_stream *s, enum ipx_err code);
void mux_raise(struct mux *m, struct mux_stream *s);
void mux_owe(struct mux *m, struct mux_stream *s); /* something of the stream is to be sent */
/* Puts the stream in the ready list of its class, or takes it out. */
void mux_stream_set_ready(struct mux *m, struct mux_stream *s);
/* Bytes left the user's hands: both credits are owed. */
void mux_give_back(struct mux *m, struct mux_stream *s, uint32_t n);

void mux_bucket_init(struct mux_bucket *b, uint32_t per_s, uint32_t burst);
bool mux_bucket_take(struct mux_bucket *b, uint64_t now_us);
/* When a token is there; `now_us` if it is already. */
uint64_t mux_bucket_ready_us(const struct mux_bucket *b, uint64_t now_us);

/* mux_recv.c: parses input until there is something to tell (true) or the input is used up. */
bool mux_parse(struct mux *m, struct mux_event *ret);
