/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The queue of actions of one exec object: owns a copy of every byte in it until
 * the action after it is drained. First in, first out over all kinds, so that what
 * was decided first is done first.
 *
 * Memory: bounded by the windows of the streams and by what is claimed. When none
 * is left, a datagram is dropped (they may be lost anyway) and a stream is noted as
 * broken: exec.c then treats it as a broken link, which both sides recover from.
 */
#include "base/mem.h"
#include "exec/action.h"

#define OUT_BROKEN_MAX 64u /* streams noted as broken at once; further ones wait for time-outs */

struct out_item {
    struct exec_action action;
    uint8_t *bytes; /* owned: what the slices of the action point into; NULL if none */
};

struct exec_out {
    struct mem *mem;
    struct out_item *ring;
    uint32_t cap, head, n;
    uint8_t *given; /* bytes of the action drained last */
    uint32_t broken[OUT_BROKEN_MAX];
    uint32_t n_broken;
    uint64_t n_lost; /* actions dropped for want of memory */
};

void out_init(struct exec_out *o, struct mem *mem);
void out_done(struct exec_out *o);
bool out_poll(struct exec_out *o, struct exec_action *ret);
/* A handle noted as broken, 0 if none; takes it off. */
uint32_t out_take_broken(struct exec_out *o);

void out_dgram(struct exec_out *o, const struct node_id *to, uint8_t type, uint32_t req_id,
               struct slice body);
void out_stream_open(struct exec_out *o, uint32_t handle, const struct node_id *to,
                     uint8_t protocol);
void out_stream_send(struct exec_out *o, uint32_t handle, uint8_t type, enum exec_class class,
                     struct slice body);
void out_stream_close(struct exec_out *o, uint32_t handle, enum ipx_err err);
/* Fault: IPX_NO_MEMORY, nothing queued. */
IPX_MUST_USE enum ipx_err out_spawn(struct exec_out *o, const struct exec_action_spawn *spawn);
IPX_MUST_USE enum ipx_err out_stdin(struct exec_out *o, uint64_t attempt, struct slice bytes);
IPX_MUST_USE enum ipx_err out_store(struct exec_out *o, uint64_t object, struct slice bytes);
void out_stdin_eof(struct exec_out *o, uint64_t attempt);
void out_kill(struct exec_out *o, uint64_t attempt, uint8_t signal);
void out_read_more(struct exec_out *o, uint64_t attempt, uint8_t fd);
void out_load(struct exec_out *o, uint64_t object, uint64_t offset, uint32_t len);
void out_drop(struct exec_out *o, uint64_t object);
void out_sources_changed(struct exec_out *o);
void out_job_changed(struct exec_out *o, const struct exec_action_job *job);
