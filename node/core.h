/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The inside of a node, shared by the files that make it up; private to node/.
 *
 *   node.c       life, time, the loop that drains every part
 *   members.c    sessions <-> dht, gossip: who is there
 *   conns.c      connections and links
 *   streams.c    streams of links and local clients as numbered handles
 *   jobs.c       exec's actions; what the node addresses to itself
 *   admission.c  tickets: joining, and admitting others
 *   control.c, control_rows.c   what the command line asks
 *   fetch.c      documents over links
 *
 * Rule: inputs call into the parts and never emit; whatever is to be done waits in the part's
 * own queue until node_poll drains it.
 */
#include "base/admit_book.h"
#include "base/keys.h"
#include "base/query.h"
#include "dht/dht.h"
#include "exec/exec.h"
#include "gossip/gossip.h"
#include "node/chains.h"
#include "node/control_wire.h"
#include "node/framing.h"
#include "node/link.h"
#include "node/node.h"
#include "node/own_ad.h"
#include "node/session.h"

#define NODE_BOOK_ENTRIES 1024 /* tickets remembered; 0.4 KiB each, touched only when used */
#define NODE_SCRATCH_LEN 65536 /* the longest thing saved or answered at once */
#define NODE_MESSAGE_MAX (EXEC_BODY_MAX + 64) /* longest framed message of a stream */
#define NODE_ACCEPT_DEFAULT "job.lab == lab"

enum node_state { NODE_STATE_JOINING, NODE_STATE_MEMBER, NODE_STATE_STOPPING, NODE_STATE_STOPPED };

/* --- streams.c --- */

#define STREAM_CONN_OWN UINT32_MAX /* stream.conn of the two ends of a stream to this node itself  \
                                    */
#define STREAMS_MAX 8192           /* of all links and clients; each link may open 1,024 */

enum stream_use {
    STREAM_FREE,
    STREAM_CONTROL,     /* a local client's requests */
    STREAM_EXEC_CLIENT, /* a local client of exec: jobs, sources */
    STREAM_EXEC,        /* owner - place, reader - source */
    STREAM_FETCH        /* a document */
};
enum stream_waits { STREAM_WAITS_NOTHING, STREAM_WAITS_JOIN, STREAM_WAITS_PING };

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
    bool is_forgotten;  /* exec is told nothing more of it */
    bool is_finishing;  /* we have said all .. */
    bool is_finished;   /* .. and it is out */
    bool is_other_done; /* OWN: the other end has said all */
    struct framing in;  /* assembles messages */
    struct buf wait;    /* said before there was room; of OWN: what is to be heard */
    struct list list;   /* of its connection, of a dial, or of streams.own */
    uint64_t created_us;
};

struct streams {
    struct stream **table; /* by slot; grows in steps */
    uint32_t n, capacity;
    uint32_t next_in; /* handle of the last stream that came in, >= 2^31 */
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
    bool is_up;      /* the link's handshake is done */
    bool is_writing; /* a CONN_WRITE is out, on_writable not yet in */
    bool is_gone;    /* the shell has closed it */
    bool wants_dial, wants_close;
    struct node_id peer;
    struct list list;  /* node.conns */
    struct list ready; /* node.ready: may have something to do */
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
    struct list streams;
};

/* --- admission.c --- */

struct join {
    bool is_active, is_asked;
    struct ticket ticket;
    unsigned contact; /* tried last */
    uint64_t next_us; /* the next contact, or the question again */
    uint64_t give_up_us;
    struct node_id asked; /* whom */
    bool is_failed;
    enum ipx_err why; /* of the failure */
    char detail[ADMIT_DETAIL_MAX + 1];
    uint64_t began_us, took_us;
};

struct node {
    struct node_config config; /* slices in it are not used after node_new */
    struct mem *mem;
    struct rng rng;
    enum node_state state;
    uint64_t now_us;
    int64_t wall_ms; /* at wall_at_us; 0: not known */
    uint64_t wall_at_us;
    uint64_t started_us;
    struct cert_facts self; /* of the chain; while joining only id and name */
    uint8_t chain[CERT_CHAIN_MAX];
    size_t chain_len;
    struct cert_signer signer; /* if config.has_issuer */
    struct chains chains;
    struct session_plane *sessions;
    bool has_cores; /* dht, gossip and exec live: a member */
    struct dht dht;
    struct gossip gossip;
    struct exec *exec;
    struct own_ad own_ad;
    struct ad *ad; /* as told to others now */
    struct query *accept;
    struct node_vitals measured;
    uint32_t told_free; /* free slots as told last */
    struct admit_book book;
    struct join join;
    uint64_t renew_us; /* next look at our own certificate */
    struct handshake_self handshakes;
    struct clocks link_clocks;
    struct link_context links;
    uint32_t refused[NODE_REFUSED_MAX], n_refused;
    struct list conns; /* struct conn */
    struct list ready; /* those that may have events or output */
    struct list dials;
    uint32_t n_conns, next_conn;
    struct streams streams;
    bool save_due[NODE_SAVE_N];
    enum node_save saving; /* told to the shell, not yet looked at again; NODE_SAVE_N: none */
    uint64_t seq_to_save, seq_saved;
    struct {
        bool is_due;
        int code;
        char text[160];
    } stop;
    uint64_t stop_us; /* leaving: links get until then to say goodbye */
    bool is_ad_due, is_vitals_due;
    uint8_t scratch[NODE_SCRATCH_LEN];
    uint8_t body[SESSION_BODY_MAX];
    uint8_t write[NODE_WRITE_MAX];
    struct exec_action exec_action;
};

int64_t node_wall_ms(const struct node *n);
void node_fail_stop(struct node *n, int code, const char *text);
/* Saves are told by node_poll; the bytes are made then. */
void node_begin_stop(struct node *n, bool is_leave);
void node_save_later(struct node *n, enum node_save what);

/* members.c */
void members_send(struct node *n, const struct node_id *to, const struct addr *hint, uint8_t type,
                  uint32_t req_id, struct slice body);
bool members_drain(struct node *n, struct node_action *ret); /* true: *ret is to be told */
IPX_MUST_USE enum ipx_err members_start(struct node *n);     /* makes the cores */
void members_stop(struct node *n);
void members_tell_exec(struct node *n, const struct gossip_member *m);
/* The addresses under which a peer may be dialled, best first. */
size_t members_addrs(const struct node *n, const struct node_id *id, struct addr *ret, size_t max);
void members_update_ad(struct node *n);
void members_update_vitals(struct node *n);
/* Every member, this node first: NULL -> self; NULL at the end. */
const struct gossip_member *members_next(const struct node *n, const struct gossip_member *m);
struct members_path {
    struct addr addr;
    uint64_t rtt_us;
    bool has_session, has_link;
};
void members_path(struct node *n, const struct gossip_member *m, struct members_path *ret);
void members_ping(struct node *n, const struct gossip_member *m);
struct slice members_chain_of(struct node *n, const struct node_id *id);

/* admission.c */
IPX_MUST_USE enum ipx_err admission_init(struct node *n);
void admission_start(struct node *n);
void admission_tick(struct node *n);
uint64_t admission_deadline(const struct node *n);
void admission_on_up(struct node *n, const struct node_id *peer);
void admission_on_failed(struct node *n, const struct node_id *peer, enum ipx_err err);
void admission_recv(struct node *n, const struct session_action *a);
void admission_on_member(struct node *n, const struct cert_facts *facts);
/* The join has succeeded (and the mesh is seen) or failed. */
bool admission_is_settled(const struct node *n);
const char *admission_hint(enum ipx_err why); /* what to do about it */
bool admission_on_doc(struct node *n, struct slice bytes);
/* A ticket text. Conditions: IPX_DENIED (no issuer key here), those of ticket_make. */
struct invite_plan {
    uint32_t caps;
    int64_t life_ms;
    struct slice lab;
};
IPX_MUST_USE enum ipx_err admission_invite(struct node *n, const struct invite_plan *plan,
                                           struct ticket *ret);

/* conns.c */
void conns_init(struct node *n);
void conns_done(struct node *n);
struct conn *conns_find(struct node *n, uint32_t id);
struct conn *conns_of_peer(struct node *n, const struct node_id *peer); /* a link that is up */
bool conns_drain(struct node *n, struct node_action *ret);
void conns_events(struct node *n, struct conn *c);
void conns_tick(struct node *n);
uint64_t conns_deadline(const struct node *n);
void conns_wake(struct node *n, struct conn *c);
/* Hangs the stream on a link to its peer, made if there is none. */
void conns_attach(struct node *n, struct stream *s);
/* Makes a link to a peer for its own sake: so that each sees the other's whole chain. */
void conns_reach(struct node *n, const struct node_id *peer, const struct addr *addr);
void conns_on_reverse(struct node *n, const struct node_id *peer, const struct addr *addr);
void conns_close(struct node *n, struct conn *c, enum ipx_err err);
void conns_close_all(struct node *n); /* but for local clients */

/* streams.c */
void streams_init(struct node *n);
void streams_done(struct node *n);
struct stream *streams_find(struct node *n, uint32_t handle);
struct stream *streams_new(struct node *n, uint32_t handle, enum stream_use use);
uint32_t streams_new_handle(struct node *n);
void streams_free(struct node *n, struct stream *s);
void streams_open_exec(struct node *n, uint32_t handle, const struct node_id *to, uint8_t protocol);
void streams_open_on(struct node *n, struct stream *s, struct conn *c);
void streams_send(struct node *n, struct stream *s, uint8_t type, struct slice body);
void streams_finish(struct node *n, struct stream *s); /* orderly, after what was said */
void streams_break(struct node *n, struct stream *s, enum ipx_err err);
void streams_on_event(struct node *n, struct conn *c, const struct mux_event *e);
void streams_on_lost(struct node *n, struct stream *s, enum ipx_err err); /* frees it */
bool streams_drain_own(struct node *n); /* true: exec has heard something */

/* jobs.c */
bool jobs_drain(struct node *n, struct node_action *ret);

/* control.c */
void control_message(struct node *n, struct stream *s, const struct node_local *who, uint8_t type,
                     struct slice body);
void control_tick(struct node *n); /* answers those that wait: for the join, for a pong */
uint64_t control_deadline(const struct node *n);
void control_on_pong(struct node *n, const struct node_id *peer, uint64_t rtt_us);

/* fetch.c */
void fetch_ad(struct node *n, const struct gossip_action *a);
void fetch_message(struct node *n, struct stream *s, uint8_t type, struct slice body);
