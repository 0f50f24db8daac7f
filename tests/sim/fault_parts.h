/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the fault classes share; world_fault.h is their face. */
#include "tests/sim/world_fault.h"

/* One of the nodes that may be crashed: from 2 on. NULL: there is none. */
struct world_node *fault_victim(struct faults *f, struct rng *r);
struct world_node *fault_any(struct faults *f, struct rng *r); /* 0 and 1 too */
struct fault_node *fault_of(struct faults *f, const struct world_node *n);
/* `heal` for this node in `low_us` to `high_us`; it is not called after faults_end. */
struct fault_span {
    uint64_t low_us, high_us;
};
void fault_heal_later(struct faults *f, struct rng *r, const struct fault_span *span, unsigned node,
                      void (*heal)(void *world, struct event *e));
struct faults *fault_healing(void *world); /* in a heal: NULL if the faults are over */

/* fault_net.c */
void fault_spike(struct faults *f, struct rng *r);
void fault_halves(struct faults *f, struct rng *r);
void fault_isolate(struct faults *f, struct rng *r);
void fault_one_way(struct faults *f, struct rng *r);
void fault_udp(struct faults *f, struct rng *r);
void fault_tcp_stall(struct faults *f, struct rng *r);
void fault_tcp_reset(struct faults *f, struct rng *r);
void fault_net_end(struct faults *f);

/* fault_node.c */
void fault_pause(struct faults *f, struct rng *r);
void fault_vm_pause(struct faults *f, struct rng *r);
void fault_skew(struct faults *f, struct rng *r);
void fault_wall(struct faults *f, struct rng *r);
void fault_crash(struct faults *f, struct rng *r);
void fault_lost_disk(struct faults *f, struct rng *r);
void fault_old_disk(struct faults *f, struct rng *r);
void fault_clone(struct faults *f, struct rng *r);
void fault_save(struct faults *f, struct rng *r);
void fault_fsync(struct faults *f, struct rng *r);

/* fault_revoke.c */
void fault_revoke(struct faults *f, struct rng *r);
void fault_revoke_end(struct faults *f);

/* fault_node.c */
void fault_restart_later(struct faults *f, struct rng *r, unsigned node);
bool fault_is_joined(const struct world_node *n);
void fault_node_end(struct faults *f);
