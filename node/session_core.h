/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The objects of the session plane; session_parts.h has what its files do for each other.
 * Not for others.
 *
 * A peer lives as long as anything is going on with it: a key in use (`cur`), an
 * unconfirmed one (`next`), a handshake of ours (`dial`), one of theirs whose answer is
 * being made (`held`), or messages that wait. Each key and each dial has a random index
 * by which packets find it.
 */
#include "base/timers.h"
#include "node/bucket.h"
#include "node/clocks.h"
#include "node/replay.h"
#include "node/session.h"
#include "node/session_wire.h"

#define DIAL_FIRST_US (400 * US_PER_MS) /* then x 1.5 */
#define DIAL_OWN_WINS_US (2 * US_PER_S) /* simultaneous open: the lower ignores while younger */
#define DIAL_GRACE_US US_PER_S       /* a fresh unconfirmed key is waited for, not dialled over */
#define NEXT_LIFE_US (5 * US_PER_S)  /* unconfirmed */
#define PREV_LIFE_US (30 * US_PER_S) /* an old key still receives */
#define REKEY_AFTER_US (3600 * US_PER_S)
#define REKEY_ASK_US (4200 * US_PER_S) /* the answerer asks for it by a flag */
#define REKEY_RETRY_US (60 * US_PER_S)
#define KEY_LIFE_US (5400 * US_PER_S) /* hard stop */
#define KEY_REKEY_PACKETS (UINT64_C(1) << 30)
#define KEY_MAX_PACKETS (UINT64_C(1) << 40)
#define HELD_LIFE_US (20 * US_PER_MS) /* an early request's answer comes within the same turn */
#define HELD_MAX 64                   /* of 4.5 KiB */
#define PATH_TRIES 3
#define PATH_RETRY_US (500 * US_PER_MS)
#define PATH_PAUSE_US (2 * US_PER_S)      /* between two switches */
#define SILENT_PING_US (3 * US_PER_S)     /* sent, and nothing came back: is it there? */
#define SILENT_DOUBT_US (600 * US_PER_MS) /* no PONG: other ways to it may be looked for */
#define SILENT_DIAL_US (3 * US_PER_S)     /* no PONG: it may have restarted; a new handshake */
#define SILENT_AGAIN_US (10 * US_PER_S)
#define COOKIE_LIFE_US (120 * US_PER_S)
#define MUTE_US (300 * US_PER_S)
#define MUTE_FACTOR 10
#define MUTE_SECONDS 10
#define PINGS_MAX 4  /* of ours under way a peer */
#define OUT_MAX 8192 /* packets and messages not yet drained */
#define DATA_HEADER_LEN 16
#define DATA_FLAG_REKEY 1 /* second byte of DATA */
#define RTO_FIRST_US (400 * US_PER_MS)

struct session_peer;

struct session_slot { /* what an index names: the first member of a key and of a dial */
    uint32_t index;
    bool is_dial;
    struct session_peer *peer;
};

struct session_key {
    struct session_slot slot;
    uint32_t peer_index;
    bool is_dialled;
    uint8_t send[32], recv[32];
    uint64_t sent; /* next counter */
    uint64_t made_us;
    struct replay replay;
};

struct session_who { /* what a peer has shown of itself */
    bool has_facts;
    struct cert_facts facts;
    uint8_t *ticket; /* owned; only without facts */
    size_t ticket_len;
};

struct session_next { /* answered, not yet confirmed: touches nothing else of the peer */
    struct session_key *key;
    struct session_who who;
};

struct session_open { /* our handshake */
    struct session_slot slot;
    struct handshake_dial hs;
    struct addr to;
    uint64_t started_us, sent_us, retry_us, wait_us;
    uint8_t tries;
    bool shows_chain, has_early, has_cookie, was_clock, is_busy;
    uint32_t early_id;
    uint8_t early_type;
    uint8_t cookie[HANDSHAKE_COOKIE_LEN];
};

struct session_held { /* an INIT whose RESP waits for the answer to its early request */
    struct handshake_call call;
    struct handshake_resp resp;
    struct session_who who;
    struct addr from;
    uint64_t due_us;
};

struct session_waiting { /* a message that waits for a session */
    struct list list;
    uint8_t type;
    uint32_t request_id;
    uint16_t len;
    uint8_t body[];
};

struct session_path { /* is the peer really at this address? */
    struct addr to;
    uint8_t nonce[SESSION_NONCE_LEN];
    uint8_t tries;
    uint64_t retry_us;
    uint64_t bytes_in, bytes_out;
};

struct session_plain { /* messages of the next packet */
    size_t len;
    uint8_t bytes[SESSION_PLAIN_MAX];
};

struct session_ask { /* a PING of ours */
    uint32_t request_id;
    bool is_set;
    uint64_t sent_us;
};

struct session_peer {
    struct list lru;   /* in plane->up while it has `cur`, most recently used first */
    struct list dirty; /* in plane->dirty while something is to be sealed */
    struct node_id id;
    struct timer timer;
    struct session_who who;
    struct addr addr;     /* of the confirmed session */
    struct addr to;       /* where it was looked for */
    struct addr observed; /* our address as it sees it */
    struct session_key *cur, *prev;
    struct session_next *next;
    struct session_open *dial;
    struct session_held *held;
    struct session_path *path;
    struct session_plain *plain;
    struct list waiting;
    uint16_t n_waiting, waiting_bytes;
    bool is_by_ticket; /* opened with our ticket */
    bool must_confirm; /* say something, even if there is nothing to say */
    uint8_t over_seconds;
    uint32_t n_second;
    uint64_t second_us, muted_until_us;
    uint64_t srtt_us, rttvar_us;
    uint64_t since_us, heard_us, silent_since_us, pinged_us, last_dial_us, prev_until_us,
        switched_us;
    uint64_t bytes_in, bytes_out;
    struct session_ask *asks; /* PINGS_MAX of them, or NULL */
    struct bucket bucket;
};

static_assert(sizeof(struct session_peer) + sizeof(struct session_key) <= 1280,
              "an idle session stays small: 1 KiB beside what its certificate says");

struct session_out { /* a queued action with what it points to */
    struct list list;
    struct session_action action;
    struct cert_facts facts;
    size_t len;
    uint8_t bytes[];
};

struct session_plane {
    struct mem *mem;
    struct trace trace;
    struct handshake_self self;
    struct chains *chains;
    struct clocks clocks;
    struct rng rng;
    uint64_t early_types;
    uint32_t sessions_max;
    uint64_t now_us;
    struct addr from;  /* of the packet at hand */
    uint64_t clock_us; /* wall_ms was true then */
    int64_t wall_ms;
    uint8_t *chain; /* own */
    size_t chain_len;
    struct hash chain_hash;
    uint8_t *ticket; /* own */
    size_t ticket_len;
    struct index by_id, by_index;
    struct timers timers;
    struct list up, dirty;
    uint32_t n_up, n_next, n_dials, n_held;
    struct list out;
    uint32_t n_out;
    struct session_out *polled;
    struct buckets strangers;
    struct bucket load, inits, messages;
    uint8_t cookie_secrets[2][32]; /* this one's and the one before */
    uint64_t cookie_until_us;
    uint32_t next_ping;
    struct session_stats stats;
};
