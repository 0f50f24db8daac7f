/* SPDX-License-Identifier: Apache-2.0 */
/* What a node saved: files that survive it, and copies of them. */
#include "tests/sim/world_fault.h"

void disk_save(struct world *w, struct world_disk *d, enum node_save what, struct slice bytes)
{
    mem_free(&w->mem, d->files[what]);
    d->files[what] = mem_dup(&w->mem, bytes.data, bytes.len);
    d->len[what] = bytes.len;
    if (what == NODE_SAVE_GENERATION) {
        d->generation = load_be32(bytes.data);
    }
}

void disk_wipe(struct world *w, struct world_disk *d)
{
    for (unsigned f = 0; f < NODE_SAVE_N; f++) {
        mem_free(&w->mem, d->files[f]);
    }
    memset(d, 0, sizeof(*d));
}

void disk_copy(struct world *w, const struct world_disk *from, struct world_disk *to)
{
    disk_wipe(w, to);
    to->generation = from->generation;
    for (unsigned f = 0; f < NODE_SAVE_N; f++) {
        to->files[f] = from->len[f] > 0 ? mem_dup(&w->mem, from->files[f], from->len[f]) : NULL;
        to->len[f] = from->len[f];
    }
}
