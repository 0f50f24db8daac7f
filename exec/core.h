/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What owner, place and sources share inside one exec object: memory, randomness,
 * time, the known peers, the queue of actions and the numbers that name things.
 * Private to exec/. Owner and place never call one another.
 */
#include "exec/exec.h"
#include "exec/match.h"
#include "exec/out.h"

/* Objects of the place have this bit, the owner's have not: answers find their way by it. */
#define CORE_OBJECT_PLACE (UINT64_C(1) << 63)

enum core_stream_kind { CORE_STREAM_NONE, CORE_STREAM_OWNER, CORE_STREAM_SOURCE };

/* A stream that this object opened. handle % EXEC_STREAMS_MAX is its slot; the rest a generation,
 * so that a late answer for an old stream finds nothing. */
struct core_stream {
    uint32_t handle; /* 0: free */
    enum core_stream_kind kind;
    void *user;
};

struct sources;

struct exec_core {
    struct exec_scratch *scratch, *own_scratch;
    struct mem *mem;
    struct trace *trace;
    const struct crypt_keypair *key;
    struct mesh_id mesh;
    struct cert_facts self;
    uint32_t n_slots;
    struct rng rng;
    int64_t wall_minus_now_ms; /* Unix ms = now_us / 1000 + this; 0 until exec_on_clock */
    struct match match;        /* the known peers */
    struct exec_out out;
    struct core_stream streams[EXEC_STREAMS_MAX];
    uint32_t stream_next; /* generation and slot to try next */
    uint32_t n_streams;
    uint64_t next_object;
    uint64_t next_attempt;
    uint32_t next_req_id;
    uint64_t n_malformed;
    struct sources *sources; /* for the stdin of tasks; NULL: none can be had */
};

int64_t core_wall_ms(const struct exec_core *c, uint64_t now_us);
/* A handle for STREAM_OPEN. Conditions: IPX_FULL. */
IPX_MUST_USE enum ipx_err core_stream_take(struct exec_core *c, enum core_stream_kind kind,
                                           void *user, uint32_t *ret_handle);
/* NULL if there is no such stream of ours. */
struct core_stream *core_stream_find(struct exec_core *c, uint32_t handle);
void core_stream_free(struct exec_core *c, uint32_t handle);

struct exec {
    struct exec_core core;
    struct owner *owner;
    struct place *place;
    struct sources *sources;
};
