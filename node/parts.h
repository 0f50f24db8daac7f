/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the parts of a node offer one another. Private to node/; the end of node/core.h, which
 * says which file is which, and never included elsewhere.
 */
int64_t node_wall_ms(const struct node *n);
void node_fail_stop(struct node *n, int code, const char *text);
/* Saves are told by node_poll; the bytes are made then. */
void node_begin_stop(struct node *n, bool is_leave);
void node_save_later(struct node *n, enum node_save what);

/* members.c; members_start and members_stop: cores.c */
void members_send(struct node *n, const struct node_id *to, const struct addr *hint, uint8_t type,
                  uint32_t req_id, struct slice body);
bool members_drain(struct node *n, struct node_action *ret); /* true: *ret is to be told */
IPX_MUST_USE enum ipx_err members_start(struct node *n);     /* makes the cores */
void members_stop(struct node *n);
void members_tell_exec(struct node *n, const struct gossip_member *m);
/* A session or a tunnel is there; `addr` ADDR_NONE: not known where the peer listens. */
void members_on_up(struct node *n, const struct session_action *a);
void members_on_unreachable(struct node *n, const struct node_id *peer, enum ipx_err err);
void members_dispatch(struct node *n, const struct session_action *a, bool is_early);
/* The addresses under which a peer may be dialled, best first. */
size_t members_addrs(const struct node *n, const struct node_id *id, struct addr *ret, size_t max);
/* As exec sees them; of this node the live ones. */
void members_vitals(struct node *n, const struct gossip_member *m, struct exec_vitals *ret);
/* Where the peer's links wear a coat; NULL: nowhere that we know of. */
const struct addr *members_coat(const struct node *n, const struct node_id *id);
void members_update_ad(struct node *n);
void members_update_vitals(struct node *n);
/* Every member, this node first: NULL -> self; NULL at the end. */
const struct gossip_member *members_next(const struct node *n, const struct gossip_member *m);
struct members_path {
    struct addr addr;
    uint64_t rtt_us;
    bool has_session, has_link, has_tunnel;
};
void members_path(struct node *n, const struct gossip_member *m, struct members_path *ret);
void members_ping(struct node *n, const struct gossip_member *m);
struct slice members_chain_of(struct node *n, const struct node_id *id);

/* join.c */
void join_start(struct node *n);
void join_tick(struct node *n);
uint64_t join_deadline(const struct node *n);
void join_on_up(struct node *n, const struct node_id *peer);
void join_on_failed(struct node *n, const struct node_id *peer, enum ipx_err err);
void join_on_admitted(struct node *n, const struct session_action *a);
/* Takes a verified chain as our own, saves it and shows it from now on. */
IPX_MUST_USE enum ipx_err join_use_chain(struct node *n, struct slice chain,
                                         const struct cert_facts *facts);
/* The join has succeeded (and the mesh is seen) or failed. */
bool join_is_settled(const struct node *n);
const char *join_hint(enum ipx_err why); /* what to do about it */

/* admission.c */
IPX_MUST_USE enum ipx_err admission_init(struct node *n);
void admission_start(struct node *n);
void admission_watch(struct node *n); /* when to look at our own certificate */
void admission_tick(struct node *n);
uint64_t admission_deadline(const struct node *n);
void admission_recv(struct node *n, const struct session_action *a);
void admission_on_member(struct node *n, const struct cert_facts *facts);
bool admission_on_doc(struct node *n, struct slice bytes);
/* A verified chain goes into the book; false: its holder lost its ticket to another. */
bool admission_on_chain(struct node *n, const struct cert_facts *facts);
/* A ticket text. Conditions: IPX_DENIED (no issuer key here), those of ticket_make. */
struct invite_plan {
    uint32_t caps;
    int64_t life_ms;
    struct slice lab;
};
IPX_MUST_USE enum ipx_err admission_invite(struct node *n, const struct invite_plan *plan,
                                           struct ticket *ret);

/* issuers.c */
void issuers_on_chain(struct node *n, struct slice chain);          /* verified */
struct slice issuers_find(struct node *n, const struct hash *want); /* empty: not held */
/* True: members are being asked, say nothing yet; false: none of them holds it. */
bool issuers_ask(struct node *n, const struct hash *want);
void issuers_on_answer(struct node *n, struct slice cert); /* of a CHAIN: perhaps one asked for */

void issuers_keep(struct node *n, const struct hash *hash, struct slice cert);
void issuers_save(struct node *n, struct writer *w);
void issuers_load(struct node *n);
/* As saved: the admitter's chain, which an admitted chain of our own needs. */
struct slice issuers_saved_admitter(const struct node *n);

/* revoking.c */
void revoking_load(struct node *n);  /* what was saved; issuers first */
void revoking_start(struct node *n); /* the cores are there */
void revoking_on_doc(struct node *n, const struct gossip_action *a);
void revoking_on_issuer(struct node *n, struct slice cert); /* of a CHAIN: perhaps asked for */
void revoking_on_clock(struct node *n);

/* conns.c */
void conns_init(struct node *n);
void conns_done(struct node *n);
void conns_check(const struct node *n);
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

/* A connection of this number; NULL when there are too many. */
struct conn *conns_new(struct node *n, uint32_t id);

/* dials.c; conns_attach and conns_reach too */
void dials_adopt(struct node *n, struct conn *c); /* a link is up: what waits for it moves there */
void dials_on_failed(struct node *n, const struct node_id *peer, uint32_t conn);
void dials_tick(struct node *n);
uint64_t dials_deadline(const struct node *n);
void dials_end_all(struct node *n); /* what waits for them is lost */
void dials_done(struct node *n);

/* streams.c */
void streams_init(struct node *n);
void streams_done(struct node *n);
struct stream *streams_find(struct node *n, uint32_t handle);
struct stream *streams_new(struct node *n, uint32_t handle, enum stream_use use);
uint32_t streams_new_handle(struct node *n);
void streams_free(struct node *n, struct stream *s);
/* Of CONTROL: control_tick looks at streams only while one waits for something. */
void streams_wait_for(struct node *n, struct stream *s, enum stream_waits what);
void streams_open_exec(struct node *n, uint32_t handle, const struct node_id *to, uint8_t protocol);
void streams_open_on(struct node *n, struct stream *s, struct conn *c);
void streams_send(struct node *n, struct stream *s, uint8_t type, struct slice body);
void streams_finish(struct node *n, struct stream *s); /* orderly, after what was said */
void streams_break(struct node *n, struct stream *s, enum ipx_err err);
void streams_on_event(struct node *n, struct conn *c, const struct mux_event *e);
void streams_on_lost(struct node *n, struct stream *s, enum ipx_err err); /* frees it */
/* Bytes as they are, of a TUNNEL stream; false: no memory. How many wait to go out. */
bool streams_write(struct node *n, struct stream *s, struct slice bytes);
size_t streams_queued(struct node *n, const struct stream *s);

/* streams_own.c */
void streams_open_own(struct node *n, struct stream *s);
bool streams_drain_own(struct node *n); /* true: exec has heard something */

/* tunnels.c */
IPX_MUST_USE enum ipx_err tunnels_init(struct node *n);
void tunnels_done(struct node *n);
void tunnels_forget(struct node *n); /* their links are to end, new ones are made */
/* True: the peer has no session that answers but a tunnel, which took (or dropped) it. Else the
 * session is to be tried; from now on it is watched. */
bool tunnels_send(struct node *n, const struct session_message *m);
/* A session is being tried: if it takes long, a link is. */
void tunnels_watch(struct node *n, const struct node_id *peer, const struct addr *addr);
/* The peer is suspected: perhaps its session alone has died. */
void tunnels_doubt(struct node *n, const struct node_id *peer);
bool tunnels_is_up(const struct node *n, const struct node_id *peer);
bool tunnels_ping(struct node *n, const struct node_id *peer);       /* false: no tunnel */
void tunnels_on_heard(struct node *n);                               /* datagrams arrive here */
void tunnels_on_session(struct node *n, const struct node_id *peer); /* it needs none now */
/* True: it has a tunnel, or the verdict is to be awaited (members_on_unreachable). */
bool tunnels_on_session_failed(struct node *n, const struct node_id *peer);
void tunnels_on_member(struct node *n, const struct node_id *peer);
/* Of streams: may a peer open one; it is open; bytes; it is over. */
bool tunnels_may_open(const struct node *n, const struct conn *c);
void tunnels_on_open(struct node *n, struct conn *c, struct stream *s);
void tunnels_on_data(struct node *n, struct conn *c, struct stream *s, struct slice data);
void tunnels_on_lost(struct node *n, const struct node_id *peer, uint32_t stream, enum ipx_err err);
void tunnels_on_goaway(struct node *n, struct conn *c); /* the link is to end */
void tunnels_tick(struct node *n);

/* jobs.c */
bool jobs_drain(struct node *n, struct node_action *ret);

/* control.c */
void control_message(struct node *n, struct stream *s, const struct node_local *who, uint8_t type,
                     struct slice body);
void control_tick(struct node *n); /* answers those that wait: for the join, for a pong */
uint64_t control_deadline(const struct node *n);
void control_on_pong(struct node *n, const struct node_id *peer, uint64_t rtt_us);

/* control_events.c: what people may want to know; `who` may be NULL */
void events_tell(struct node *n, enum events_kind kind, const struct node_id *who,
                 struct slice text);
/* Sources of a member that are new or gone; either ad may be NULL. */
void events_tell_sources(struct node *n, const struct node_id *who, const struct ad *before,
                         const struct ad *now);
/* Gives what is new to those who follow. */
void events_show(struct node *n);
void events_tell_job(struct node *n, const struct exec_action_job *j);

/* fetch.c */
void fetch_ad(struct node *n, const struct gossip_action *a);
void fetch_message(struct node *n, struct stream *s, uint8_t type, struct slice body);
