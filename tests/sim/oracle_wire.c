/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as they pass: the headers of overlay 1.3 are in the clear. */
#include "tests/sim/oracle.h"

#define TYPE_INIT 1
#define TYPE_RESP 2
#define TYPE_COOKIE 3
#define TYPE_DATA 4
#define DATA_LEN_MIN 32

static uint64_t run_key(const struct world_node *n)
{
    return (uint64_t)n->index << 32 | n->run;
}

static void budget(struct oracle *o, const struct world_node *from, size_t len)
{
    struct oracle_node *s = &o->nodes[from->index];
    uint64_t second = o->w->now_us / US_PER_S, sum = 0;
    for (; s->second < second; s->second = IPX_MAX(s->second + 1, second - IPX_MIN(second, 10u))) {
        s->bytes[(s->second + 1) % 10] = 0;
    }
    s->bytes[second % 10] += len;
    for (unsigned i = 0; i < 10; i++) {
        sum += s->bytes[i];
    }
    o->most_bytes = IPX_MAX(o->most_bytes, sum);
    if (sum > ORACLE_BYTES_10S + ORACLE_BYTES_10S_A_NODE * (uint64_t)o->w->n_nodes) {
        world_fail(o->w, "n%u sent %llu bytes within 10 s", from->index, (unsigned long long)sum);
    }
}

/* One key and one counter seal once: the index names the key, and a sender counts up. */
static void counter(struct oracle *o, const struct world_node *from, struct slice p)
{
    uint64_t number = load_be64(p.data + 8);
    uint64_t *next = tally_at(&o->sealed, tally_key(run_key(from), p.data + 4, 4));
    if (number < *next) {
        world_fail(o->w, "n%u seals twice under counter %llu", from->index,
                   (unsigned long long)number);
    }
    *next = number + 1;
}

void oracle_on_send(struct world *w, const struct world_node *from, const struct addr *to,
                    struct slice p)
{
    struct oracle *o = w->oracle;
    if (o == NULL || p.len < 4) {
        return;
    }
    uint8_t type = p.data[0] & 15;
    o->n_packets++;
    budget(o, from, p.len);
    if (type == TYPE_DATA && p.len >= DATA_LEN_MIN) {
        counter(o, from, p);
    } else if (type == TYPE_RESP || type == TYPE_COOKIE) {
        uint64_t *credit = tally_at(&o->credit, tally_key(run_key(from), to, sizeof(*to)));
        if (p.len > *credit) {
            world_fail(w, "n%u answers %zu bytes to an address that sent %llu", from->index, p.len,
                       (unsigned long long)*credit);
        }
        *credit -= IPX_MIN(*credit, p.len);
    }
}

void oracle_on_datagram(struct world *w, const struct world_node *to, const struct addr *from,
                        struct slice p)
{
    struct oracle *o = w->oracle;
    if (o != NULL && p.len > 0 && (p.data[0] & 15) == TYPE_INIT) {
        *tally_at(&o->credit, tally_key(run_key(to), from, sizeof(*from))) += p.len;
    }
}
