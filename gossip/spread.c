/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/spread.h"

#include "gossip/event.h"

void gossip_spread_init(struct gossip_spread *q)
{
    *q = (struct gossip_spread){0};
    for (unsigned c = 0; c < GOSSIP_SPREAD_CLASSES; c++) {
        for (unsigned s = 0; s <= GOSSIP_SPREAD_SENDS_MAX; s++) {
            list_init(&q->lists[c][s]);
        }
    }
}

void gossip_spread_item_init(struct gossip_spread_item *i, enum gossip_spread_what what,
                             uint16_t slot, uint8_t index)
{
    *i = (struct gossip_spread_item){
        .kind = (uint8_t)what, .index = index, .slot = slot, .from = GOSSIP_NO_SLOT};
    list_init(&i->link);
}

void gossip_spread_put(struct gossip_spread *q, struct gossip_spread_item *i,
                       enum gossip_spread_class class_, uint16_t from)
{
    assert(class_ < GOSSIP_SPREAD_CLASSES && i->kind != 0);
    gossip_spread_drop(q, i);
    i->class_ = (uint8_t)class_;
    i->sends = 0;
    i->from = from;
    i->stamp = 0;
    list_push_back(&q->lists[class_][0], &i->link);
    q->n++;
}

void gossip_spread_drop(struct gossip_spread *q, struct gossip_spread_item *i)
{
    if (list_is_linked(&i->link)) {
        list_unlink(&i->link);
        assert(q->n > 0);
        q->n--;
    }
}

void gossip_spread_begin(struct gossip_spread *q)
{
    q->stamp++;
    if (q->stamp == 0) {
        q->stamp = 1; /* 0 marks items never packed */
    }
}

struct gossip_spread_item *gossip_spread_next(struct gossip_spread *q,
                                              const struct gossip_spread_item *after)
{
    unsigned c = after == NULL ? 0 : after->class_;
    unsigned s = after == NULL ? 0 : after->sends;
    struct list *at = after == NULL ? q->lists[0][0].next : after->link.next;
    for (;;) {
        struct list *head = &q->lists[c][s];
        for (; at != head; at = at->next) {
            struct gossip_spread_item *i = CONTAINER_OF(at, struct gossip_spread_item, link);
            if (i->stamp != q->stamp) {
                return i;
            }
        }
        if (++s > GOSSIP_SPREAD_SENDS_MAX) {
            s = 0;
            if (++c == GOSSIP_SPREAD_CLASSES) {
                return NULL;
            }
        }
        at = q->lists[c][s].next;
    }
}

void gossip_spread_sent(struct gossip_spread *q, struct gossip_spread_item *i, unsigned limit)
{
    assert(list_is_linked(&i->link));
    i->stamp = q->stamp;
    i->sends++;
    if (i->sends >= limit || i->sends > GOSSIP_SPREAD_SENDS_MAX) {
        gossip_spread_drop(q, i);
        return;
    }
    list_unlink(&i->link);
    list_push_back(&q->lists[i->class_][i->sends], &i->link);
}

void gossip_spread_check(const struct gossip_spread *q)
{
    uint32_t n = 0;
    for (unsigned c = 0; c < GOSSIP_SPREAD_CLASSES; c++) {
        for (unsigned s = 0; s <= GOSSIP_SPREAD_SENDS_MAX; s++) {
            const struct list *head = &q->lists[c][s];
            for (struct list *at = head->next; at != head; at = at->next) {
                const struct gossip_spread_item *i =
                    CONTAINER_OF(at, struct gossip_spread_item, link);
                assert(i->class_ == c && i->sends == s);
                assert(at->next->prev == at);
                n++;
            }
        }
    }
    assert(n == q->n);
}

unsigned gossip_spread_limit(uint32_t n_members)
{
    /* smallest r with 10^r >= (n + 1)^2, without a logarithm */
    uint64_t square = ((uint64_t)n_members + 1) * ((uint64_t)n_members + 1);
    unsigned r = 0;
    for (uint64_t power = 1; power < square && r < GOSSIP_SPREAD_SENDS_MAX; power *= 10) {
        r++;
    }
    return IPX_MAX(r, GOSSIP_SPREAD_SENDS_MIN);
}

unsigned gossip_spread_burst(const struct gossip_spread *q)
{
    return IPX_MIN(1 + q->n / 8, GOSSIP_SPREAD_BURST_MAX);
}
