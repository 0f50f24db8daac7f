/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The datagram plane: authenticated sessions with peers over one UDP port (overlay
 * 1.3; packets and messages in docs/wire/datagrams.md). Pure: the node layer brings
 * packets and time and drains actions; the simulator drives the very same object.
 *
 * A message to a peer opens a session if there is none (needs an address); messages
 * wait for it, a few in number. Messages of one turn travel in one packet: they leave
 * with session_poll(). Nothing is repeated: a message may be lost, asking again is the
 * caller's. PING, PONG, PATH_* and CLOSE are handled inside; all other types come out as
 * MESSAGE. Chains are verified before anything of a peer is shown to the caller.
 *
 * Invariant: nothing is sent on, or moved by, a session that is not confirmed; at most
 * one confirmed and one unconfirmed session a peer; every number (key, counter) seals
 * once. A session opened with a ticket lets only ADMIT, GET_CHAIN and PING pass.
 *
 * An input never calls out; call session_poll() until it says false after each input,
 * session_tick() at session_deadline(). Slices and pointers in an action are valid
 * until the next session_poll().
 */
#include "base/addr.h"
#include "base/rng.h"
#include "base/trace.h"
#include "node/chains.h"
#include "node/handshake.h"

#define SESSION_PLAIN_MAX (HANDSHAKE_DATAGRAM_MAX - 32) /* messages of one DATA packet */
#define SESSION_MESSAGE_HEADER 7                        /* type u8, request id u32, length u16 */
#define SESSION_BODY_MAX 1100                           /* DGRAM_BODY_MAX of all cores */
#define SESSION_MAX 16384 /* peers with a session; least recently used out first */
#define SESSION_UNCONFIRMED_MAX 4096
#define SESSION_WAITING_MAX 16 /* messages that wait for one peer's session */
#define SESSION_WAITING_BYTES_MAX 8192
#define SESSION_OPENING_MAX 1024 /* handshakes of ours under way */
#define SESSION_INIT_TRIES 5     /* after 0.4, 0.6, 0.9, 1.35, 2.03 s */
#define SESSION_TYPES_OWN 16     /* types below are of this plane */

enum session_type {
    SESSION_PING = 1,
    SESSION_PONG = 2,
    SESSION_PATH_CHALLENGE = 3,
    SESSION_PATH_RESPONSE = 4,
    SESSION_ADMIT = 5,
    SESSION_ADMITTED = 6,
    SESSION_GET_CHAIN = 7,
    SESSION_CHAIN = 8,
    SESSION_REVERSE = 9,
    SESSION_CLOSE = 10
};
#define SESSION_TYPE_BIT(type) (UINT64_C(1) << (type))

struct session_config { /* borrowed during session_plane_new() but for mem, trace, chains */
    struct mem *mem;
    const struct trace *trace; /* NULL: none */
    const struct crypt_keypair *key;
    struct mesh_id mesh;
    struct slice chain;         /* own, verified by the caller; empty while joining */
    struct slice ticket;        /* public part; only without a chain */
    const uint8_t (*gates)[32]; /* newest first */
    size_t n_gates;
    struct chains *chains; /* the node's cache; shared with links */
    uint8_t seed[32];      /* of this plane's random stream */
    uint64_t early_types;  /* SESSION_TYPE_BIT of requests without side effect, besides
                              PING, that may ride in an INIT: FIND_NODE, GET */
    uint32_t sessions_max; /* 0: SESSION_MAX */
};

struct session_message {
    struct node_id peer;
    struct addr to; /* where to find it if there is no session; ADDR_NONE: not known */
    uint8_t type;   /* 1..63 */
    uint32_t request_id;
    struct slice body; /* copied; <= SESSION_BODY_MAX */
};

enum session_action_type {
    SESSION_ACTION_SEND,    /* a UDP packet: addr, bytes */
    SESSION_ACTION_MESSAGE, /* of a confirmed session */
    SESSION_ACTION_EARLY,   /* a request inside an INIT: like MESSAGE, but nothing may be changed by
                               it; answer at once with session_send() under its request id, at most
                               room_max bytes of body: the answer rides in the RESP */
    SESSION_ACTION_UP,      /* a session is confirmed (is_first), or renewed with new facts */
    SESSION_ACTION_DOWN,    /* it is gone: err CLOSED (by the peer), EXPIRED, LIMIT, REVOKED .. */
    SESSION_ACTION_FAILED,  /* none could be opened: TIMEOUT, NEED_CHAIN (open a link), CLOCK,
                               REVOKED, BUSY, VERSION, or why the peer refused; what waited is lost
                             */
    SESSION_ACTION_PONG     /* answer to session_ping(): rtt_us, observed */
};

struct session_action {
    enum session_action_type type;
    struct node_id peer;
    const struct cert_facts *facts; /* NULL: of a ticket holder, or FAILED, SEND */
    struct slice ticket;            /* public part shown by a ticket holder (unverified) */
    struct addr addr;               /* SEND: to; others: where the peer is */
    struct slice bytes;             /* SEND */
    uint8_t message_type;           /* MESSAGE, EARLY */
    uint32_t request_id;            /* MESSAGE, EARLY, PONG */
    struct slice body;              /* MESSAGE, EARLY */
    uint16_t room_max;              /* EARLY */
    bool is_first;                  /* UP: there was no session before */
    bool is_dialled;                /* UP: we opened it */
    struct addr observed;           /* UP, PONG: our own address as the peer sees it */
    uint64_t rtt_us;                /* PONG */
    enum ipx_err err;               /* DOWN, FAILED */
};

struct session_stats { /* counters since the start */
    uint64_t packets_in, packets_out, bytes_in, bytes_out, messages_in, messages_out;
    uint64_t inits_in, inits_out, resps_in, resps_out, cookies_in, cookies_out;
    uint64_t opened, rekeyed, roamed;
    uint64_t dropped_form;      /* no packet of ours: length, version, type */
    uint64_t dropped_mac;       /* strangers: mac1 */
    uint64_t dropped_rate;      /* token buckets */
    uint64_t dropped_load;      /* a cookie was asked for instead */
    uint64_t dropped_handshake; /* Noise, payload, keys that do not fit */
    uint64_t dropped_index;     /* no such session */
    uint64_t dropped_tag, dropped_replay;
    uint64_t dropped_message; /* form, types that this session may not say */
    uint64_t dropped_muted, dropped_memory, dropped_simultaneous;
    uint64_t muted;
};

struct session_info { /* a peer's session, for people and for the cores */
    struct node_id peer;
    struct addr addr, observed;
    const struct cert_facts *facts; /* NULL of a ticket holder; until the next input */
    uint64_t since_us, heard_us;
    uint64_t srtt_us; /* 0: not measured yet */
    uint64_t rto_us;  /* srtt + 4 rttvar in [100 ms, 2 s]; 400 ms if not measured */
    uint64_t bytes_in, bytes_out;
    bool is_ticket, is_dialled;
    bool is_silent; /* asked whether it is still there, and has not answered in time */
};

struct session_plane;

/* Faults: IPX_NO_MEMORY. Conditions: IPX_MALFORMED (chain too long, chain and ticket). */
IPX_MUST_USE enum ipx_err session_plane_new(const struct session_config *config, uint64_t now_us,
                                            int64_t wall_ms, struct session_plane **ret);
void session_plane_free(struct session_plane *p); /* NULL is allowed; nothing is sent */

/* Inputs */
void session_on_clock(struct session_plane *p, uint64_t now_us, int64_t wall_ms);
void session_recv(struct session_plane *p, uint64_t now_us, const struct addr *from,
                  struct slice packet);
void session_tick(struct session_plane *p, uint64_t now_us);

/* Commands */
/* Conditions: IPX_LIMIT (body), IPX_SELF, IPX_NOT_FOUND (no session and no address), IPX_FULL (too
 * much waits already), IPX_DENIED (a ticket's session, a joiner: only ADMIT, GET_CHAIN, PING and
 * their answers), IPX_REFUSED (no key). Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err session_send(struct session_plane *p, uint64_t now_us,
                                       const struct session_message *m);
/* PONG comes, or nothing. The request id is for matching. Conditions: as session_send(). */
IPX_MUST_USE enum ipx_err session_ping(struct session_plane *p, uint64_t now_us,
                                       const struct node_id *peer, const struct addr *to,
                                       uint32_t *ret_request_id);
/* After admission or renewal; sessions opened with our ticket end. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err session_set_chain(struct session_plane *p, uint64_t now_us,
                                            struct slice chain);
/* Says CLOSE to the peer and forgets the session; DOWN comes with `why`. */
void session_forget(struct session_plane *p, uint64_t now_us, const struct node_id *id,
                    enum ipx_err why);
/* Ends all sessions of revoked peers (chains_revoke() comes first). */
void session_drop_revoked(struct session_plane *p, uint64_t now_us);
/* After a long pause of this process: all sessions end silently, DOWN with EXPIRED. */
void session_drop_all(struct session_plane *p, uint64_t now_us);
/* Says CLOSE to all, before a clean stop. */
void session_close_all(struct session_plane *p, uint64_t now_us);
/* A round trip measured by a core from a request of its own. */
void session_on_rtt(struct session_plane *p, const struct node_id *id, uint64_t rtt_us);

/* Outputs */
bool session_poll(struct session_plane *p, struct session_action *ret);
uint64_t session_deadline(const struct session_plane *p);

/* Queries */
bool session_find(const struct session_plane *p, const struct node_id *peer,
                  struct session_info *ret); /* confirmed ones */
/* The i-th place of the table, i < session_places(); false where it is empty. */
uint32_t session_places(const struct session_plane *p);
bool session_at(const struct session_plane *p, uint32_t i, struct session_info *ret);
const struct session_stats *session_stats_of(const struct session_plane *p);
void session_check(const struct session_plane *p);
