/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The owner side: keeps the jobs that were submitted at this node, finds places
 * for their tasks, takes results, answers clients. Private to exec/; driven by
 * exec.c, which routes every input by handle, object or message type.
 *
 * A task is `done` only when its result bytes are stored. The first result that
 * counts wins; a later one is acknowledged and dropped.
 */
#include "exec/core.h"

struct owner;

IPX_MUST_USE enum ipx_err owner_new(struct exec_core *core, struct owner **ret);
void owner_free(struct owner *o); /* NULL allowed */

void owner_on_peer(struct owner *o, uint64_t now_us, const struct match_peer *peer);
void owner_on_peer_gone(struct owner *o, uint64_t now_us, const struct node_id *id);
/* GRANT, REFUSAL, FREE */
void owner_recv(struct owner *o, uint64_t now_us, const struct cert_facts *from, uint8_t type,
                uint32_t req_id, struct slice body);
/* Streams of kind CORE_STREAM_OWNER; `user` as given to core_stream_take. */
void owner_on_stream_message(struct owner *o, uint64_t now_us, void *user, uint8_t type,
                             struct slice body);
void owner_on_stream_closed(struct owner *o, uint64_t now_us, void *user, enum ipx_err err);

void owner_on_client(struct owner *o, uint64_t now_us, uint32_t handle, const char *user,
                     uint32_t rights);
/* False: no client of ours has this handle. */
bool owner_on_client_message(struct owner *o, uint64_t now_us, uint32_t handle, uint8_t type,
                             struct slice body);
bool owner_on_client_closed(struct owner *o, uint64_t now_us, uint32_t handle);
void owner_on_stored(struct owner *o, uint64_t now_us, uint64_t object, enum ipx_err err);
void owner_on_loaded(struct owner *o, uint64_t now_us, uint64_t object, uint64_t offset,
                     struct slice bytes);

void owner_tick(struct owner *o, uint64_t now_us);
uint64_t owner_deadline(const struct owner *o);
/* Turns what the inputs of this turn left into messages: called when the queue is drained. True
 * if it queued anything. */
bool owner_flush(struct owner *o, uint64_t now_us);
void owner_stats(const struct owner *o, struct exec_stats *ret); /* adds its share */
bool owner_is_idle(const struct owner *o);
void owner_check(const struct owner *o);
