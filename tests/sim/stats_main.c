/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats [--json] [--only TABLE] [--quick]: measures the figures of the design on virtual
 * time and prints them beside their goals. Ends with 1 if one left its bound.
 */
#include <stdio.h>
#include <string.h>

#include "base/crypt.h"
#include "tests/sim/stats.h"

static const struct {
    const char *table;
    void (*run)(struct stats *s);
} parts[] = {
    {"dht", stats_dht_size},   {"gossip", stats_gossip_failures}, {"gossip", stats_gossip_news},
    {"dht", stats_dht_lookup}, {"dht", stats_dht_churn},          {"dht", stats_dht_idle},
};

static int usage(const char *word)
{
    fprintf(stderr, "stats: unknown word %s\nusage: stats [--json] [--only dht|gossip] [--quick]\n",
            word);
    return 2;
}

int main(int argc, char **argv)
{
    static struct stats stats;
    const char *only = NULL;
    bool is_json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            is_json = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            stats.is_quick = true;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            return usage(argv[i]);
        }
    }
    if (crypt_init() != IPX_OK) {
        fprintf(stderr, "stats: libsodium does not start\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (only == NULL || strcmp(only, parts[i].table) == 0) {
            parts[i].run(&stats);
        }
    }
    if (stats.n == 0) {
        return usage(only != NULL ? only : "(nothing to measure)");
    }
    return (is_json ? stats_print_json(&stats) : stats_print(&stats)) == 0 ? 0 : 1;
}
