/* SPDX-License-Identifier: Apache-2.0 */
/* why: clause by clause, with counts and the nearest miss. */
#include <stdio.h>

#include "node/cmd_exec.h"

struct asked {
    struct cmd *c;
    bool has_job;
};

static void set_text(json_t *object, const char *key, struct slice text)
{
    json_object_set_new(object, key, out_json_text(text));
}

static void set_count(json_t *object, const char *key, uint64_t v)
{
    json_object_set_new(object, key, json_integer((json_int_t)v));
}

static void row_json(struct asked *a, const struct exec_why_row *r)
{
    json_t *object = out_object();
    set_text(object, "clause", r->clause);
    set_count(object, "true", r->n_true);
    set_count(object, "false", r->n_false);
    set_count(object, "unknown", r->n_unknown);
    set_count(object, "type", r->n_type);
    set_text(object, "unknown_name", r->unknown_name);
    set_text(object, "label", r->label);
    set_text(object, "op", r->op);
    set_text(object, "have", r->have);
    set_text(object, "want", r->want);
    set_text(object, "node", r->node);
    set_text(object, "try", r->instead);
    set_count(object, "try_matches", r->n_instead);
    set_text(object, "meant", r->meant);
    out_json(&a->c->out, object);
}

static void show_row(struct asked *a, const struct exec_why_row *r)
{
    char clause[1100], name[128], label[128], have[128], node[128], instead[1100];
    if (a->c->out.json) {
        row_json(a, r);
        return;
    }
    out_clean(r->clause, clause, sizeof(clause));
    out_clean(r->unknown_name, name, sizeof(name));
    printf("%s   %u of %u true - %u false - %u unknown", clause, r->n_true,
           r->n_true + r->n_false + r->n_unknown, r->n_false, r->n_unknown);
    if (r->n_unknown > 0 && name[0] != '\0') {
        printf(" (%s %s)", r->n_type > 0 ? "wrong type of" : "without", name);
    }
    putchar('\n');
    if (r->label.len > 0) {
        out_clean(r->label, label, sizeof(label));
        out_clean(r->have, have, sizeof(have));
        out_clean(r->node, node, sizeof(node));
        printf("  nearest: %s, its %s is %s\n", node, label, have);
    }
    if (r->instead.len > 0) {
        out_clean(r->instead, instead, sizeof(instead));
        printf("  try: %s   matches %u\n", instead, r->n_instead);
    }
    if (r->meant.len > 0) {
        out_clean(r->meant, instead, sizeof(instead));
        printf("  did you mean %s?\n", instead);
    }
}

static void sum_json(struct asked *a, const struct exec_why_sum *s)
{
    json_t *object = out_object();
    set_count(object, "nodes", s->n_nodes);
    set_count(object, "labs", s->n_labs);
    set_count(object, "true", s->n_true);
    set_count(object, "false", s->n_false);
    set_count(object, "unknown", s->n_unknown);
    set_count(object, "no_offer", s->n_no_offer);
    json_t *refused = json_object();
    for (unsigned i = EXEC_REFUSAL_FULL; i <= EXEC_REFUSAL_STALE; i++) {
        set_count(refused, exec_refusal_name((enum exec_refusal)i), s->n_refused[i]);
    }
    json_object_set_new(object, "refused", refused);
    set_count(object, "probing", s->n_probing);
    set_count(object, "placed", s->n_placed);
    set_count(object, "waiting", s->progress.n_waiting);
    json_object_set_new(object, "why", json_string(exec_waiting_name(s->progress.why)));
    json_object_set_new(object, "waiting_s", json_real((double)s->waiting_us / 1e6));
    out_json(&a->c->out, object);
}

static void show_sum(struct asked *a, const struct exec_why_sum *s)
{
    char span[32];
    if (a->c->out.json) {
        sum_json(a, s);
        return;
    }
    if (s->progress.n_waiting > 0) {
        out_duration((double)s->waiting_us / 1e6, span, sizeof(span));
        printf("waiting %s: %s\n", span, exec_waiting_text(s->progress.why));
    }
    printf("in all: %u of %u nodes match, %u do not, %u unknown", s->n_true, s->n_nodes, s->n_false,
           s->n_unknown);
    printf(s->n_no_offer > 0 ? "; %u offer nothing\n" : "\n", s->n_no_offer);
    for (unsigned i = EXEC_REFUSAL_FULL; i <= EXEC_REFUSAL_STALE; i++) {
        if (s->n_refused[i] > 0) {
            printf("  %u refused: %s\n", s->n_refused[i], exec_refusal_name((enum exec_refusal)i));
        }
    }
}

static int on_message(struct asked *a, uint8_t type, struct slice body)
{
    struct exec_why_row row;
    struct exec_why_sum sum;
    struct exec_end_msg end;
    if (type == EXEC_MSG_ERROR) {
        return exec_fail(a->c, body);
    }
    if (type == EXEC_MSG_END) {
        return exec_end_decode(body, &end) == IPX_OK ? end.exit_code : OUT_FAILED;
    }
    if (type == EXEC_MSG_WHY_ROW && exec_why_row_decode(body, &row) == IPX_OK) {
        show_row(a, &row);
    } else if (type == EXEC_MSG_WHY_SUM && exec_why_sum_decode(body, &sum) == IPX_OK) {
        show_sum(a, &sum);
    }
    return -1;
}

int cmd_why(struct cmd *c)
{
    struct asked a = {.c = c, .has_job = c->args.n_words > 0};
    struct client client;
    uint8_t list[256], bytes[4096], type;
    struct slice body;
    struct writer ids = writer_of(list, sizeof(list)), w = writer_of(bytes, sizeof(bytes));
    char *where = cmd_where(c, FLAG_WHERE);
    if (where == NULL) {
        return OUT_USAGE;
    }
    if (a.has_job == (where[0] != '\0')) {
        mem_free(&c->mem, where);
        return cmd_usage(c, "why wants the id of a job or --where EXPR, one of both",
                         "See: ipx-node why --help");
    }
    cbor_put_array(&ids, a.has_job ? 1 : 0);
    struct exec_ask m = {.ids = {.n = a.has_job}, .where = slice_text(where)};
    if (a.has_job) {
        struct slice id = slice_text(c->args.words[0]);
        id.len = IPX_MIN(id.len, (size_t)128); /* none is so long: it is not found */
        cbor_put_bytes(&ids, id);
        m.ids.bytes = (uint32_t)id.len;
    }
    m.ids.raw = writer_slice(&ids);
    exec_ask_encode(&m, &w);
    int code = cmd_connect(c, &client, NODE_PROTOCOL_EXEC_CLIENT);
    if (code == 0) {
        code = !w.failed && local_send(&client, EXEC_MSG_WHY, writer_slice(&w)) ? -1 : OUT_FAILED;
        while (code < 0) {
            code = local_read(&client, &type, &body) == IPX_OK ? on_message(&a, type, body)
                                                               : cmd_lost(c, OUT_FAILED);
        }
        local_close(&client);
    }
    mem_free(&c->mem, where);
    return code;
}
