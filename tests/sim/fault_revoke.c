/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody steals a node's key and disk and runs it; its lab revokes it and puts a new machine in
 * its place. The thief goes on to the end of the run: nobody may have it again. */
#include "tests/sim/fault_parts.h"

static struct world_node *thief_of(struct faults *f)
{
    return &f->w->nodes[f->w->n_nodes + 1];
}

/* By its key or by its birth, by the root or by its issuer. */
static struct slice make(struct world *w, const struct cert_facts *whom, struct rng *r,
                         uint8_t bytes[static REVOKE_MAX])
{
    bool is_by_root = rng_chance(r, 500);
    struct revoke what = {.what = rng_chance(r, 500) ? REVOKE_KEY : REVOKE_SERIALS,
                          .key = whom->id,
                          .serial_min = whom->birth_serial,
                          .serial_max = whom->birth_serial,
                          .at_ms = w->wall_base_ms + (int64_t)(w->now_us / US_PER_MS),
                          .reason = REVOKE_STOLEN};
    struct writer out = writer_of(bytes, REVOKE_MAX);
    memcpy(what.issuer_tag, whom->birth_issuer.bytes, sizeof(what.issuer_tag));
    revoke_sign(&what, is_by_root ? &w->root : &w->issuer,
                is_by_root ? SLICE_EMPTY : slice_of(w->made.signer.bytes, w->made.signer.len),
                &w->made.mesh, &out);
    return writer_slice(&out);
}

/* Who has no plain certificate yet goes with the one that admitted it: rightly, but nobody here
 * expects it to be out. */
static bool all_are_plain(const struct world *w)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        const struct node *n = w->nodes[i].node;
        if (n != NULL && (!n->has_cores || !n->self.is_plain)) {
            return false;
        }
    }
    return true;
}

static bool may_be_robbed(const struct faults *f, const struct world_node *n)
{
    const struct world *w = f->w;
    return n != NULL && w->n_slots > w->n_nodes + 1 && !f->has_thief && n->node != NULL &&
           n->node->has_cores && fault_is_joined(n) && n->disk.len[NODE_SAVE_CONTACTS] > 0 &&
           n->adversary == 0 && !(f->has_clone && f->clone_of == n->index) &&
           w->nodes[0].node->has_cores && all_are_plain(w);
}

void fault_revoke(struct faults *f, struct rng *r)
{
    uint8_t bytes[REVOKE_MAX];
    struct world *w = f->w;
    struct world_node *n = fault_victim(f, r);
    if (!may_be_robbed(f, n)) {
        return;
    }
    struct world_node *thief = thief_of(f), *first = &w->nodes[0];
    struct slice revocation = make(w, &n->node->self, r, bytes);
    thief->key = n->key;
    thief->site = n->site;
    thief->is_outlaw = true;
    memcpy(thief->name, n->name, sizeof(thief->name));
    disk_copy(w, &n->disk, &thief->disk);
    disk_copy(w, &n->disk, &fault_of(f, thief)->old);
    f->has_thief = true;
    f->thief = n->key.pk;
    world_crash(w, n->index);
    world_wipe(w, n->index);
    disk_wipe(w, &fault_of(f, n)->old);
    disk_wipe(w, &fault_of(f, n)->true_disk);
    fault_of(f, n)->fsync_lies = false;
    world_start(w, thief->index);
    enum ipx_err err = node_revoke(first->node, world_local_us(first), revocation);
    if (err != IPX_OK) {
        world_fail(w, "n0 does not take a revocation: %s", err_name(err));
    }
    world_drain(w, first);
    fault_restart_later(f, r, n->index);
}

/* One that heard of it has stopped: its owner is a thief and starts it from what was stolen. */
void fault_revoke_end(struct faults *f)
{
    struct world_node *thief = f->has_thief ? thief_of(f) : NULL;
    if (thief != NULL && (thief->node == NULL || thief->is_stopped)) {
        world_crash(f->w, thief->index);
        disk_copy(f->w, &fault_of(f, thief)->old, &thief->disk);
        thief->n_old_disks++;
        world_start(f->w, thief->index);
    }
}
