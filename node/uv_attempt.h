/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Attempts of the shell: the node's ends of their pipes, read and written as exec has room.
 * Private to uv_exec.c (requests to the spawner, the store) and uv_attempt.c (pipes).
 *
 * Invariant: an attempt is in `slots` and `by_id` until its end was told to exec; its memory goes
 * when the last of its handles is closed. exec hears: started, output.., end of both outputs, exit.
 */
#include "base/buf.h"
#include "base/map.h"
#include "node/os_spawner.h"
#include "node/os_store.h"
#include "node/uv_shell.h"

#define ATTEMPT_READ_MAX 65536
#define ATTEMPT_WAITING_MAX 4096 /* requests that the spawner's socket did not take at once */

struct pipe_end { /* one descriptor of an attempt */
    uv_poll_t poll;
    int fd;         /* -1: closed */
    bool is_open;   /* the poll handle lives */
    bool is_paused; /* exec has not asked for more */
    uint8_t number; /* 0, 1, 2 */
    struct attempt *attempt;
};

struct attempt {
    uint64_t id;
    struct list list;
    struct shell_exec *x;
    struct pipe_end ends[3];
    struct buf input; /* stdin not yet written; bounded by exec's window */
    bool wants_eof, is_started, has_exited, is_told;
    uint8_t code, signal;
    uint64_t cpu_us;
    int n_handles; /* poll handles that are not closed yet */
};

struct shell_exec {
    struct shell *shell;
    struct spawner spawner;
    uv_poll_t poll;
    bool is_lost; /* it died; a new one is started when its handle is closed */
    struct list attempts;
    uint32_t n_attempts;
    struct map by_id; /* attempt -> slot */
    struct attempt *slots[SPAWNER_ATTEMPTS_MAX];
    struct list waiting; /* requests for the spawner */
    uint32_t n_waiting;
    struct store store;
    uint8_t chunk[ATTEMPT_READ_MAX];
};

static inline struct exec *attempt_core(struct shell_exec *x)
{
    return node_exec(x->shell->node, shell_now_us(x->shell));
}

struct attempt *attempt_find(struct shell_exec *x, uint64_t id);
/* NULL: too many, or no memory. */
struct attempt *attempt_new(struct shell_exec *x, uint64_t id);
void attempt_open_end(struct shell_exec *x, struct pipe_end *e, int fd); /* takes the fd */
void attempt_close_ends(struct attempt *a);
/* Out of the tables; freed when its handles are closed. */
void attempt_forget(struct attempt *a);
void attempt_on_started(struct attempt *a);
/* What is still in the pipes is read as exec has room for it; then the exit is told. */
void attempt_on_exit(struct attempt *a, uint8_t code, uint8_t signal, uint64_t cpu_us);
void attempt_read_more(struct attempt *a, uint8_t number);
void attempt_stdin(struct attempt *a, struct slice bytes, bool is_eof);
