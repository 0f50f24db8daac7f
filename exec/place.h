/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The place side: runs attempts for owners (the own node's included) under this
 * node's policy. Private to exec/; driven by exec.c. It learns of the world only by
 * messages of owners, by what processes do, and by its own entry among the peers
 * (core->match, id = core->self.id), whose ad and vitals are live.
 *
 * A claim is a right for a time: the place kills an attempt when its claim ends, by
 * its own clock, and keeps every result until the owner acknowledges it.
 */
#include "exec/core.h"

struct place;

IPX_MUST_USE enum ipx_err place_new(struct exec_core *core, struct place **ret);
void place_free(struct place *p); /* NULL allowed */

void place_set_accept(struct place *p, struct query *accept); /* takes a reference; NULL: nobody */
void place_set_holds_issuer(struct place *p, bool holds);
void place_set_drain(struct place *p, bool drains);
void place_on_peer_gone(struct place *p, uint64_t now_us, const struct node_id *id);
void place_on_peer_revoked(struct place *p, uint64_t now_us, const struct node_id *id);

/* PROBE */
void place_recv(struct place *p, uint64_t now_us, const struct cert_facts *from, uint8_t type,
                uint32_t req_id, struct slice body);
/* An owner opened a job stream to us. */
void place_on_stream(struct place *p, uint64_t now_us, const struct cert_facts *from,
                     uint32_t handle);
/* False: the place knows no such stream. */
bool place_on_stream_message(struct place *p, uint64_t now_us, uint32_t handle, uint8_t type,
                             struct slice body);
bool place_on_stream_closed(struct place *p, uint64_t now_us, uint32_t handle, enum ipx_err err);

void place_on_started(struct place *p, uint64_t now_us, uint64_t attempt, enum ipx_err err);
void place_on_output(struct place *p, uint64_t now_us, uint64_t attempt, uint8_t fd,
                     struct slice bytes, bool eof);
void place_on_exit(struct place *p, uint64_t now_us, uint64_t attempt, uint8_t code, uint8_t signal,
                   uint64_t cpu_us);
void place_on_stdin_taken(struct place *p, uint64_t now_us, uint64_t attempt);
/* Objects with CORE_OBJECT_PLACE. */
void place_on_stored(struct place *p, uint64_t now_us, uint64_t object, enum ipx_err err);
void place_on_loaded(struct place *p, uint64_t now_us, uint64_t object, uint64_t offset,
                     struct slice bytes);

void place_tick(struct place *p, uint64_t now_us);
uint64_t place_deadline(const struct place *p);
/* Queues what is owed to owners (results, credit, FREE); true if it queued anything. */
bool place_flush(struct place *p, uint64_t now_us);
void place_vitals(const struct place *p, struct exec_vitals *ret); /* slots, free, wait */
void place_stats(const struct place *p, struct exec_stats *ret);   /* adds its share */
bool place_is_idle(const struct place *p);
void place_check(const struct place *p);
