/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Jobs: the face of exec/. One object holds an owner (it keeps the jobs that were
 * submitted here), a place (it runs attempts for owners, its own included) and the
 * live sources. Owner and place talk only by messages: what is addressed to this
 * node itself is looped back by the node, so the local place is an ordinary place.
 *
 * Pure: no clock, socket, file, process. Inputs carry now_us (monotonic, constant
 * within one call) and never call out; what is to be done is drained by exec_poll
 * after any input. Driven by node/node.c. Messages: exec/wire.h (nodes) and
 * exec/wire_client.h (command line); docs/wire.md numbers them.
 */
#include "base/cert.h"
#include "base/label.h"
#include "base/query.h"
#include "base/rng.h"
#include "base/trace.h"
#include "exec/action.h"
#include "exec/meant.h"
#include "exec/wire.h"
#include "exec/wire_client.h"

struct exec;

/* Messages are made here, within one call: objects of one process may share it. */
struct exec_scratch {
    uint8_t owner[2][EXEC_BODY_MAX], place[2][EXEC_BODY_MAX], sources[2][EXEC_BODY_MAX];
};

struct exec_config {
    const struct crypt_keypair *key; /* signs job headers; outlives the object */
    struct mesh_id mesh;
    struct cert_facts self;
    struct rng *rng;              /* a stream is split off it at init */
    uint32_t n_slots;             /* attempts of one cpu each that run here at once; 0: runs none */
    struct trace *trace;          /* may be NULL */
    struct exec_scratch *scratch; /* outlives the object; NULL: one of its own */
};

/* What is known of a peer beside its ad. Only ever used to choose whom to ask. */
struct exec_vitals {
    bool is_known; /* false: only ad and certificate are */
    uint32_t n_slots, n_free;
    uint32_t wait_ms; /* expected wait in its queue */
    uint32_t load_milli;
    uint64_t mem_free; /* bytes, rounded down */
    uint64_t ad_age_us;
};

/* Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err exec_new(const struct exec_config *config, struct mem *mem,
                                   struct exec **ret);
void exec_free(struct exec *x); /* NULL allowed */

/* What this node is and allows. */
void exec_set_self(struct exec *x, const struct cert_facts *self); /* after a new certificate */
void exec_set_accept(struct exec *x, struct query *accept); /* takes a reference; NULL: nobody */
void exec_set_holds_issuer(struct exec *x, bool holds); /* then foreign labs' tasks are refused */
void exec_set_drain(struct exec *x, bool drains);       /* then no new attempt starts here */
/* The wall clock, whenever the node reads it; for stamps shown to people and header expiry. */
void exec_on_clock(struct exec *x, uint64_t now_us, int64_t wall_ms);

/* Members. The own node is pushed in like any other (its ad and vitals live). Upsert; takes a
 * reference to `ad` (NULL: not known yet). `srtt_us` 0 for the own node. */
void exec_on_peer(struct exec *x, uint64_t now_us, const struct cert_facts *facts, struct ad *ad,
                  const struct exec_vitals *vitals, uint64_t srtt_us);
/* Dead or left: what runs for it here goes on until its claims end, it may come back. */
void exec_on_peer_gone(struct exec *x, uint64_t now_us, const struct node_id *id);
/* Revoked: what runs for it here ends now. */
void exec_on_peer_revoked(struct exec *x, uint64_t now_us, const struct node_id *id);

/* Datagrams 48..63 of a peer with a confirmed session. Malformed ones are counted and dropped. */
void exec_recv(struct exec *x, uint64_t now_us, const struct cert_facts *from, uint8_t type,
               uint32_t req_id, struct slice body);

/* Streams. Handles of streams that come in are chosen by the node, >= 2^31, not reused while
 * known. `protocol` as in STREAM_OPEN. Every handle that exec did not close itself ends by
 * exec_on_stream_closed, exactly once: IPX_OK = orderly by the peer, IPX_UNREACHABLE = there never
 * was a link, nothing went out; else the link broke. */
void exec_on_stream(struct exec *x, uint64_t now_us, const struct cert_facts *from, uint32_t handle,
                    uint8_t protocol);
void exec_on_stream_message(struct exec *x, uint64_t now_us, uint32_t handle, uint8_t type,
                            struct slice body);
void exec_on_stream_closed(struct exec *x, uint64_t now_us, uint32_t handle, enum ipx_err err);

/* Local clients: the same handles (>= 2^31) and STREAM_SEND. */
enum exec_right {
    EXEC_RIGHT_SUBMIT = 1 << 0, /* submit, and see and cancel what carries the own user name */
    EXEC_RIGHT_ADMIN = 1 << 1   /* see and cancel everything of this owner */
};
void exec_on_client(struct exec *x, uint64_t now_us, uint32_t handle, const char *user,
                    uint32_t rights);
/* A local client that publishes or taps (protocol 7); then as exec_on_client. */
void exec_on_source_client(struct exec *x, uint64_t now_us, uint32_t handle, const char *user,
                           uint32_t rights);
void exec_on_client_message(struct exec *x, uint64_t now_us, uint32_t handle, uint8_t type,
                            struct slice body);
void exec_on_client_closed(struct exec *x, uint64_t now_us, uint32_t handle);

/* Processes. `attempt` as in SPAWN. on_started: IPX_OK, IPX_NOT_FOUND (no such program: 127),
 * IPX_DENIED (cannot run: 126), other (ipx failed). After an error nothing more comes; else both
 * fds end by `eof` and then on_exit comes, exactly once. */
void exec_on_started(struct exec *x, uint64_t now_us, uint64_t attempt, enum ipx_err err);
void exec_on_output(struct exec *x, uint64_t now_us, uint64_t attempt, uint8_t fd,
                    struct slice bytes, bool eof);
void exec_on_exit(struct exec *x, uint64_t now_us, uint64_t attempt, uint8_t code, uint8_t signal,
                  uint64_t cpu_us);
void exec_on_stdin_taken(struct exec *x, uint64_t now_us, uint64_t attempt);

/* Storage. IPX_FULL: the spool is full, a clear failure of that task. Answers to one object come
 * in the order of its STOREs. on_loaded: fewer bytes than asked = end; NULL data = lost. */
void exec_on_stored(struct exec *x, uint64_t now_us, uint64_t object, enum ipx_err err);
void exec_on_loaded(struct exec *x, uint64_t now_us, uint64_t object, uint64_t offset,
                    struct slice bytes);

void exec_tick(struct exec *x, uint64_t now_us);
uint64_t exec_deadline(const struct exec *x);
/* The next action. What is queued for one peer is put into one message when all inputs of a turn
 * are in: feed all inputs first, then drain. */
bool exec_poll(struct exec *x, uint64_t now_us, struct exec_action *ret);

/* Queries */
void exec_vitals(const struct exec *x, struct exec_vitals *ret); /* of the place here */
/* The `+source` resources of what is published here, for the node's ad; at most `max`. Valid until
 * the next call on x. EXEC_SOURCES_CHANGED tells that the list is another. */
size_t exec_sources(const struct exec *x, struct resource *ret, size_t max);
struct exec_stats {
    uint64_t n_malformed, n_refused, n_results, n_late_results, n_lost;
    uint32_t n_jobs, n_jobs_finished, n_running, n_clients, n_streams;
};
void exec_stats(const struct exec *x, struct exec_stats *ret);
/* The ad that exec_on_peer told last; NULL if none. */
const struct ad *exec_ad_of(const struct exec *x, const struct node_id *id);
/* Is it true of a member, as `run` of this node would see it? `ad` may be less than it has. */
struct exec_view {
    const struct cert_facts *facts;
    struct ad *ad;
    const struct exec_vitals *vitals;
    uint64_t srtt_us;
};
bool exec_is_true(const struct exec *x, uint64_t now_us, const struct exec_view *v,
                  const struct query *q);
/* See exec/meant.h. */
bool exec_meant_label(const struct exec *x, const struct query *q, struct exec_meant *ret);
void exec_meant_node(const struct exec *x, struct slice text, char ret[static MEANT_SIZE]);
bool exec_is_idle(const struct exec *x); /* no unfinished job, no attempt */
void exec_check(const struct exec *x);   /* asserts the full invariant */
