/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The spawner: a tiny process, forked when the node starts, that starts, watches and ends all
 * attempts, so that the reactor never forks (docs/decisions/0004-spawner.md).
 *
 * It is reached by one SOCK_SEQPACKET socket. Requests carry the child's ends of its pipes; replies
 * are batches of `struct spawner_event`. Each attempt is a session and process group of its own in
 * a scratch directory of its own, as root also a uid of its own. The spawner is a child subreaper:
 * what an attempt leaves behind comes to it and is killed when the attempt has ended, known by its
 * uid (root) or by IPX_TOKEN in its environment; what hides both is killed at once.
 *
 * When the node's end of the socket closes, everything below the spawner is killed, scratch is
 * removed and it exits. When the spawner dies, direct children die with it (PDEATHSIG) and the
 * rest comes to the node (a subreaper too): spawner_reap_orphans(). Not covered: node and spawner
 * killed in the same instant, and then only what left its session by a double fork.
 */
#include <sys/types.h>

#include "base/base.h"

#define SPAWNER_ATTEMPTS_MAX 1024 /* at once; uids are given from a range of this size */
#define SPAWNER_UID_FIRST 62000
#define SPAWNER_INLINE_MAX 60000 /* argv and env in the request itself; longer ones by a memfd */
#define SPAWNER_BATCH 64         /* events of one reply */
#define SPAWNER_TOKEN_LEN 32     /* characters of IPX_TOKEN */
#define SPAWNER_TEXT_MAX (512 * 1024)

enum spawner_request_kind { SPAWNER_SPAWN = 1, SPAWNER_KILL = 2 };

/* One packet: this head, then argv_len + env_len bytes of words with NUL each (or a memfd as the
 * last descriptor). Descriptors: stdin if has_stdin, stdout, stderr. Same machine, same program:
 * no byte order, no versions. */
struct spawner_request {
    uint8_t kind, signal;
    bool has_stdin, has_memfd;
    uint32_t n_argv, argv_len, n_env, env_len;
    uint64_t attempt;
    uint64_t mem_max; /* bytes of address space, 0 = no limit */
    char token[SPAWNER_TOKEN_LEN + 1];
};

struct spawner_event {
    uint64_t attempt;
    bool is_exit; /* else: started, or not */
    int32_t err;  /* of a start: 0 or errno */
    uint8_t code, signal;
    uint64_t cpu_us;
};

struct spawner {
    int fd; /* non-blocking; -1: none */
    pid_t pid;
};

/* Forks it. `scratch_home`: the node's home; scratch lies below it, as root in /var/tmp. Makes the
 * calling process a subreaper. Fault: IPX_IO. */
IPX_MUST_USE enum ipx_err spawner_start(const char *scratch_home, struct spawner *ret);
/* The child's life (os_spawner_main.c): serves `fd` until it closes; does not return. */
__attribute__((noreturn)) void spawner_main(int fd, const char *scratch_home);
/* Closes the socket and waits until the spawner has ended everything (bounded: 5 s). */
void spawner_stop(struct spawner *s);
/* After the spawner died: kills all children of this process, and theirs, until none is left. */
void spawner_reap_orphans(void);
/* True if `pid` is below `ancestor`. */
bool process_is_below(pid_t pid, pid_t ancestor);
/* The soft limit of descriptors is raised to the hard one. */
void os_raise_fd_limit(void);
