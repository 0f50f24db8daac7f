/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the session plane do for each other: session.c (life, dispatch, commands),
 * session_peer.c (the table of peers, timers), session_dial.c (our handshakes),
 * session_answer.c (others' handshakes), session_data.c (packets of a session),
 * session_inside.c (PING, PATH, CLOSE), session_out.c (actions). Not for others.
 *
 * A function that may free its peer says so; `peer` is not touched after it.
 */
#include "node/session_core.h"

/* session_out.c: false when there is no room; counted */
bool session_out_packet(struct session_plane *p, const struct addr *to, struct slice packet);
/* What they said and nobody has heard yet. */
void session_out_drop_revoked(struct session_plane *p);
bool session_out_action(struct session_plane *p, const struct session_action *a,
                        const struct session_who *who, struct slice body);

/* session_peer.c */
struct session_peer *session_peer_find(const struct session_plane *p, const struct node_id *id);
struct session_peer *session_peer_get(struct session_plane *p, const struct node_id *id);
uint32_t session_index_draw(struct session_plane *p);
/* Arms the timer, dials for what waits, or frees the peer if nothing is left of it. */
void session_peer_settle(struct session_plane *p, struct session_peer *peer);
void session_peer_free(struct session_plane *p, struct session_peer *peer);
void session_key_free(struct session_plane *p, struct session_key *key);
void session_next_free(struct session_plane *p, struct session_peer *peer);
void session_dial_free(struct session_plane *p, struct session_peer *peer);
void session_held_free(struct session_plane *p, struct session_peer *peer);
void session_path_free(struct session_plane *p, struct session_peer *peer);
void session_waiting_drop(struct session_plane *p, struct session_peer *peer);
void session_who_done(struct session_plane *p, struct session_who *who);
void session_mark_dirty(struct session_plane *p, struct session_peer *peer);
/* `key` (and what it was shown with) becomes the one in use; UP is told. */
struct session_new {
    struct session_key *key; /* taken */
    struct session_who *who; /* taken */
    const struct addr *addr;
    const struct addr *observed; /* NULL: not known */
};
void session_peer_up(struct session_plane *p, struct session_peer *peer,
                     const struct session_new *n);
/* Ends what the peer has of a session; DOWN is told. The peer may be gone afterwards. */
void session_peer_down(struct session_plane *p, struct session_peer *peer, enum ipx_err why);
void session_peer_on_timer(struct session_plane *p, struct session_peer *peer);
int64_t session_wall_ms(const struct session_plane *p);

/* session_dial.c */
IPX_MUST_USE enum ipx_err session_dial_start(struct session_plane *p, struct session_peer *peer,
                                             const struct addr *to);
void session_dial_on_timer(struct session_plane *p, struct session_peer *peer);
void session_on_resp(struct session_plane *p, const struct addr *from, struct slice packet);
void session_on_cookie(struct session_plane *p, struct slice packet);
/* The peer's handshake failed for good; FAILED or DOWN is told. */
void session_dial_fail(struct session_plane *p, struct session_peer *peer, enum ipx_err why);

/* session_answer.c */
void session_on_init(struct session_plane *p, const struct addr *from, struct slice packet);
/* Sends the RESP that was held back, with or without the answer. */
void session_held_finish(struct session_plane *p, struct session_peer *peer,
                         const struct handshake_message *answer);

/* session_data.c */
void session_on_data(struct session_plane *p, const struct addr *from, struct slice packet);
IPX_MUST_USE enum ipx_err session_append(struct session_plane *p, struct session_peer *peer,
                                         const struct handshake_message *m);
void session_flush(struct session_plane *p, struct session_peer *peer);
/* One packet to an address of its own, at once. */
void session_send_to(struct session_plane *p, struct session_peer *peer, const struct addr *to,
                     const struct handshake_message *m);
void session_waiting_flush(struct session_plane *p, struct session_peer *peer);
bool session_type_fits(const struct session_peer *peer, uint8_t type, bool is_incoming);
void session_rtt_add(struct session_peer *peer, uint64_t rtt_us);

/* session_inside.c: true if the message was one of the plane's own */
bool session_inside(struct session_plane *p, struct session_peer *peer,
                    const struct handshake_message *m);
void session_path_start(struct session_plane *p, struct session_peer *peer, const struct addr *from,
                        size_t len);
void session_path_send(struct session_plane *p, struct session_peer *peer);
/* A PING that had to wait leaves now: its round trip begins. */
void session_ask_sent(struct session_peer *peer, const struct handshake_message *m,
                      uint64_t now_us);
void session_on_pong(struct session_plane *p, struct session_peer *peer,
                     const struct handshake_message *m);
