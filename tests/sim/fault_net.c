/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of the network: what becomes of a datagram, of a piece of a connection; cuts. */
#include "tests/sim/fault_parts.h"

#define LOSS_PERMILLE 30
#define BURST_BEGIN_PERMILLE 5 /* a packet; a burst is 4 packets long in the mean */
#define BURST_END_PERMILLE 250
#define BURST_LOSS_PERMILLE 700
#define DUP_PERMILLE 5
#define REORDER_PERMILLE 20
#define REORDER_US (100 * US_PER_MS)
#define CORRUPT_PERMILLE 5
#define UPLINK_BYTES_S 250000
#define UPLINK_QUEUE 65536
#define MTU 1280
#define SPIKE_FACTOR 100
#define TCP_BYTES_S 256000
#define SINGLE_PERMILLE 300
#define N_SITES 8

/* One way, in units of 100 us: within a site 0.1 ms, to the farthest 150 ms. */
static const uint16_t site_delay[N_SITES][N_SITES] = {
    {1, 5, 20, 60, 150, 400, 900, 1500},    {5, 1, 15, 55, 140, 390, 880, 1450},
    {20, 15, 1, 40, 120, 350, 850, 1400},   {60, 55, 40, 1, 80, 300, 800, 1300},
    {150, 140, 120, 80, 1, 220, 700, 1200}, {400, 390, 350, 300, 220, 1, 450, 1000},
    {900, 880, 850, 800, 700, 450, 1, 600}, {1500, 1450, 1400, 1300, 1200, 1000, 600, 1},
};

/* Quantiles of exp(0.25 Z) - 0.5 of a log-normal delay, in thousandths added to the base: half of
 * the packets take less than 1.0 of it more or less, the slowest of 32 is 1.8 times as late. */
static const uint16_t jitter_quantiles[32] = {
    0,   30,  60,  85,  105, 125, 140, 155, 170, 185, 200, 215, 230, 245, 260, 275,
    290, 305, 320, 340, 360, 380, 400, 425, 450, 480, 510, 550, 600, 660, 740, 900,
};

static bool is_on(const struct faults *f, enum fault which)
{
    return f != NULL && (f->on & FAULT_BIT(which)) != 0;
}

/* --- datagrams --- */

static bool is_lost(struct faults *f, struct world_node *from, size_t len)
{
    struct fault_node *n = fault_of(f, from);
    bool lost = is_on(f, FAULT_LOSS) && rng_chance(&f->rng[FAULT_LOSS], LOSS_PERMILLE);
    if (is_on(f, FAULT_BURST)) {
        struct rng *r = &f->rng[FAULT_BURST];
        n->is_in_burst =
            rng_chance(r, n->is_in_burst ? 1000 - BURST_END_PERMILLE : BURST_BEGIN_PERMILLE);
        lost |= n->is_in_burst && rng_chance(r, BURST_LOSS_PERMILLE);
    }
    return lost || (is_on(f, FAULT_MTU) && len > MTU);
}

/* The time that it waits for what was sent before it and then takes itself; drop-tail. */
static bool uplink(struct faults *f, struct world_node *from, size_t len, uint64_t *late_us)
{
    struct fault_node *n = fault_of(f, from);
    uint64_t now = f->w->now_us;
    uint64_t wait = n->uplink_free_us > now ? n->uplink_free_us - now : 0;
    if (wait * UPLINK_BYTES_S / US_PER_S + len > UPLINK_QUEUE) {
        return false;
    }
    n->uplink_free_us = now + wait + len * US_PER_S / UPLINK_BYTES_S;
    *late_us += n->uplink_free_us - now;
    return true;
}

static void one_copy(struct faults *f, struct fault_fate *ret)
{
    unsigned i = ret->n_copies++;
    ret->late_us[i] = 0;
    if (is_on(f, FAULT_REORDER) && rng_chance(&f->rng[FAULT_REORDER], REORDER_PERMILLE)) {
        ret->late_us[i] = rng_below(&f->rng[FAULT_REORDER], REORDER_US);
    }
    ret->is_corrupt[i] =
        is_on(f, FAULT_CORRUPT) && rng_chance(&f->rng[FAULT_CORRUPT], CORRUPT_PERMILLE);
}

void faults_datagram(struct world_node *from, size_t len, struct fault_fate *ret)
{
    struct faults *f = from->w->faults_on;
    uint64_t late = 0;
    *ret = (struct fault_fate){0};
    if (f == NULL || f->is_over) {
        ret->n_copies = 1;
        return;
    }
    if (is_lost(f, from, len) || (is_on(f, FAULT_RATE) && !uplink(f, from, len, &late))) {
        return;
    }
    one_copy(f, ret);
    if (is_on(f, FAULT_DUP) && rng_chance(&f->rng[FAULT_DUP], DUP_PERMILLE)) {
        one_copy(f, ret);
    }
    for (unsigned i = 0; i < ret->n_copies; i++) {
        ret->late_us[i] += late;
    }
}

void faults_corrupt(struct world *w, uint8_t *bytes, size_t len)
{
    struct rng *r = &w->faults_on->rng[FAULT_CORRUPT];
    unsigned n = 1 + (unsigned)rng_below(r, 8);
    for (unsigned i = 0; i < n && len > 0; i++) {
        bytes[rng_below(r, len)] ^= (uint8_t)(1 + rng_below(r, 255));
    }
}

uint64_t faults_delay(struct world_node *from, struct world_node *to, uint64_t usual_us)
{
    struct faults *f = from->w->faults_on;
    if (f == NULL) {
        return usual_us;
    }
    if (is_on(f, FAULT_SITES)) {
        uint64_t base = site_delay[from->site % N_SITES][to->site % N_SITES] * UINT64_C(100);
        usual_us = base + base * jitter_quantiles[rng_below(&f->rng[FAULT_SITES], 32)] / 1000;
    }
    unsigned a = fault_of(f, from)->delay_factor, b = fault_of(f, to)->delay_factor;
    return usual_us * IPX_MAX(1u, IPX_MAX(a, b));
}

/* --- connections --- */

size_t faults_piece(struct world *w, size_t len)
{
    struct faults *f = w->faults_on;
    bool is_single =
        is_on(f, FAULT_TCP_BYTES) && rng_chance(&f->rng[FAULT_TCP_BYTES], SINGLE_PERMILLE);
    return is_single ? 1 : len;
}

uint64_t faults_piece_at(struct world *w, const struct world_pipe *p, size_t len, uint64_t at_us)
{
    struct faults *f = w->faults_on;
    for (unsigned i = 0; f != NULL && i < 2; i++) {
        if (p->node[i] != WORLD_CLIENT) {
            at_us = IPX_MAX(at_us, f->nodes[p->node[i]].stalled_until_us);
        }
    }
    return at_us + (is_on(f, FAULT_TCP_RATE) ? len * US_PER_S / TCP_BYTES_S : 0);
}

void fault_tcp_stall(struct faults *f, struct rng *r)
{
    struct fault_node *n = fault_of(f, fault_any(f, r));
    n->stalled_until_us = f->w->now_us + US_PER_S + rng_below(r, 15 * US_PER_S);
}

void fault_tcp_reset(struct faults *f, struct rng *r)
{
    world_reset_pipes(f->w, fault_any(f, r)->index);
}

/* --- delays and cuts --- */

static void heal_spike(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        f->nodes[e->node].delay_factor = 0;
    }
}

void fault_spike(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    fault_of(f, n)->delay_factor = SPIKE_FACTOR;
    fault_heal_later(f, r, &(struct fault_span){200 * US_PER_MS, 2 * US_PER_S}, n->index,
                     heal_spike);
}

static void heal_cut(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        struct world_node *n = &f->w->nodes[e->node];
        n->side = 0;
        n->is_deaf = n->is_mute = false;
    }
}

void fault_halves(struct faults *f, struct rng *r)
{
    uint64_t life_us = US_PER_S + rng_below(r, 9 * US_PER_S);
    for (unsigned i = 0; i < f->w->n_slots; i++) {
        f->w->nodes[i].side = (unsigned)rng_below(r, 2);
        fault_heal_later(f, r, &(struct fault_span){life_us, life_us + 1}, i, heal_cut);
    }
}

void fault_isolate(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    n->side = 2 + n->index;
    fault_heal_later(f, r, &(struct fault_span){US_PER_S, 10 * US_PER_S}, n->index, heal_cut);
}

void fault_one_way(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    n->is_deaf = rng_chance(r, 500);
    n->is_mute = !n->is_deaf;
    fault_heal_later(f, r, &(struct fault_span){US_PER_S, 10 * US_PER_S}, n->index, heal_cut);
}

static void heal_udp(void *user, struct event *e)
{
    struct faults *f = fault_healing(user);
    if (f != NULL) {
        f->w->nodes[e->node].is_udp_blocked = false;
    }
}

void fault_udp(struct faults *f, struct rng *r)
{
    struct world_node *n = fault_any(f, r);
    n->is_udp_blocked = true;
    fault_heal_later(f, r, &(struct fault_span){US_PER_S, 20 * US_PER_S}, n->index, heal_udp);
}

void fault_net_end(struct faults *f)
{
    for (unsigned i = 0; i < f->w->n_slots; i++) {
        struct world_node *n = &f->w->nodes[i];
        struct fault_node *state = fault_of(f, n);
        n->side = 0;
        n->is_deaf = n->is_mute = n->is_udp_blocked = false;
        state->delay_factor = 0;
        state->stalled_until_us = 0;
    }
}
