/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The shell around one node: a libuv loop that turns the outside world into the
 * node's inputs and its actions into system calls. One thread, no polling: it
 * sleeps until a packet, a byte, a child or the node's own deadline comes.
 *
 * Every callback does three things: copy in, call the node, shell_drain(). libuv
 * handles are embedded and their memory is freed in the close callback only.
 */
#include <uv.h>

#include "base/list.h"
#include "node/node.h"

#define SHELL_UDP_MAX 8          /* sockets: one a listen address */
#define SHELL_DATAGRAM_MAX 65536 /* receive buffer: any UDP datagram fits whole */
#define SHELL_CLOCK_EVERY_US (60 * US_PER_S)
#define SHELL_GAP_US (5 * US_PER_S) /* a longer pause of the loop: tell the node the clock anew */
#define SHELL_BACKLOG 128

struct shell;
struct shell_coats; /* uv_coat.c */
struct shell_conn;

struct shell_socket { /* one listen address: a UDP socket and a TCP listener on the same port */
    uv_udp_t udp;
    uv_tcp_t tcp;
    struct addr addr; /* as bound */
    struct shell *shell;
};

/* Processes and storage of the exec core; made by uv_exec.c. `act` performs one exec action. */
struct shell_exec;

struct shell_hooks {            /* set after shell_init; each may be NULL */
    void (*ready)(void *user);  /* the node has started and its sockets are live */
    void (*minute)(void *user); /* about each minute, when the clock is told */
    void *user;
};

struct shell {
    uv_loop_t loop;
    struct shell_hooks hooks;
    uv_timer_t timer;
    uint64_t armed_us;     /* deadline the timer is set to; NEVER_US if off */
    uint64_t last_turn_us; /* to see that the process was stopped or the machine slept */
    uint64_t next_clock_us;
    struct node *node;
    struct mem *mem;
    struct shell_socket sockets[SHELL_UDP_MAX];
    size_t n_sockets;
    uv_pipe_t local; /* the control socket */
    bool has_local;
    struct list conns;         /* struct shell_conn */
    struct list ending;        /* closed by the node, what was written goes out */
    struct shell_coats *coats; /* NULL: none yet */
    uint32_t next_accepted;
    struct shell_exec *exec;
    uv_signal_t on_term, on_int;
    bool is_draining, is_stopping;
    int exit_code;
    char stop_text[128]; /* why the node stopped, "" if it was asked to */
    const char *home;    /* where node_save files go; borrowed */
    uint64_t n_udp_dropped;
    uint8_t datagram[SHELL_DATAGRAM_MAX];
    uint8_t chunk[65536]; /* bytes read from a connection, handed on at once */
};

uint64_t shell_now_us(const struct shell *s); /* CLOCK_BOOTTIME */
int64_t shell_wall_ms(void);

IPX_MUST_USE enum ipx_err shell_init(struct shell *s, struct mem *mem, const char *home);
/* Binds UDP and TCP on `want` (port 0 = any free one; `may_move` = the next free port if taken).
 * Conditions: IPX_EXISTS (port taken), IPX_UNREACHABLE (no such address here). */
IPX_MUST_USE enum ipx_err shell_listen(struct shell *s, const struct addr *want, bool may_move);
/* Listens at `want` for links that wear a coat; its certificate is the home's, made now if there is
 * none. `ret` is the address as bound. Conditions: IPX_EXISTS, IPX_UNREACHABLE, IPX_MALFORMED (the
 * home's coat.tls). */
IPX_MUST_USE enum ipx_err shell_listen_coat(struct shell *s, const struct addr *want,
                                            struct addr *ret);
/* The control socket at `path` (at most 107 bytes; the caller holds the home's lock). */
IPX_MUST_USE enum ipx_err shell_listen_local(struct shell *s, const char *path);
/* The sockets become live and the loop runs until the node says stop; returns its exit code. */
int shell_run(struct shell *s, struct node *node);
void shell_done(struct shell *s);

/* For the parts of the shell: performs all pending actions and arms the timer. */
void shell_drain(struct shell *s);

/* uv_conn.c */
void shell_conn_accept(uv_stream_t *listener, int status);
void shell_conn_dial(struct shell *s, uint32_t id, const struct addr *to, bool is_coat);
void shell_conn_write(struct shell *s, uint32_t id, struct slice bytes);
void shell_conn_close(struct shell *s, uint32_t id);
void shell_conn_close_all(struct shell *s);
void shell_coats_free(struct shell *s); /* after the loop: uv_coat.c */
void addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret);
void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret);

/* uv_exec.c: the spawner and the store. */
struct spawner;
/* Takes over the spawner (os_spawner.h). */
IPX_MUST_USE enum ipx_err shell_exec_new(struct shell *s, const struct spawner *spawner,
                                         struct shell_exec **ret);
/* Ends all attempts and the spawner; before shell_done(), which closes the handles. */
void shell_exec_stop(struct shell_exec *x);
void shell_exec_act(struct shell_exec *x, const struct exec_action *action);
void shell_exec_free(struct shell_exec *x); /* after shell_done() */
bool shell_is_below_spawner(const struct shell_exec *x, uint32_t pid);
