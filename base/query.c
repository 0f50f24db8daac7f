/* SPDX-License-Identifier: Apache-2.0 */
#include "base/query_core.h"

struct query *query_ref(struct query *q)
{
    assert(q->n_refs > 0 && q->n_refs < UINT32_MAX);
    q->n_refs++;
    return q;
}

void query_unref(struct query *q)
{
    if (q == NULL) {
        return;
    }
    assert(q->n_refs > 0);
    if (--q->n_refs == 0) {
        mem_free(q->mem, q);
    }
}

struct slice query_source(const struct query *q)
{
    return q->source;
}

/* The dot of a field stands right before its name in the source. */
struct slice query_name_shown(const struct query_name *n)
{
    return n->is_field ? slice_of(n->text.data - 1, n->text.len + 1) : n->text;
}

const char *query_reason_text(enum query_reason reason)
{
    switch (reason) {
    case QUERY_REASON_NONE:
        return "";
    case QUERY_REASON_MISSING:
        return "missing";
    case QUERY_REASON_TYPE:
        return "type";
    case QUERY_REASON_PARTIAL:
        return "partial";
    case QUERY_REASON_ARITHMETIC:
        return "arithmetic";
    case QUERY_REASON_NOT_BOOL:
        return "not a bool";
    }
    return "";
}

void query_names(const struct query *q, query_name_fn *each, void *user)
{
    for (size_t i = 0; i < q->n_nodes; i++) {
        const struct query_node *n = &q->nodes[i];
        if (n->op == QUERY_OP_NAME || n->op == QUERY_OP_FIELD || n->op == QUERY_OP_HAS_NAME ||
            n->op == QUERY_OP_HAS_FIELD) {
            each(user, q->names[n->arg].text, q->names[n->arg].is_field);
        }
    }
}
