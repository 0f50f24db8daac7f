/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/event.h"

/* When the prober acts: rounds, visits to the dead, and what a pause of ours means. */

#define REVISIT_OLD_US (600 * US_PER_S) /* dead this long: half as often */
#define REVISIT_DOUBTED_MAX 8           /* a tick */
#define NEIGHBOURS_MAX 4                /* accused ones that are passed over */

/* The next one in key order that nobody accuses yet: where many die at once, the accused stand
 * between us and those whom else nobody would look at. */
static struct gossip_member *neighbour(const struct gossip *g)
{
    struct gossip_member *m = NULL;
    for (uint32_t nth = 1; nth <= NEIGHBOURS_MAX; nth++) {
        m = gossip_members_successor(&g->members, g->self, nth);
        if (m == NULL || m->state == GOSSIP_STATE_ALIVE) {
            break;
        }
    }
    return m;
}

void gossip_probe_step_in(struct gossip *g, uint64_t now_us, const struct gossip_member *accused)
{
    for (uint32_t nth = 1; nth <= NEIGHBOURS_MAX; nth++) {
        const struct gossip_member *m = gossip_members_successor(&g->members, g->self, nth);
        if (m == NULL || m->state == GOSSIP_STATE_ALIVE) {
            return;
        }
        if (m == accused) {
            struct gossip_member *next = neighbour(g);
            if (next != NULL && next->state == GOSSIP_STATE_ALIVE) {
                gossip_probe_start(g, now_us, next, GOSSIP_PROBE_WITNESS);
            }
            return;
        }
    }
}

/* Every second round goes to the next in key order: so each member is looked at by somebody
 * every two intervals, however many there are; the others go around, so that nobody depends on
 * the one before it. */
static struct gossip_member *round_target(struct gossip *g)
{
    struct gossip_members *t = &g->members;
    uint16_t urgent = g->prober.urgent;
    g->prober.urgent = GOSSIP_NO_SLOT;
    if (urgent != GOSSIP_NO_SLOT && t->slots[urgent] != NULL &&
        gossip_member_is_live(t->slots[urgent])) {
        return t->slots[urgent];
    }
    g->prober.is_next_neighbour = !g->prober.is_next_neighbour;
    if (!g->prober.is_next_neighbour) {
        return neighbour(g);
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (++t->ring_probe >= t->n) {
            t->ring_probe = 0;
            rng_shuffle(&g->rng, t->ring, t->n, sizeof(t->ring[0]));
        }
        struct gossip_member *m = t->slots[t->ring[t->ring_probe]];
        if (m != g->self && gossip_member_is_live(m) && !m->is_accused_by_self) {
            return m;
        }
    }
    return NULL;
}

static bool is_revisitable(const struct gossip_member *m)
{
    return m->state == GOSSIP_STATE_DEAD && m->reason == GOSSIP_REASON_DEAD;
}

/* One of the dead, or those of whom others say that they live: a partition may have healed. */
static void revisit(struct gossip *g, uint64_t now_us)
{
    struct gossip_members *t = &g->members;
    unsigned n_doubted = 0;
    bool is_due = g->prober.revisit_us <= now_us && t->counts[GOSSIP_STATE_DEAD] > 0;
    if (!is_due && g->prober.n_doubted == 0) {
        return;
    }
    uint32_t start = (uint32_t)rng_below(&g->rng, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        struct gossip_member *m = t->slots[t->ring[(start + i) % t->n]];
        if (!is_revisitable(m) || m == g->self) {
            continue;
        }
        if (m->is_doubted && n_doubted < REVISIT_DOUBTED_MAX) {
            gossip_probe_undoubt(g, m);
            n_doubted++;
        } else if (!is_due) {
            continue;
        }
        if (is_due) {
            bool is_old = now_us - m->changed_us > REVISIT_OLD_US;
            g->prober.revisit_us =
                now_us + rng_jitter(&g->rng, GOSSIP_REVISIT_US, 20) * (is_old ? 2 : 1);
            is_due = false;
        }
        gossip_probe_start(g, now_us, m, GOSSIP_PROBE_REVISIT);
    }
}

/* A pause of this process is no silence of others: what was in flight gets its time again. */
static void forgive_stall(struct gossip *g, uint64_t now_us)
{
    uint64_t due_us = g->prober.next_us;
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        if (g->prober.probes[i].state != GOSSIP_PROBE_IDLE) {
            due_us = IPX_MIN(due_us, g->prober.probes[i].due_us);
        }
    }
    if (due_us >= now_us || now_us - due_us < GOSSIP_STALL_US) {
        return;
    }
    g->stats.n_stalls++;
    gossip_event(g, "stalled", NULL, now_us - due_us);
    gossip_probe_health(g, 1);
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE) {
            p->due_us = IPX_MAX(p->due_us, now_us + GOSSIP_PROBE_TIMEOUT_MAX_US);
        }
    }
    gossip_verdict_delay(g, now_us - due_us);
    if (now_us - due_us >= GOSSIP_STALL_LONG_US) {
        gossip_verdict_announce(g, now_us); /* others miss us by now: do not wait to be told */
        g->round_us = 0;
    }
}

static bool round_is_running(const struct gossip *g)
{
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        const struct gossip_probe *p = &g->prober.probes[i];
        if (p->state != GOSSIP_PROBE_IDLE && p->why == GOSSIP_PROBE_ROUND) {
            return true;
        }
    }
    return false;
}

void gossip_probe_tick(struct gossip *g, uint64_t now_us)
{
    forgive_stall(g, now_us);
    gossip_probe_expire(g, now_us);
    if (g->prober.next_us > now_us) {
        return;
    }
    g->prober.n_skipped++; /* the clock goes on when we doubt ourselves: it shows our own pauses */
    if (g->prober.n_skipped > g->prober.health && !round_is_running(g)) {
        struct gossip_member *m = round_target(g);
        g->prober.n_skipped = 0;
        if (m != NULL) {
            gossip_probe_start(g, now_us, m, GOSSIP_PROBE_ROUND);
        }
    }
    revisit(g, now_us);
    g->prober.next_us = g->members.n < 2 ? NEVER_US : now_us + GOSSIP_PROBE_INTERVAL_US;
}

uint64_t gossip_probe_deadline(const struct gossip *g)
{
    uint64_t due_us = g->prober.next_us;
    for (unsigned i = 0; i < GOSSIP_PROBES_MAX; i++) {
        if (g->prober.probes[i].state != GOSSIP_PROBE_IDLE) {
            due_us = IPX_MIN(due_us, g->prober.probes[i].due_us);
        }
    }
    return due_us;
}
