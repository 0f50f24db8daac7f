/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

/* `why`: each clause over all known nodes, the nearest miss, and what would match instead. */

#define VALUE_TEXT_MAX 64u

struct clause {
    struct exec_why_row row;
    struct query_miss miss; /* of the nearest node; values point into its ad */
    const struct match_peer *near;
};

static void clause_count(struct clause *k, const struct query_result *r)
{
    if (r->truth == QUERY_TRUE) {
        k->row.n_true++;
    } else if (r->truth == QUERY_FALSE) {
        k->row.n_false++;
    } else {
        k->row.n_unknown++;
        k->row.n_type += r->reason == QUERY_REASON_TYPE;
        if (k->row.unknown_name.len == 0 && r->reason_name.len <= VALUE_TEXT_MAX) {
            k->row.unknown_name = r->reason_name;
        }
    }
}

static void clause_eval(struct owner *o, uint64_t now_us, const struct query *q, size_t n,
                        const struct match_job *job, struct clause *k)
{
    const struct match *m = &o->core->match;
    k->row.clause = query_clause_source(q, n);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct match_peer *p = m->peers[i];
        struct match_env env;
        struct query_miss miss;
        if (p->ad == NULL) {
            continue;
        }
        match_env_init(&env, p, job, now_us);
        struct query_result r = query_clause_eval(q, n, &env.env);
        clause_count(k, &r);
        /* values of the evaluator's own names live in env: only those of the ad are kept */
        if (r.truth != QUERY_TRUE && query_clause_miss(q, n, &env.env, &miss) &&
            (k->near == NULL || miss.distance < k->miss.distance)) {
            k->near = p;
            k->miss = miss;
            k->miss.have.text = miss.have.type == LABEL_VERSION ? miss.have.text : SLICE_EMPTY;
        }
    }
}

static struct slice value_text(const struct label_value *v, char *out)
{
    struct writer w = writer_of(out, VALUE_TEXT_MAX);
    label_value_print(v, &w);
    return writer_slice(&w);
}

/* The clause with the wanted literal replaced by what the nearest node has: the literal stands
 * behind the operator. Empty if the clause is not written that way round. */
static struct slice clause_instead(const struct clause *k, struct slice have, char *out,
                                   size_t out_size)
{
    struct slice c = k->row.clause, op = k->miss.op, name = k->miss.name;
    for (size_t at = 0; at + name.len + op.len < c.len; at++) {
        if (memcmp(c.data + at, name.data, name.len) != 0) {
            continue;
        }
        size_t i = at + name.len;
        while (i < c.len && c.data[i] == ' ') {
            i++;
        }
        if (i + op.len > c.len || memcmp(c.data + i, op.data, op.len) != 0) {
            continue;
        }
        i += op.len;
        while (i < c.len && c.data[i] == ' ') {
            i++;
        }
        size_t end = i;
        while (end < c.len && c.data[end] != ' ' && c.data[end] != ')' && c.data[end] != ',') {
            end++;
        }
        struct writer w = writer_of(out, out_size);
        writer_bytes(&w, slice_of(c.data, i));
        writer_bytes(&w, have);
        writer_bytes(&w, slice_of(c.data + end, c.len - end));
        return writer_slice(&w);
    }
    return SLICE_EMPTY;
}

/* How many nodes the whole expression would match with one clause replaced. */
static uint32_t count_instead(struct owner *o, uint64_t now_us, const struct query *q, size_t n,
                              struct slice instead, const struct match_ask *ask)
{
    char text[EXEC_WHERE_MAX + 64];
    struct writer w = writer_of(text, EXEC_WHERE_MAX);
    struct query *other;
    for (size_t i = 0; i < query_n_clauses(q); i++) {
        writer_bytes(&w, slice_text(i == 0 ? "(" : " and ("));
        writer_bytes(&w, i == n ? instead : query_clause_source(q, i));
        writer_u8(&w, ')');
    }
    if (w.failed || query_compile(writer_slice(&w), o->mem, &other, NULL) != IPX_OK) {
        return 0;
    }
    struct match_ask changed = *ask;
    changed.where = other;
    uint32_t count = match_count(&o->core->match, &changed, now_us).n_true;
    query_unref(other);
    return count;
}

static void clause_send(struct owner *o, uint64_t now_us, const struct owner_client *c,
                        const struct query *q, size_t n, const struct match_ask *ask)
{
    struct clause k = {0};
    char have[VALUE_TEXT_MAX], want[VALUE_TEXT_MAX], node[EXEC_NAME_MAX];
    char instead[EXEC_WHERE_MAX];
    clause_eval(o, now_us, q, n, &ask->job, &k);
    if (k.near != NULL && k.row.n_true == 0) {
        k.row.label = k.miss.name;
        k.row.op = k.miss.op;
        k.row.have = value_text(&k.miss.have, have);
        k.row.want = value_text(&k.miss.want, want);
        struct writer w = writer_of(node, sizeof(node));
        writer_bytes(&w, slice_text(k.near->facts.lab));
        writer_u8(&w, '/');
        writer_bytes(&w, slice_text(k.near->facts.name));
        k.row.node = writer_slice(&w);
        k.row.instead = clause_instead(&k, k.row.have, instead, sizeof(instead));
        if (k.row.instead.len > 0) {
            k.row.n_instead = count_instead(o, now_us, q, n, k.row.instead, ask);
        }
    }
    struct exec_meant m;
    struct query *clause;
    if (k.row.n_true == 0 && k.row.n_unknown > 0 &&
        query_compile(k.row.clause, o->mem, &clause, NULL) == IPX_OK) {
        k.row.meant = meant_label(&o->core->match, clause, &m) ? slice_text(m.meant) : SLICE_EMPTY;
        query_unref(clause);
    }
    struct writer w = owner_scratch(o, 1);
    exec_why_row_encode(&k.row, &w);
    client_send(o, c, EXEC_MSG_WHY_ROW, &w);
}

static void why_sum(const struct owner *o, const struct owner_job *j, uint64_t now_us,
                    const struct match_counts *n, struct exec_why_sum *ret)
{
    *ret = (struct exec_why_sum){.n_nodes = n->n_nodes,
                                 .n_labs = n->n_labs,
                                 .n_true = n->n_true,
                                 .n_false = n->n_false,
                                 .n_unknown = n->n_unknown,
                                 .n_no_offer = n->n_no_offer};
    (void)o;
    if (j == NULL || j->tasks == NULL) {
        return;
    }
    for (uint16_t i = 0; i < j->n_seats; i++) {
        const struct owner_seat *s = j->seats[i];
        if (s->state == OWNER_SEAT_REFUSED && s->reason < ARRAY_LEN(ret->n_refused)) {
            ret->n_refused[s->reason]++;
        }
        ret->n_probing += s->state == OWNER_SEAT_ASKED;
        ret->n_placed += s->state == OWNER_SEAT_OPEN;
    }
    ret->progress = job_progress(j);
    if (job_n_unplaced(j) > 0) {
        ret->waiting_us = now_us - j->waiting_since_us;
    }
}

/* The expression of the question, or the job's own. */
static bool why_query(struct owner *o, struct owner_client *c, const struct exec_ask *ask,
                      const struct owner_job *j, struct query **ret)
{
    struct query_error e;
    *ret = NULL;
    if (j != NULL) {
        *ret = j->where != NULL ? query_ref(j->where) : NULL;
        return true;
    }
    enum ipx_err err = query_compile(ask->where, o->mem, ret, &e);
    if (err != IPX_OK) {
        client_query_error(o, c, "--where", err, &e);
        return false;
    }
    return true;
}

void client_why(struct owner *o, uint64_t now_us, struct owner_client *c,
                const struct exec_ask *ask, struct owner_job *j)
{
    struct query *q;
    if (!why_query(o, c, ask, j, &q)) {
        return;
    }
    struct match_ask m = {
        .job = {.lab = o->core->self.lab, .user = slice_text(c->user), .needs = {.cpu = 1}}};
    if (j != NULL) {
        m = job_ask(o, j);
    }
    m.where = q;
    struct match_counts n = match_count(&o->core->match, &m, now_us);
    for (size_t i = 0; q != NULL && i < query_n_clauses(q); i++) {
        clause_send(o, now_us, c, q, i, &m);
    }
    struct exec_why_sum sum;
    why_sum(o, j, now_us, &n, &sum);
    struct writer w = owner_scratch(o, 1);
    exec_why_sum_encode(&sum, &w);
    client_send(o, c, EXEC_MSG_WHY_SUM, &w);
    query_unref(q);
    client_end(o, c, 0, NULL);
}
