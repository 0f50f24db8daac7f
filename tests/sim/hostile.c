/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile input to a whole node: half of the inputs are mutated inside valid sessions and links.
 * Asserted: no crash, no growth from the first half to the second, no answer without membership,
 * malformed local input is answered and the connection closed, and the node still works.
 *
 * usage: hostile [--inputs N] [--seed S]
 */
#include "tests/sim/hostile.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_US 250
#define QUIET_US (150 * US_PER_S) /* sessions, links and claims have ended then */
#define GROWTH_MAX (64u << 10)    /* tables grow in steps; 1 byte an input is more */
#define JOB_US (5 * US_PER_S)
#define JOB_TASKS 20

struct hostile hostile;

static struct world_node *victim(void)
{
    return &hostile.w.nodes[HOSTILE_VICTIM];
}

static void begin(uint64_t seed)
{
    struct world *w = &hostile.w;
    struct world_options options = {
        .seed = seed, .n_nodes = HOSTILE_NODES, .delay_us = 200, .jitter_us = 300, .n_labs = 2};
    rng_init_int(&hostile.rng, seed ^ UINT64_C(0x686f7374696c65));
    world_init(w, &options);
    for (unsigned i = 0; i < HOSTILE_NODES; i++) {
        w->nodes[i].addr.ip[0] = 127; /* messages are not rationed between neighbours there */
    }
    w->n_nodes = HOSTILE_LATE;
    outside_init();
    world_make_mesh(w, 20 * US_PER_MS);
    bool is_good = world_run_until(w, w->now_us + 30 * US_PER_S, world_is_converged, NULL);
    assert(is_good);
    (void)is_good;
}

/* Mad members also submit jobs, so that the streams between owners and places are in use. */
static void work(void)
{
    struct world *w = &hostile.w;
    struct list *next;
    struct world_client *c;
    LIST_EACH(c, next, &w->clients, struct world_client, list)
    {
        if (c->is_over || c->is_error) {
            world_client_free(c);
        }
    }
    unsigned i = HOSTILE_MAD_FIRST + (unsigned)rng_below(&hostile.rng, HOSTILE_MAD);
    if (w->nodes[i].node != NULL && w->nodes[i].node->has_cores && list_is_empty(&w->clients)) {
        static const char *const commands[] = {"echo x", "sleep 50", "big 30000", "cat", "false"};
        world_submit(w, i, commands[rng_below(&hostile.rng, ARRAY_LEN(commands))], JOB_TASKS, true);
    }
}

static void end_work(void)
{
    struct list *next;
    struct world_client *c;
    LIST_EACH(c, next, &hostile.w.clients, struct world_client, list)
    {
        world_client_free(c);
    }
}

static void attack(uint64_t n_inputs)
{
    struct world *w = &hostile.w;
    uint64_t job_us = w->now_us;
    hostile.is_mutating = true;
    for (uint64_t i = 0; i < n_inputs; i++) {
        if (w->now_us >= job_us) {
            job_us = w->now_us + JOB_US;
            work();
        }
        if (rng_chance(&hostile.rng, 500)) {
            inside_step();
        } else {
            outside_step();
        }
        world_run(w, w->now_us + STEP_US);
        assert(victim()->node != NULL);
        if (i % 4096 == 0) {
            node_check(victim()->node);
        }
    }
    hostile.is_mutating = false;
}

/* Mad members vanish, everything that waits runs out; what the victim still holds is returned. */
static size_t settle(void)
{
    struct world *w = &hostile.w;
    outside_done();
    end_work();
    for (unsigned i = HOSTILE_MAD_FIRST; i < HOSTILE_LATE; i++) {
        world_crash(w, i);
    }
    world_run(w, w->now_us + QUIET_US);
    node_check(victim()->node);
    return victim()->mem.used;
}

static void revive(void)
{
    struct world *w = &hostile.w;
    for (unsigned i = HOSTILE_MAD_FIRST; i < HOSTILE_LATE; i++) {
        world_start(w, i);
    }
    world_run(w, w->now_us + 5 * US_PER_S);
}

static unsigned failures;

static void demand(bool is_good, const char *what)
{
    printf("%-4s %s\n", is_good ? "ok" : "FAIL", what);
    failures += !is_good;
}

/* An honest member joins through the victim, and both honest ones and it see each other. */
static bool sees(unsigned i, unsigned j)
{
    const struct node *n = hostile.w.nodes[i].node;
    const struct gossip_member *m =
        n != NULL && n->has_cores ? gossip_find(&n->gossip, &hostile.w.nodes[j].key.pk) : NULL;
    return m != NULL && gossip_member_is_live(m) && m->ad != NULL;
}

static bool is_joined(struct world *w, void *unused)
{
    (void)w;
    (void)unused;
    return sees(HOSTILE_VICTIM, HOSTILE_LATE) && sees(HOSTILE_HONEST, HOSTILE_LATE) &&
           sees(HOSTILE_LATE, HOSTILE_VICTIM) && sees(HOSTILE_LATE, HOSTILE_HONEST);
}

static bool works(void)
{
    struct world *w = &hostile.w;
    w->n_nodes = HOSTILE_NODES;
    world_join(w, HOSTILE_LATE);
    if (!world_run_until(w, w->now_us + 10 * US_PER_S, is_joined, NULL)) {
        return false;
    }
    struct world_client *c = world_submit(w, HOSTILE_LATE, "echo x", JOB_TASKS, true);
    bool is_over = world_run_until(w, w->now_us + 60 * US_PER_S, world_client_is_over, c);
    return is_over && !c->is_error && c->n_done == JOB_TASKS;
}

static void report(const struct session_stats *s)
{
    printf("inside: %llu in sessions, %llu on links, %llu of own traffic; outside: %llu datagrams, "
           "%llu connections, %llu local\n",
           (unsigned long long)hostile.n_inside_session, (unsigned long long)hostile.n_inside_link,
           (unsigned long long)hostile.n_inside_traffic,
           (unsigned long long)hostile.n_outside_datagram,
           (unsigned long long)hostile.n_outside_conn, (unsigned long long)hostile.n_local);
    printf(
        "the node: %llu packets in, %llu messages taken, dropped: %llu form, %llu mac, %llu rate, "
        "%llu handshake, %llu index, %llu tag, %llu replay, %llu message; answers to strangers "
        "with a right mac1: %llu\n",
        (unsigned long long)s->packets_in, (unsigned long long)s->messages_in,
        (unsigned long long)s->dropped_form, (unsigned long long)s->dropped_mac,
        (unsigned long long)s->dropped_rate, (unsigned long long)s->dropped_handshake,
        (unsigned long long)s->dropped_index, (unsigned long long)s->dropped_tag,
        (unsigned long long)s->dropped_replay, (unsigned long long)s->dropped_message,
        (unsigned long long)hostile.n_stranger_answers);
}

static void judge(uint64_t n_inputs, size_t used_before, size_t used_half, size_t used_end)
{
    const struct session_stats *s = session_stats_of(victim()->node->sessions);
    uint64_t n_inside = hostile.n_inside_session + hostile.n_inside_link + hostile.n_inside_traffic;
    uint64_t n_all =
        n_inside + hostile.n_outside_datagram + hostile.n_outside_conn + hostile.n_local;
    report(s);
    printf("memory: %zu B before, %zu B after the first half, %zu B at the end, %zu B at most\n",
           used_before, used_half, used_end, victim()->mem.peak);
    demand(n_all >= n_inputs / 100 * 95, "as many inputs as asked for, less pauses of dialling");
    demand(n_inside >= n_inputs / 100 * 45, "half of them inside sessions and links");
    demand(s->messages_in >= hostile.n_inside_session / 10 * 9, "what was sealed right was opened");
    demand(used_end <= used_half + GROWTH_MAX, "no growth from the first half to the second");
    demand(hostile.n_answers_without_gate == 0, "no answer without membership");
    demand(hostile.n_amplified == 0, "bytes out to strangers <= bytes in");
    demand(hostile.n_local_malformed > 0 && hostile.n_local_closed == hostile.n_local_malformed,
           "malformed local connections are closed");
    demand(hostile.n_local_answered == hostile.n_local_malformed, "and are told of it before");
    demand(works(), "an honest member joins, is seen and has its job done");
}

int main(int argc, char **argv)
{
    uint64_t n_inputs = 50000, seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--inputs") == 0) {
            n_inputs = value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = value;
        } else {
            fprintf(stderr, "usage: hostile [--inputs N] [--seed S]\n");
            return 2;
        }
    }
    if (crypt_init() != IPX_OK || n_inputs < 1000) {
        return 2;
    }
    printf("seed %llu, %llu inputs\n", (unsigned long long)seed, (unsigned long long)n_inputs);
    begin(seed);
    size_t used_before = victim()->mem.used;
    attack(n_inputs / 2);
    size_t used_half = settle();
    revive();
    attack(n_inputs - n_inputs / 2);
    size_t used_end = settle();
    judge(n_inputs, used_before, used_half, used_end);
    end_work();
    world_done(&hostile.w);
    assert(hostile.local_mem.used == 0);
    return failures == 0 ? 0 : 1;
}
