/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of the simulated world, found by their number and by each node's own number. */
#include "tests/sim/world.h"

static struct list *bucket_of(struct list *buckets, uint64_t a, uint64_t b)
{
    uint64_t mixed = (a * 31 + b) * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[mixed >> 54];
}

void world_pipes_init(struct world *w)
{
    static_assert(WORLD_PIPE_BUCKETS == 1 << 10, "bucket_of takes ten bits");
    list_init(&w->pipes);
    for (size_t i = 0; i < WORLD_PIPE_BUCKETS; i++) {
        list_init(&w->pipes_by_number[i]);
        list_init(&w->pipe_ends[i]);
    }
}

void world_pipes_done(struct world *w)
{
    struct world_pipe *p;
    struct list *next;
    LIST_EACH(p, next, &w->pipes, struct world_pipe, list)
    {
        world_pipe_free(w, p);
    }
}

static void enter_end(struct world *w, struct world_pipe *p, unsigned end)
{
    list_push_back(bucket_of(w->pipe_ends, p->node[end], p->conn[end]), &p->ends[end].link);
}

struct world_pipe *world_pipe_new(struct world *w, const struct world_pipe *like)
{
    struct world_pipe *p = mem_alloc(&w->mem, sizeof(*p));
    assert(p != NULL);
    *p = *like;
    p->number = ++w->n_pipes;
    list_push_back(&w->pipes, &p->list);
    list_push_back(bucket_of(w->pipes_by_number, p->number, 0), &p->by_number);
    for (unsigned end = 0; end < 2; end++) {
        list_init(&p->ends[end].link);
        p->ends[end].pipe = p;
        if (p->is_open[end]) {
            enter_end(w, p, end);
        }
    }
    return p;
}

void world_pipe_free(struct world *w, struct world_pipe *p)
{
    list_unlink(&p->list);
    list_unlink(&p->by_number);
    list_unlink(&p->ends[0].link);
    list_unlink(&p->ends[1].link);
    mem_free(&w->mem, p);
}

void world_pipe_accept(struct world *w, struct world_pipe *p, uint32_t conn)
{
    p->conn[1] = conn;
    p->is_open[1] = true;
    enter_end(w, p, 1);
}

struct world_pipe *world_pipe_find(struct world *w, unsigned node, uint32_t conn, unsigned *ret_end)
{
    struct world_end *e;
    struct list *next;
    LIST_EACH(e, next, bucket_of(w->pipe_ends, node, conn), struct world_end, link)
    {
        struct world_pipe *p = e->pipe;
        unsigned end = e == &p->ends[1];
        if (p->node[end] == node && p->conn[end] == conn && p->is_open[end]) {
            *ret_end = end;
            return p;
        }
    }
    return NULL;
}

struct world_pipe *world_pipe_of(struct world *w, const struct event *e)
{
    struct world_pipe *p;
    struct list *next;
    LIST_EACH(p, next, bucket_of(w->pipes_by_number, e->boot, 0), struct world_pipe, by_number)
    {
        if (p->number == e->boot) {
            return p;
        }
    }
    return NULL;
}
