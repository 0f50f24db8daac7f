/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The simulated world: N whole nodes on one virtual clock, with a seeded network, disk and process
 * table. The node object is the one that runs on libuv; nothing of it is a model.
 *
 * Invariant: events happen in the order (time, sequence number), so a seed is a whole run. One
 * random stream a purpose. Addresses are 10.x.y.z:7433 by node index.
 *
 * Use: world_init, world_make_mesh, then commands and world_run(until); world_check after it.
 */
#include "node/core.h"
#include "tests/sim/heap.h"

#define WORLD_NODES_MAX 16384 /* of which 2,048 in a zone */
#define WORLD_CLIENT_JOBS_MAX 64

struct world_options {
    uint64_t seed;
    unsigned n_nodes;
    unsigned loss_permille, dup_permille; /* of datagrams */
    uint64_t delay_us, jitter_us;         /* one way */
    bool traces;                          /* prints the trace to stdout */
    unsigned n_labs;                      /* nodes are spread over lab0, lab1, .. */
    unsigned n_spare;                     /* places beside the nodes */
};

struct world_disk { /* what a node saved; survives a crash */
    uint8_t *files[NODE_SAVE_N];
    size_t len[NODE_SAVE_N];
    uint32_t generation;
};

/* The clocks of a machine, and whether it turns. Its monotonic time is what the node is told. */
struct world_machine {
    uint64_t true_us, local_us; /* both clocks at the last change of rate */
    int32_t skew_ppm;
    int64_t wall_shift_ms;
    bool is_paused;   /* events are held back */
    bool is_frozen;   /* its clocks stand too */
    struct heap held; /* in the order in which they were due */
};

struct world_node {
    struct world *w;
    unsigned index;
    struct node *node; /* NULL: down */
    struct mem mem;    /* of this run of it */
    struct crypt_keypair key;
    struct addr addr;
    char name[CERT_NAME_MAX + 1];
    uint8_t *ticket; /* text, while it has not joined */
    size_t ticket_len;
    struct world_disk disk;
    uint64_t run; /* of this machine, so far: events of an earlier one are void */
    struct world_machine machine;
    uint64_t tick_at_us; /* a tick event is queued for then */
    struct list objects;
    uint32_t next_conn;
    unsigned side;         /* partition: nodes hear only those of their side */
    bool is_deaf, is_mute; /* cut off one way */
    bool is_udp_blocked;   /* no datagram of it or to it passes */
    unsigned site;         /* of 8; see FAULT_SITES */
    bool has_twin;         /* another node has its key */
    bool is_outlaw;        /* its key was revoked: it counts as nobody */
    unsigned n_wipes;
    uint32_t n_lost_saves; /* of this run: its disk was full */
    uint32_t n_old_disks;  /* starts from, or chances of, a disk older than what was said */
    bool is_stopped;       /* by itself: stop_code, stop_text */
    int stop_code;
    char stop_text[160];
    uint64_t n_ticks, n_datagrams; /* wake-ups */
    uint8_t adversary;             /* enum adversary; 0: honest */
    uint64_t n_altered;            /* of its words */
};

struct world_end { /* of a pipe, where its node looks for it */
    struct list link;
    struct world_pipe *pipe;
};

struct world_pipe { /* one TCP connection between two nodes, or of a client */
    struct list list, by_number;
    struct world_end ends[2];
    uint64_t number;  /* never used again */
    unsigned node[2]; /* ends; WORLD_CLIENT for the outside */
    uint32_t conn[2];
    uint64_t last_us[2]; /* delivery towards end i is in order */
    bool is_open[2];
    struct world_client *client;
};
#define WORLD_CLIENT UINT32_MAX
#define WORLD_PIPE_BUCKETS 1024 /* some 20 pipes each in a mesh of 128 in which all talk to all */

struct world_process {
    struct list list;
    unsigned node;
    uint64_t attempt;
    uint8_t code, signal;
    uint64_t run_us;
    uint8_t *out; /* what it will print, or has read */
    size_t out_len, out_at;
    bool is_absent, reads_stdin;
    bool is_over;   /* it has ended; its output may still be read */
    bool is_paused; /* until EXEC_READ_MORE */
};

struct world_object { /* of the store */
    struct list list;
    uint64_t number;
    uint8_t *bytes;
    size_t len;
};

struct world {
    struct world_options options;
    struct mem mem;
    struct node_buffers *buffers; /* of all nodes */
    struct rng net, faults, work, keys;
    struct heap heap;
    uint64_t now_us;
    int64_t wall_base_ms;
    struct keys_new made;
    struct crypt_keypair root, issuer;
    uint8_t gate[32];
    unsigned n_nodes, n_up;
    unsigned n_slots;  /* and places for more, which take part when they are started */
    unsigned n_evil;   /* adversaries among them */
    unsigned doubtful; /* did not see all the last time */
    struct world_node *nodes;
    struct list pipes, processes, clients;
    struct list pipes_by_number[WORLD_PIPE_BUCKETS], pipe_ends[WORLD_PIPE_BUCKETS];
    uint64_t trace_hash; /* of all trace records so far */
    /* Besides the hash; NULL: nobody. Must not call into the world. */
    void (*on_trace)(void *user, const struct world_node *n, const struct trace_record *r);
    void *trace_user;
    uint64_t n_events, n_pipes;
    struct faults *faults_on; /* NULL: none (world_fault.h) */
    struct oracle *oracle;    /* NULL: nobody looks (oracle.h) */
    char failure[240];        /* what does not hold, first seen; the run ends there */
};

void world_init(struct world *w, const struct world_options *o);
void world_done(struct world *w);
/* Node 0 makes the mesh; the others are given tickets and started, `gap_us` apart. */
void world_make_mesh(struct world *w, uint64_t gap_us);
void world_join(struct world *w, unsigned i);   /* a first start, with a ticket of node 0 */
void world_invite(struct world *w, unsigned i); /* node 0 makes a ticket for it */
void world_start(struct world *w, unsigned i);
void world_crash(struct world *w, unsigned i); /* at once, without a word; the disk stays */
void world_partition(struct world *w, unsigned i, unsigned side);
void world_run(struct world *w, uint64_t until_us);
/* Until `done(w, user)` or the time is over; true if done. */
bool world_run_until(struct world *w, uint64_t until_us, bool (*done)(struct world *, void *),
                     void *user);
void world_drain(struct world *w, struct world_node *n);
void world_fail(struct world *w, const char *format, ...) IPX_PRINTF(2, 3);
/* Another key, nothing on the disk, no ticket: the machine was replaced. The node is down. */
void world_wipe(struct world *w, unsigned i);

/* world_machine.c: the node's own clock; the world's time at which it will show `local_us`. */
uint64_t world_local_us(const struct world_node *n);
uint64_t world_true_us(const struct world_node *n, uint64_t local_us);
int64_t world_wall_ms(const struct world_node *n);
void world_skew(struct world_node *n, int32_t ppm);
void world_pause(struct world_node *n, bool is_frozen);
void world_resume(struct world_node *n); /* what was held back happens now, in order */
/* True if `e` is for a paused machine: it is kept, with what it owns. */
bool world_holds(struct world_node *n, const struct event *e);
bool world_is_converged(struct world *w, void *unused); /* all see exactly those who live */
bool world_is_somebody_missed(struct world *w);         /* one who lives is not seen by another */
void world_check(struct world *w); /* node_check of all; memory within bounds */

/* A local client that submits one `map` and counts what it is told (world_client.c). */
struct world_client {
    struct list list;
    struct world *w;
    struct link *link;
    struct rng rng;
    struct link_context context;
    struct mem mem;
    struct framing framing;
    uint32_t stream;
    struct world_pipe *pipe;
    uint32_t n_tasks, n_done, n_failed;
    uint64_t n_shown; /* bytes of output printed */
    uint8_t *told;    /* results told, a task */
    bool is_over, is_error;
    uint8_t exit_code;
    char error[256];
};
struct world_client *world_submit(struct world *w, unsigned node, const char *command,
                                  uint32_t n_tasks, bool is_pure);
void world_client_free(struct world_client *c);
bool world_client_is_over(struct world *w, void *client);

/* world_net.c */
void world_udp(struct world *w, struct world_node *from, const struct addr *to, struct slice s);
void world_dial(struct world *w, struct world_node *from, uint32_t conn, const struct addr *to);
void world_write(struct world *w, struct world_node *from, uint32_t conn, struct slice s);
void world_close(struct world *w, struct world_node *from, uint32_t conn);
/* world_pipe.c: `like` says its ends, which of them are open, their numbers and the client. */
struct world_pipe *world_pipe_new(struct world *w, const struct world_pipe *like);
void world_pipe_free(struct world *w, struct world_pipe *p);
/* End 1 is open from now on and has this number. */
void world_pipe_accept(struct world *w, struct world_pipe *p, uint32_t conn);
/* By an open end, which is said; NULL: none. */
struct world_pipe *world_pipe_find(struct world *w, unsigned node, uint32_t conn,
                                   unsigned *ret_end);
/* The pipe that an event is of (`boot` is its number); NULL: it is gone. */
struct world_pipe *world_pipe_of(struct world *w, const struct event *e);
void world_pipes_init(struct world *w);
void world_pipes_done(struct world *w);
void world_break_pipes(struct world *w, unsigned node);
void world_reset_pipes(struct world *w, unsigned node); /* both ends are told */
void world_pipe_send(struct world *w, struct world_pipe *p, unsigned from_end, struct slice s);
struct world_node *world_by_addr(struct world *w, const struct addr *a);

/* world_proc.c */
void world_exec(struct world *w, struct world_node *n, const struct exec_action *a);
void world_kill_processes(struct world *w, unsigned node);
void world_drop_objects(struct world *w, unsigned node);

/* world_client.c */
void world_client_bytes(struct world_client *c, struct slice s);
void world_client_lost(struct world_client *c);
