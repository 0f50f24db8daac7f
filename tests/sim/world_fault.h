/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What goes wrong in the simulated world: a table of fault classes, each with a name, a bit, its
 * own random stream (from the seed and its name: another class shifts nobody's numbers) and a
 * function that begins it. Steady classes hold from begin to end; the others
 * strike again and again, about `mean_us` apart.
 *
 * Invariant: after faults_end() the world is as it was, but for what happened: nodes that were
 * down are started, machines turn, clocks are right, the network is whole. Node 0 holds the
 * tickets and node 1 the job: they are never crashed, replaced or cloned.
 *
 * The rest of the world asks faults_* at the few places where something can go wrong; each answers
 * "no" if no faults are on.
 */
#include "tests/sim/world.h"

enum fault {
    FAULT_LOSS,
    FAULT_BURST,
    FAULT_DUP,
    FAULT_REORDER,
    FAULT_CORRUPT,
    FAULT_RATE,
    FAULT_MTU,
    FAULT_SPIKE,
    FAULT_HALVES,
    FAULT_ISOLATE,
    FAULT_ONE_WAY,
    FAULT_SITES,
    FAULT_PAUSE,
    FAULT_VM_PAUSE,
    FAULT_SKEW,
    FAULT_WALL,
    FAULT_CRASH,
    FAULT_LOST_DISK,
    FAULT_OLD_DISK,
    FAULT_CLONE,
    FAULT_SAVE,
    FAULT_FSYNC,
    FAULT_TCP_BYTES,
    FAULT_TCP_STALL,
    FAULT_TCP_RESET,
    FAULT_TCP_RATE,
    FAULT_UDP,
    FAULT_REVOKE,
    FAULT_N
};
#define FAULT_BIT(f) (UINT32_C(1) << (f))
#define FAULT_ALL (FAULT_BIT(FAULT_N) - 1)

struct fault_node {              /* what is wrong with one node; zero: nothing */
    bool is_in_burst;            /* Gilbert-Elliott: the bad state */
    uint64_t uplink_free_us;     /* what was sent before has left then */
    unsigned delay_factor;       /* 0: 1 */
    bool saves_fail, fsync_lies; /* of the disk */
    struct world_disk old;       /* a copy of the disk at an earlier time */
    struct world_disk true_disk; /* what is really on it, while fsync lies */
    uint64_t stalled_until_us;   /* its connections */
};

struct faults {
    struct world *w;
    uint32_t on; /* bits that are active now */
    bool is_over;
    struct rng rng[FAULT_N];
    struct fault_node *nodes; /* n_slots */
    uint64_t n_struck[FAULT_N];
    unsigned clone_of; /* whom the node in the first spare place copies, if has_clone */
    bool has_clone;
    bool has_thief; /* in the second spare place: it has the key and the disk of one that .. */
    struct node_id thief; /* .. was revoked, and replaced, at once */
};

struct fault_class {
    const char *name, *what;
    uint64_t mean_us;                               /* between strikes; 0: steady */
    void (*begin)(struct faults *f, struct rng *r); /* or one strike; NULL: asked at the place */
};
extern const struct fault_class fault_classes[];

/* "all", "none", or names with commas. False: unknown name. */
bool faults_parse(const char *text, uint32_t *ret_bits);
void faults_print(uint32_t bits, char *text, size_t size);

/* From now on. `w` needs a spare place for FAULT_CLONE and one more for FAULT_REVOKE, else nobody
 * is cloned or revoked. */
void faults_begin(struct faults *f, struct world *w, uint32_t bits);
void faults_end(struct faults *f);
void faults_done(struct faults *f);

/* fault_net.c: a datagram's way. Its copies, none if it is lost; and how much later than usual. */
struct fault_fate {
    unsigned n_copies;
    uint64_t late_us[2];
    bool is_corrupt[2];
};
void faults_datagram(struct world_node *from, size_t len, struct fault_fate *ret);
void faults_corrupt(struct world *w, uint8_t *bytes, size_t len);
/* The delay between two nodes, where it is `usual_us` without faults. */
uint64_t faults_delay(struct world_node *from, struct world_node *to, uint64_t usual_us);
/* Of a connection: bytes in the next piece; when it arrives that would arrive at `at_us`. */
size_t faults_piece(struct world *w, size_t len);
uint64_t faults_piece_at(struct world *w, const struct world_pipe *p, size_t len, uint64_t at_us);

/* fault_node.c */
bool faults_save_fails(struct world_node *n);
/* The clone and its original know of each other: one of them has stopped with code 1; or there is
 * none. For world_run_until, after faults_end. Then faults_drop_clone makes the original run. */
bool faults_is_clone_settled(struct world *w, void *faults);
void faults_drop_clone(struct faults *f);

/* world_disk.c */
void disk_save(struct world *w, struct world_disk *d, enum node_save what, struct slice bytes);
void disk_wipe(struct world *w, struct world_disk *d);
void disk_copy(struct world *w, const struct world_disk *from, struct world_disk *to);
