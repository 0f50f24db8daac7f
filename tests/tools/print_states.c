/* SPDX-License-Identifier: Apache-2.0 */
/* Prints every table of states as Markdown, for docs/states.md (tools/docs). */
#include <stdio.h>

#include "base/sm.h"
#include "dht/join.h"
#include "dht/lookup.h"
#include "dht/publish.h"
#include "dht/put.h"
#include "dht/search.h"
#include "dht/table.h"
#include "exec/owner_core.h"
#include "exec/owner_states.h"
#include "exec/place_states.h"
#include "gossip/member.h"
#include "gossip/probe.h"
#include "node/link.h"
#include "node/mux_core.h"
#include "node/tls.h"
#include "node/tunnel.h"

static const struct sm_table *const tables[] = {
    &dht_entry_table,     &dht_lookup_candidate_table,
    &dht_search_table,    &dht_join_table,
    &dht_publish_table,   &dht_put_table,
    &gossip_member_table, &gossip_probe_table,
    &exec_job_table,      &exec_task_table,
    &exec_seat_table,     &exec_claim_table,
    &link_state_table,    &mux_stream_table,
    &tls_state_table,     &mux_stream_table,
    &node_tunnel_table,
};

static void print_state(const struct sm_table *t, uint32_t from)
{
    printf("| %s |", t->states[from].name);
    for (uint32_t to = 0; to < t->n_states; to++) {
        if (sm_may(t, from, to)) {
            printf(" %s", t->states[to].name);
        }
    }
    printf("%s |\n", t->states[from].is_final ? " (an end)" : "");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        printf("## %s\n\n| state | may move to |\n|---|---|\n", tables[i]->name);
        for (uint32_t s = 0; s < tables[i]->n_states; s++) {
            print_state(tables[i], s);
        }
        printf("\n");
    }
    return 0;
}
