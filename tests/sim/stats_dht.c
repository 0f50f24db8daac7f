/* SPDX-License-Identifier: Apache-2.0 */
/* The DHT's rows of the statistics mode. */
#include <stdio.h>
#include <stdlib.h>

#include "dht/dht.h"
#include "tests/sim/stats.h"

/* What one node's DHT weighs before it knows anybody, table and all. */
void stats_dht_size(struct stats *s)
{
    struct mem mem;
    struct crypt_keypair key = {.pk = {{1}}};
    struct dht_config config = {.key = &key, .mem = &mem};
    static struct dht d;
    mem_init(&mem, SIZE_MAX);
    if (dht_init(&d, 0, &config) != IPX_OK) {
        fprintf(stderr, "stats: no memory\n");
        abort();
    }
    stats_add(s, &(struct stats_row){.table = "dht",
                                     .what = "object and table of a node",
                                     .goal_text = "node object <= 48 KiB",
                                     .unit = "KiB",
                                     .goal = {0, STATS_MILLI(48)},
                                     .value = (int64_t)((mem.used + sizeof(d)) * 1000 / 1024)});
    dht_done(&d);
}
