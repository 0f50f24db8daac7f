/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Intrusive doubly linked list. A head is a `struct list` that points to itself
 * when empty; an element embeds a `struct list` and is found by CONTAINER_OF.
 * Unlinking leaves the element self-linked, so unlinking twice is harmless.
 */
#include "base/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}
static inline bool list_is_linked(const struct list *l)
{
    return l->next != NULL && l->next != l;
}
static inline void list_insert_between(struct list *l, struct list *prev, struct list *next)
{
    l->prev = prev;
    l->next = next;
    prev->next = l;
    next->prev = l;
}
static inline void list_push_back(struct list *head, struct list *l)
{
    list_insert_between(l, head->prev, head);
}
static inline void list_push_front(struct list *head, struct list *l)
{
    list_insert_between(l, head, head->next);
}
static inline void list_unlink(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))
/* `it` may be unlinked (not others) inside the loop; `tmp` is a struct list *. */
#define LIST_EACH(it, tmp, head, type, member)                                                     \
    for ((tmp) = (head)->next;                                                                     \
         (it) = CONTAINER_OF(tmp, type, member), (tmp) != (head) && ((tmp) = (tmp)->next, true);)
