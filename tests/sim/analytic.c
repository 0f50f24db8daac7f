/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/analytic.h"

#include <stdio.h>
#include <stdlib.h>

#include "dht/search.h"
#include "dht/table.h"

#define EVENTS_MAX 512 /* more than a search may send, twice */
#define GATHER_MAX 512 /* what one node's buckets give for an answer */
#define PAUSE_US (20 * US_PER_S)

/* exp(ln 80,000 + 0.5 z) at the quantiles (i + 1/2) / 256 */
static const uint32_t rtt_us[256] = {
    18901,  22687,  24889,  26542,  27903,  29079,  30125,  31075,  31951,  32766,  33533,  34258,
    34948,  35608,  36242,  36853,  37443,  38014,  38570,  39110,  39637,  40151,  40654,  41147,
    41630,  42104,  42570,  43028,  43479,  43924,  44362,  44794,  45221,  45643,  46060,  46473,
    46881,  47286,  47686,  48083,  48477,  48868,  49255,  49640,  50022,  50401,  50778,  51153,
    51525,  51896,  52264,  52631,  52996,  53359,  53721,  54082,  54441,  54799,  55155,  55511,
    55865,  56219,  56571,  56923,  57274,  57624,  57974,  58323,  58671,  59019,  59367,  59714,
    60060,  60407,  60753,  61099,  61445,  61791,  62136,  62482,  62828,  63173,  63519,  63865,
    64211,  64558,  64904,  65251,  65599,  65946,  66294,  66643,  66992,  67341,  67692,  68042,
    68394,  68746,  69098,  69452,  69806,  70161,  70517,  70874,  71232,  71591,  71950,  72311,
    72673,  73036,  73400,  73766,  74132,  74500,  74869,  75239,  75611,  75985,  76359,  76736,
    77113,  77493,  77874,  78256,  78641,  79027,  79415,  79804,  80196,  80590,  80985,  81383,
    81783,  82184,  82589,  82995,  83403,  83814,  84228,  84643,  85062,  85483,  85906,  86332,
    86761,  87193,  87628,  88066,  88506,  88950,  89397,  89847,  90301,  90758,  91218,  91682,
    92150,  92621,  93097,  93576,  94059,  94546,  95038,  95534,  96034,  96539,  97049,  97563,
    98082,  98607,  99136,  99671,  100211, 100757, 101309, 101866, 102430, 103000, 103576, 104158,
    104748, 105345, 105948, 106559, 107178, 107805, 108439, 109082, 109734, 110395, 111064, 111743,
    112432, 113131, 113841, 114561, 115293, 116036, 116791, 117559, 118339, 119133, 119941, 120764,
    121601, 122455, 123324, 124211, 125116, 126039, 126982, 127945, 128929, 129936, 130966, 132021,
    133102, 134210, 135347, 136514, 137714, 138948, 140218, 141526, 142875, 144268, 145708, 147197,
    148741, 150342, 152006, 153737, 155541, 157426, 159398, 161467, 163641, 165934, 168357, 170928,
    173665, 176591, 179734, 183129, 186819, 190859, 195324, 200309, 205952, 212446, 220089, 229362,
    241125, 257146, 282105, 338608,
};

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t mix3(uint64_t a, uint64_t b, uint64_t c)
{
    return mix(mix(mix(a) ^ b) ^ c);
}

static struct node_id id_of(uint32_t number)
{
    struct node_id id = {{0}};
    store_be64(id.bytes, (uint64_t)number + 1);
    return id;
}

static struct dht_pos pos_of(const struct analytic *a, uint32_t number)
{
    static const uint8_t nonce[16];
    struct node_id id = id_of(number);
    return dht_pos_of(&a->mesh, nonce, &id);
}

static bool is_dead(const struct analytic *a, uint32_t number)
{
    return mix3(a->config.seed, 1, number) % 1000 < a->config.dead_permille;
}

static bool is_colluding(const struct analytic *a, uint32_t number)
{
    return mix3(a->config.seed, 2, number) % 1000 < a->config.colluding_permille;
}

static uint64_t round_trip(const struct analytic *a, uint32_t x, uint32_t y)
{
    uint64_t draw = mix3(a->config.seed, x, y);
    uint64_t i = draw % (ARRAY_LEN(rtt_us) - 1), part = (draw >> 32) % 1000;
    return rtt_us[i] + (rtt_us[i + 1] - rtt_us[i]) * part / 1000;
}

static int by_top(const void *a, const void *b)
{
    const struct analytic_node *x = a, *y = b;
    return x->top < y->top ? -1 : x->top > y->top;
}

void analytic_init(struct analytic *a, const struct analytic_config *config)
{
    *a = (struct analytic){.config = *config, .now_us = PAUSE_US};
    mem_init(&a->mem, SIZE_MAX);
    rng_init_int(&a->rng, config->seed);
    rng_fill(&a->rng, a->mesh.bytes, sizeof(a->mesh.bytes));
    dht_rpc_init(&a->rpc);
    a->nodes = mem_alloc_array(&a->mem, config->n, sizeof(*a->nodes));
    if (a->nodes == NULL) {
        fprintf(stderr, "analytic: no memory for %u nodes\n", config->n);
        abort();
    }
    for (uint32_t i = 0; i < config->n; i++) {
        struct dht_pos p = pos_of(a, i);
        a->nodes[i] = (struct analytic_node){load_be64(p.bytes), i};
    }
    qsort(a->nodes, config->n, sizeof(*a->nodes), by_top);
}

void analytic_done(struct analytic *a)
{
    mem_free(&a->mem, a->nodes);
    assert(a->mem.used == 0);
}

struct range {
    uint32_t from, to; /* ranks; `to` is the first outside */
};

static uint32_t rank_of(const struct analytic *a, uint64_t top)
{
    uint32_t lo = 0, hi = a->config.n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (a->nodes[mid].top < top) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Those that share the first `bits` bits with `top`. */
static struct range subtree(const struct analytic *a, uint64_t top, unsigned bits)
{
    uint64_t low = bits == 0 ? UINT64_MAX : bits == 64 ? 0 : UINT64_MAX >> bits;
    struct range r = {rank_of(a, top & ~low), a->config.n};
    if ((top | low) != UINT64_MAX) {
        r.to = rank_of(a, (top | low) + 1);
    }
    return r;
}

/* Up to 16 or 32 nodes, nearest to the target first. */
struct near {
    uint64_t target;
    uint32_t n, max;
    uint32_t ranks[2 * DHT_K];
    uint64_t distance[2 * DHT_K];
};

static void near_add(const struct analytic *a, struct near *near, uint32_t rank)
{
    uint64_t d = a->nodes[rank].top ^ near->target;
    uint32_t at = near->n;
    while (at > 0 && d < near->distance[at - 1]) {
        at--;
    }
    if (at == near->max || (at > 0 && near->ranks[at - 1] == rank)) {
        return;
    }
    near->n = IPX_MIN(near->n + 1, near->max);
    memmove(near->ranks + at + 1, near->ranks + at, (near->n - 1 - at) * sizeof(near->ranks[0]));
    memmove(near->distance + at + 1, near->distance + at,
            (near->n - 1 - at) * sizeof(near->distance[0]));
    near->ranks[at] = rank;
    near->distance[at] = d;
}

/* Bucket b of node `rank`: Floyd's choice of as many as fit from all that belong there. */
static uint32_t add_bucket(const struct analytic *a, uint32_t rank, unsigned b, struct near *near)
{
    uint32_t picks[128], n = 0;
    uint64_t top = a->nodes[rank].top;
    struct range r = subtree(a, top ^ (UINT64_C(1) << (63 - b)), b + 1);
    uint32_t size = r.to - r.from, capacity = dht_table_bucket_capacity(b);
    for (uint32_t j = size > capacity ? size - capacity : 0; j < size; j++) {
        uint32_t pick = j;
        if (size > capacity) {
            pick = (uint32_t)(mix3(a->config.seed ^ top, b, j) % (j + 1));
            for (uint32_t k = 0; k < n; k++) {
                pick = picks[k] == pick ? j : pick;
            }
            picks[n++] = pick;
        }
        near_add(a, near, r.from + pick);
    }
    return IPX_MIN(size, capacity);
}

/* What the table of node `rank` holds nearest to the target. */
static void nearest_in_table(const struct analytic *a, uint32_t rank, struct near *near)
{
    uint64_t top = a->nodes[rank].top, difference = top ^ near->target;
    unsigned shared = difference == 0 ? 63 : (unsigned)__builtin_clzll(difference);
    uint32_t n = add_bucket(a, rank, shared, near); /* nearer to the target than any other */
    for (unsigned b = shared + 1; n < near->max && b < 64; b++) {
        struct range r = subtree(a, top, b);
        if (r.to - r.from <= 1) {
            break;
        }
        n += add_bucket(a, rank, b, near);
    }
    for (unsigned b = shared; n < near->max && b-- > 0;) {
        n += add_bucket(a, rank, b, near);
    }
}

/* All nodes around the target, those of them that `counts` says. */
static void nearest_of_all(const struct analytic *a, struct near *near,
                           bool (*counts)(const struct analytic *a, uint32_t number))
{
    for (unsigned bits = 64; near->n < near->max && bits-- > 0;) {
        struct range r = subtree(a, near->target, bits);
        if (r.to - r.from < near->max && bits > 0) {
            continue;
        }
        near->n = 0;
        for (uint32_t i = r.from; i < r.to; i++) {
            if (counts(a, a->nodes[i].number)) {
                near_add(a, near, i);
            }
        }
    }
}

static bool is_live(const struct analytic *a, uint32_t number)
{
    return !is_dead(a, number);
}

static struct dht_contact contact_of(uint32_t number)
{
    struct addr addr = {.family = ADDR_V4, .ip = {10, 0, 0, 1}, .port = 7433};
    return (struct dht_contact){.id = id_of(number), .addr = addr};
}

static uint32_t number_of(const struct node_id *id)
{
    return (uint32_t)(load_be64(id->bytes) - 1);
}

struct event {
    uint64_t at_us, sent_us;
    uint32_t req_id;
    uint16_t tx;
    struct node_id id;
};

struct run {
    struct analytic *a;
    struct lookup l;
    uint32_t self; /* rank */
    uint64_t target;
    struct event events[EVENTS_MAX]; /* answers on their way */
    size_t n_events;
};

static void send_one(struct run *run, const struct lookup_action *action)
{
    struct analytic *a = run->a;
    struct dht_call call = {
        .to = action->contact->id, .handle = 1, .candidate = action->tx, .type = DHT_FIND_NODE};
    uint32_t req_id = dht_rpc_start(&a->rpc, &a->rng, a->now_us, &call);
    lookup_set_soft(&run->l, action->tx, dht_search_soft_us(&a->rpc, run->l.config.mode));
    bool is_lost = rng_chance(&a->rng, a->config.loss_permille) ||
                   rng_chance(&a->rng, a->config.loss_permille);
    if (is_lost || is_dead(a, number_of(&call.to)) || run->n_events == EVENTS_MAX) {
        return;
    }
    uint64_t rtt = round_trip(a, a->nodes[run->self].number, number_of(&call.to));
    run->events[run->n_events++] =
        (struct event){a->now_us + rtt, a->now_us, req_id, action->tx, call.to};
}

static void answer(struct run *run, const struct event *e)
{
    const struct analytic *a = run->a;
    struct dht_contact contacts[DHT_K];
    struct cert_facts facts = {.id = e->id, .pos = pos_of(a, number_of(&e->id))};
    struct near near = {.target = run->target, .max = DHT_K};
    if (is_colluding(a, number_of(&e->id))) {
        nearest_of_all(a, &near, is_colluding);
    } else {
        nearest_in_table(a, rank_of(a, load_be64(facts.pos.bytes)), &near);
    }
    for (uint32_t i = 0; i < near.n; i++) {
        contacts[i] = contact_of(a->nodes[near.ranks[i]].number);
    }
    err_ignore(lookup_on_reply(&run->l, a->now_us, e->tx, &facts, contacts, near.n),
               "a late answer after the end");
}

/* What is due first happens: an answer, a request given up, a timeout of the search. */
static void step(struct run *run)
{
    struct analytic *a = run->a;
    struct dht_call call;
    size_t first = run->n_events;
    uint64_t due = IPX_MIN(lookup_deadline(&run->l), dht_rpc_deadline(&a->rpc));
    for (size_t i = 0; i < run->n_events; i++) {
        if (run->events[i].at_us <= due) {
            due = run->events[i].at_us;
            first = i;
        }
    }
    a->now_us = IPX_MAX(a->now_us, due);
    if (first < run->n_events) {
        struct event e = run->events[first];
        run->events[first] = run->events[--run->n_events];
        if (dht_rpc_take(&a->rpc, &e.id, DHT_NODES, e.req_id, &call) == IPX_OK) {
            dht_rpc_on_rtt(&a->rpc, a->now_us - e.sent_us);
            answer(run, &e);
        }
    }
    while (dht_rpc_expire(&a->rpc, a->now_us, &call)) {
        lookup_on_fail(&run->l, a->now_us, call.candidate);
    }
    lookup_tick(&run->l, a->now_us);
}

static unsigned depth_of(const struct lookup *l, uint16_t at)
{
    unsigned depth = 1;
    for (; l->candidates[at].referrer != LOOKUP_NONE; at = l->candidates[at].referrer) {
        depth++;
    }
    return depth;
}

static void judge(struct run *run, struct analytic_found *ret)
{
    uint16_t at[DHT_K];
    struct near near = {.target = run->target, .max = DHT_K + 1};
    size_t n = lookup_closest(&run->l, at, DHT_K), n_true = 0;
    bool is_first = true;
    nearest_of_all(run->a, &near, is_live);
    for (uint32_t i = 0; i < near.n; i++) {
        uint32_t number = run->a->nodes[near.ranks[i]].number;
        if (near.ranks[i] == run->self || n_true == DHT_K) {
            continue;
        }
        bool is_found = false;
        for (size_t k = 0; k < n; k++) {
            is_found = is_found || number_of(&run->l.candidates[at[k]].contact.id) == number;
        }
        ret->n_true += is_found;
        n_true++;
        if (is_first && !is_colluding(run->a, number)) {
            ret->is_nearest_found = is_found;
            is_first = false;
        }
    }
    for (size_t k = 0; k < n; k++) {
        ret->depth = IPX_MAX(ret->depth, depth_of(&run->l, at[k]));
    }
}

static void begin(struct run *run, enum lookup_mode mode, uint8_t paths)
{
    struct analytic *a = run->a;
    struct near near = {.max = 2 * DHT_K};
    do {
        run->self = (uint32_t)rng_below(&a->rng, a->config.n);
    } while (is_dead(a, a->nodes[run->self].number) || is_colluding(a, a->nodes[run->self].number));
    run->target = rng_u64(&a->rng);
    uint8_t alpha = dht_search_alpha(&a->rpc, mode, paths);
    struct lookup_config config = {.mesh = a->mesh,
                                   .self = id_of(a->nodes[run->self].number),
                                   .mode = mode,
                                   .k = DHT_K,
                                   .r = DHT_LOCATE_R,
                                   .alpha = alpha,
                                   .paths = paths};
    store_be64(config.target.bytes, run->target);
    lookup_init(&run->l, a->now_us, &config);
    near.target = run->target;
    nearest_in_table(a, run->self, &near);
    for (uint32_t i = 0; i < near.n; i++) {
        struct dht_contact c = contact_of(a->nodes[near.ranks[i]].number);
        lookup_seed(&run->l, &c, 1);
    }
}

struct analytic_found analytic_search(struct analytic *a, enum lookup_mode mode, uint8_t paths)
{
    static struct run run;
    struct analytic_found found = {.n_sent = 0};
    struct lookup_action action;
    uint64_t begun_us = a->now_us;
    bool is_done = false;
    run = (struct run){.a = a};
    begin(&run, mode, paths);
    while (!is_done) {
        while (!is_done && lookup_poll(&run.l, dht_rpc_has_room(&a->rpc), &action)) {
            if (action.kind == LOOKUP_SEND) {
                send_one(&run, &action);
            }
            is_done = action.kind == LOOKUP_DONE;
        }
        if (!is_done) {
            step(&run);
        }
    }
    found.status = action.status;
    found.time_us = a->now_us - begun_us;
    found.n_sent = run.l.n_sent;
    judge(&run, &found);
    while (run.n_events > 0 || a->rpc.n > 0) {
        step(&run);
    }
    a->now_us += PAUSE_US;
    return found;
}
