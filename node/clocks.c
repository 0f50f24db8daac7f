/* SPDX-License-Identifier: Apache-2.0 */
#include "node/clocks.h"

enum ipx_err clocks_init(struct clocks *c, struct mem *mem, uint32_t max,
                         const uint8_t secret[static 16])
{
    *c = (struct clocks){.mem = mem};
    list_init(&c->lru);
    return index_init(&c->by_id, mem, max, sizeof(struct node_id), offsetof(struct clock_entry, id),
                      secret);
}

static void entry_free(struct clocks *c, struct clock_entry *e)
{
    list_unlink(&e->lru);
    index_remove(&c->by_id, e);
    mem_free(c->mem, e);
}

void clocks_done(struct clocks *c)
{
    if (c->by_id.items == NULL) {
        return;
    }
    struct clock_entry *e;
    while ((e = LIST_FIRST(&c->lru, struct clock_entry, lru)) != NULL) {
        entry_free(c, e);
    }
    index_done(&c->by_id);
}

struct clock_entry *clocks_find(struct clocks *c, const struct node_id *id)
{
    struct clock_entry *e = index_find(&c->by_id, id);
    if (e != NULL) {
        list_unlink(&e->lru);
        list_push_front(&c->lru, &e->lru);
    }
    return e;
}

struct clock_entry *clocks_get(struct clocks *c, const struct node_id *id)
{
    struct clock_entry *e = clocks_find(c, id);
    if (e != NULL) {
        return e;
    }
    if (c->by_id.n == c->by_id.max) {
        entry_free(c, CONTAINER_OF(c->lru.prev, struct clock_entry, lru));
    }
    e = mem_alloc(c->mem, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    e->id = *id;
    if (index_add(&c->by_id, e) != IPX_OK) {
        mem_free(c->mem, e);
        return NULL;
    }
    list_push_front(&c->lru, &e->lru);
    return e;
}

enum ipx_err clocks_judge(struct clocks *c, int64_t wall_ms, const struct node_id *id, int64_t t_ms,
                          int64_t *ret_last)
{
    const struct clock_entry *e = index_find(&c->by_id, id);
    int64_t last = e == NULL ? 0 : e->seen_ms;
    bool is_fine = last > 0
                       ? t_ms > last
                       : t_ms >= wall_ms - CLOCKS_SLACK_MS && t_ms <= wall_ms + CLOCKS_SLACK_MS;
    if (!is_fine) {
        *ret_last = last;
        return IPX_CLOCK;
    }
    return IPX_OK;
}

void clocks_on_seen(struct clocks *c, const struct node_id *id, int64_t t_ms)
{
    struct clock_entry *e = clocks_get(c, id);
    if (e != NULL) {
        e->seen_ms = IPX_MAX(e->seen_ms, t_ms);
    }
}

int64_t clocks_next(struct clocks *c, int64_t wall_ms, const struct node_id *id)
{
    struct clock_entry *e = clocks_get(c, id);
    if (e == NULL) {
        return wall_ms;
    }
    e->sent_ms = e->retry_ms != 0 ? e->retry_ms : IPX_MAX(wall_ms, e->sent_ms + 1);
    e->retry_ms = 0;
    return e->sent_ms;
}

void clocks_on_answer(struct clocks *c, const struct node_id *id, int64_t theirs_ms,
                      int64_t last_ms)
{
    struct clock_entry *e = clocks_get(c, id);
    if (e != NULL) {
        e->retry_ms = IPX_MAX(theirs_ms, last_ms + 1);
    }
}

void clocks_chain_changed(struct clocks *c)
{
    struct clock_entry *e;
    struct list *tmp;
    LIST_EACH(e, tmp, &c->lru, struct clock_entry, lru)
    {
        e->has_our_chain = false;
    }
}
