/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What flows in and out of a node: connections, the links being made, and streams under one number
 * each. Private to node/; included by node/core.h.
 *
 * Invariant: a stream is in the table by its slot, in by_handle by its number, and in exactly one
 * list: of its connection, of the dial it waits for, or (own streams with something to hear)
 * streams.own. A connection is in node.ready exactly if it may have something to do.
 */
#include "base/list.h"
#include "base/map.h"
#include "base/timers.h"
#include "node/framing.h"
#include "node/link.h"
#include "node/node.h"
#include "node/tunnel.h"

/* --- streams.c --- */

#define STREAM_CONN_OWN                                                                            \
    UINT32_MAX           /* stream.conn of the two ends of a stream to this node itself            \
                          */
#define STREAMS_MAX 8192 /* of all links and clients; each link may open 1,024 */

enum stream_use {
    STREAM_FREE,
    STREAM_CONTROL,     /* a local client's requests */
    STREAM_EXEC_CLIENT, /* a local client of exec: jobs, sources */
    STREAM_EXEC,        /* owner - place, reader - source */
    STREAM_FETCH,       /* a document */
    STREAM_TUNNEL       /* messages of the datagram plane */
};
enum stream_waits {
    STREAM_WAITS_NOTHING,
    STREAM_WAITS_JOIN,
    STREAM_WAITS_PING,
    STREAM_WAITS_EVENTS
};

struct stream {
    uint32_t handle;
    uint32_t slot;
    enum stream_use use;
    enum stream_waits waits_for; /* of a CONTROL stream */
    uint32_t conn;               /* its connection; STREAM_CONN_OWN; 0 while a link is made */
    uint32_t id;                 /* mux stream; of OWN: the handle of the other end */
    struct node_id peer;
    uint16_t protocol;
    bool is_opened_here;
    bool is_forgotten;            /* exec is told nothing more of it */
    bool is_finishing;            /* we have said all .. */
    bool is_finished;             /* .. and it is out */
    bool is_other_done;           /* OWN: the other end has said all */
    struct framing in;            /* assembles messages */
    struct tunnel_reader *tunnel; /* of TUNNEL: in place of `in` */
    struct buf wait;              /* said before there was room; of OWN: what is to be heard */
    struct list list;             /* of its connection, of a dial, or of streams.own */
    uint64_t created_us;
    uint64_t next_event, stop_event; /* of WAITS_EVENTS: shown next; the last one unless .. */
    bool is_following;               /* .. it goes on */
};

struct streams {
    struct stream **table; /* by slot; grows in steps */
    uint32_t n, capacity;
    uint32_t n_waiting; /* those with waits_for */
    uint32_t next_in;   /* handle of the last stream that came in, >= 2^31 */
    struct map by_handle;
    bool has_map;
    struct list own; /* ends of own streams with something to hear */
};

/* --- conns.c --- */

#define NODE_REFUSED_MAX 64 /* connections over the limit that wait to be closed */

enum conn_state { CONN_DIALLING, CONN_OPEN };

struct conn {
    uint32_t id;
    enum conn_state state;
    struct link *link; /* NULL while dialling */
    struct addr addr;
    struct node_local local; /* of a local client */
    bool is_local, is_dialled;
    bool is_coat;    /* dialled: within TLS */
    bool is_up;      /* the link's handshake is done */
    bool is_writing; /* a CONN_WRITE is out, on_writable not yet in */
    bool is_gone;    /* the shell has closed it */
    bool wants_dial, wants_close;
    struct node_id peer;
    struct list list;   /* node.conns */
    struct list ready;  /* node.ready: may have something to do */
    struct timer timer; /* the link's deadline, while it is not in node.ready */
    struct list streams;
};

struct dial { /* a link being made; several streams may wait for it */
    struct list list;
    struct node_id peer;
    struct addr hint;
    uint8_t next_addr;       /* of those known */
    bool is_reversed;        /* asked to dial back */
    uint64_t try_us, due_us; /* the present address; all together */
    uint32_t conn;           /* present try, 0: none */
    uint64_t coat_us;        /* when the peer's coat is tried too; NEVER_US: not, or it has been */
    uint32_t coat_conn;      /* that try, 0: none */
    struct list streams;
};

/* --- tunnels.c --- */

#define TUNNELS_MAX 2048 /* peers without a session that we speak to; of 0.2 KiB */

struct tunnel { /* a peer that has no session, or whose session is silent */
    struct node_id peer;
    uint8_t state; /* enum tunnel_state */
    bool is_session_failed;
    uint32_t stream;  /* UP and DIALLING: what is said goes here */
    struct addr addr; /* where a session was looked for */
    struct timer timer;
    uint64_t doubt_us; /* the session counts if it was heard since; 0: no doubt */
    uint64_t up_us, pinged_us;
    uint64_t again_us; /* from now to the next try of a session */
};

struct tunnels {
    struct index by_peer;
    struct timers timers;
    uint64_t heard_us;  /* a session said something; 0: never */
    bool is_deaf;       /* a tunnel came up while no session said anything */
    uint64_t n_dropped; /* messages: too many wait, too many came, or not allowed */
};
