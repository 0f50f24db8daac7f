/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of machines: pauses, clocks, crashes, disks, clones. */
#include "tests/sim/fault_parts.h"

#define SKEW_PPM_MAX 200
#define DAY_MS (INT64_C(86400) * 1000)

/* --- pauses and clocks --- */

static void heal_pause(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        world_resume(&f->w->nodes[e->node]);
    }
}

void fault_pause(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    world_pause(n, false);
    fault_heal_later(f, r, &(struct fault_span){100 * US_PER_MS, 10 * US_PER_S}, n->index,
                     heal_pause);
}

void fault_vm_pause(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    world_pause(n, true);
    fault_heal_later(f, r, &(struct fault_span){US_PER_S, 40 * US_PER_S}, n->index, heal_pause);
}

void fault_skew(struct faults *f, struct rng *r)
{
    for (unsigned i = 0; i < f->w->n_slots; i++) {
        world_skew(&f->w->nodes[i], (int32_t)rng_below(r, 2 * SKEW_PPM_MAX + 1) - SKEW_PPM_MAX);
    }
}

static void set_wall(struct world_node *n, int64_t shift_ms)
{
    n->machine.wall_shift_ms = shift_ms;
    if (n->node != NULL && !n->machine.is_paused) {
        node_on_clock(n->node, world_local_us(n), world_wall_ms(n));
        world_drain(n->w, n);
    }
}

static void heal_wall(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        set_wall(&f->w->nodes[e->node], 0);
    }
}

void fault_wall(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL) {
        int64_t days = rng_chance(r, 750) ? 1 : 400; /* rarely: all that was ever signed is over */
        set_wall(n, (rng_chance(r, 500) ? days : -days) * DAY_MS);
        fault_heal_later(f, r, &(struct fault_span){US_PER_S, 20 * US_PER_S}, n->index, heal_wall);
    }
}

/* --- crashes and disks --- */

bool fault_is_joined(const struct world_node *n)
{
    return n->index == 0 || n->disk.len[NODE_SAVE_CHAIN] > 0;
}

static void start(struct world *w, struct world_node *n)
{
    if (n->node != NULL) {
        return;
    }
    if (fault_is_joined(n) || n->ticket_len > 0) {
        world_start(w, n->index);
    } else {
        world_join(w, n->index);
    }
}

static void heal_start(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        start(f->w, &f->w->nodes[e->node]);
    }
}

void fault_crash(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL) {
        world_crash(f->w, n->index);
        fault_heal_later(f, r, &(struct fault_span){200 * US_PER_MS, 8 * US_PER_S}, n->index,
                         heal_start);
    }
}

void fault_lost_disk(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL && !(f->has_clone && f->clone_of == n->index)) {
        world_crash(f->w, n->index);
        world_wipe(f->w, n->index);
        disk_wipe(f->w, &fault_of(f, n)->old);
        disk_wipe(f->w, &fault_of(f, n)->true_disk);
        fault_of(f, n)->fsync_lies = false;
        fault_restart_later(f, r, n->index);
    }
}

void fault_restart_later(struct faults *f, struct rng *r, unsigned node)
{
    fault_heal_later(f, r, &(struct fault_span){US_PER_S, 5 * US_PER_S}, node, heal_start);
}

static void heal_old_disk(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    struct world_node *n = &((struct world *)user)->nodes[e->node];
    if (f == NULL || fault_of(f, n)->old.len[NODE_SAVE_CHAIN] == 0) {
        return;
    }
    world_crash(f->w, n->index);
    disk_copy(f->w, &fault_of(f, n)->old, &n->disk);
    n->n_old_disks++;
    start(f->w, n);
}

void fault_old_disk(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL && fault_is_joined(n)) {
        disk_copy(f->w, &n->disk, &fault_of(f, n)->old);
        fault_heal_later(f, r, &(struct fault_span){2 * US_PER_S, 10 * US_PER_S}, n->index,
                         heal_old_disk);
    }
}

static void heal_save(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        f->nodes[e->node].saves_fail = false;
    }
}

void fault_save(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL) {
        fault_of(f, n)->saves_fail = true;
        n->n_old_disks++; /* what the next run finds may be older than what this one said */
        fault_heal_later(f, r, &(struct fault_span){US_PER_S, 10 * US_PER_S}, n->index, heal_save);
    }
}

bool faults_save_fails(struct world_node *n)
{
    struct faults *f = n->w->faults_on;
    return f != NULL && f->nodes[n->index].saves_fail;
}

/* The machine loses power: what it was told to be on the disk since the lie began is not. */
static void heal_fsync(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    struct world_node *n = &((struct world *)user)->nodes[e->node];
    if (f == NULL || !fault_of(f, n)->fsync_lies) {
        return;
    }
    fault_of(f, n)->fsync_lies = false;
    world_crash(f->w, n->index);
    if (fault_of(f, n)->true_disk.len[NODE_SAVE_CHAIN] > 0) {
        disk_copy(f->w, &fault_of(f, n)->true_disk, &n->disk);
    }
    n->n_old_disks++;
    start(f->w, n);
}

void fault_fsync(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n != NULL && fault_is_joined(n)) {
        fault_of(f, n)->fsync_lies = true;
        disk_copy(f->w, &n->disk, &fault_of(f, n)->true_disk);
        fault_heal_later(f, r, &(struct fault_span){500 * US_PER_MS, 5 * US_PER_S}, n->index,
                         heal_fsync);
    }
}

/* --- clones --- */

void fault_clone(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_victim(f, r);
    if (n == NULL || f->has_clone || f->w->n_slots == f->w->n_nodes || n->node == NULL ||
        !fault_is_joined(n) ||
        n->disk.len[NODE_SAVE_CONTACTS] == 0) { /* a copy that knows nobody */
        return;
    }
    struct world_node *c = &f->w->nodes[f->w->n_nodes];
    c->key = n->key;
    c->site = n->site;
    memcpy(c->name, n->name, sizeof(c->name));
    disk_copy(f->w, &n->disk, &c->disk);
    f->has_clone = n->has_twin = c->has_twin = true;
    f->clone_of = n->index;
    world_start(f->w, c->index);
}

bool faults_is_clone_settled(struct world *w, void *faults)
{
    const struct faults *f = faults;
    const struct world_node *a = &w->nodes[w->n_nodes], *b = &w->nodes[f->clone_of];
    return !f->has_clone || (a->is_stopped && a->stop_code == 1) ||
           (b->is_stopped && b->stop_code == 1);
}

void faults_drop_clone(struct faults *f)
{
    if (f->has_clone) {
        world_crash(f->w, f->w->n_nodes);
        f->w->nodes[f->w->n_nodes].is_stopped = false;
        f->has_clone = f->w->nodes[f->clone_of].has_twin = false;
        start(f->w, &f->w->nodes[f->clone_of]);
    }
}

void fault_node_end(struct faults *f)
{
    struct world *w = f->w;
    for (unsigned i = 0; i < w->n_slots; i++) {
        struct world_node *n = &w->nodes[i];
        f->nodes[i].saves_fail = f->nodes[i].fsync_lies = false;
        world_resume(n);
        world_skew(n, 0);
        set_wall(n, 0);
        if (n->node != NULL && n->node->join.is_failed) {
            world_crash(w, i); /* its user tries again with the same ticket */
        }
        if (i < w->n_nodes && !(n->is_stopped && n->has_twin)) {
            start(w, n);
        }
    }
}
