/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line changes at its node: labels and policy. */
#include "node/control.h"

#include <stdio.h>

static void labels_changed(struct control_call *c, const char *how)
{
    for (size_t i = 0; i < c->request->n_args; i++) {
        char text[EVENTS_TEXT_MAX];
        struct slice label = call_arg(c, i);
        int len = snprintf(text, sizeof(text), "%s %.*s", how,
                           (int)IPX_MIN(label.len, sizeof(text) - 8), (const char *)label.data);
        events_tell(c->n, EVENTS_LABEL, &c->n->config.key.pk, slice_of(text, (size_t)len));
    }
    members_update_ad(c->n);
    node_save_later(c->n, NODE_SAVE_LABELS);
    call_end(c, 0);
}

void control_label_set(struct control_call *c)
{
    for (size_t i = 0; i < c->request->n_args; i++) {
        struct slice text = call_arg(c, i);
        enum ipx_err err = own_ad_set(&c->n->own_ad, text);
        if (err != IPX_OK) {
            char what[128];
            snprintf(what, sizeof(what), "label not set: %.*s", (int)IPX_MIN(text.len, 64u),
                     (const char *)text.data);
            const char *why = err == IPX_DENIED  ? "this name is set by the node itself"
                              : err == IPX_LIMIT ? "too many labels, or too long"
                                                 : "a label is typed name=value";
            call_fail(c, &(struct call_error){.exit_code = err == IPX_MALFORMED ? 2 : 1,
                                              .err = err,
                                              .what = what,
                                              .why = why,
                                              .hint = "Names are a-z 0-9 _ with dots between"});
            return;
        }
    }
    labels_changed(c, "set");
}

void control_label_unset(struct control_call *c)
{
    for (size_t i = 0; i < c->request->n_args; i++) {
        struct slice name = call_arg(c, i);
        enum ipx_err err = own_ad_unset(&c->n->own_ad, name);
        if (err != IPX_OK) {
            char what[128];
            snprintf(what, sizeof(what), "label not removed: %.*s", (int)IPX_MIN(name.len, 64u),
                     (const char *)name.data);
            call_fail(c, &(struct call_error){.exit_code = err == IPX_NOT_FOUND ? 3 : 1,
                                              .err = err,
                                              .what = what,
                                              .why = err == IPX_NOT_FOUND
                                                         ? "this node has no such label"
                                                         : "the node found it by itself",
                                              .hint = "See the labels: ipx-node label"});
            return;
        }
    }
    labels_changed(c, "unset");
}

void control_policy_show(struct control_call *c)
{
    struct writer w = call_writer(c);
    control_row_begin(&w, 3);
    control_row_slice(&w, "accept", query_source(c->n->accept));
    control_row_text(&w, "lab", c->n->self.lab);
    control_row_bool(&w, "foreign_labs", !c->n->config.has_issuer);
    call_row(c, &w);
    call_end(c, 0);
}

void control_policy_set(struct control_call *c)
{
    static const char prefix[] = "accept=";
    struct slice text = call_arg(c, 0);
    struct query *q = NULL;
    struct query_error error = {0, "a policy is typed accept=EXPR"};
    enum ipx_err err = IPX_MALFORMED;
    if (text.len > sizeof(prefix) - 1 && memcmp(text.data, prefix, sizeof(prefix) - 1) == 0) {
        struct slice source =
            slice_of(text.data + sizeof(prefix) - 1, text.len - sizeof(prefix) + 1);
        err = query_compile(source, c->n->mem, &q, &error);
    }
    if (err != IPX_OK) {
        char why[160];
        snprintf(why, sizeof(why), "at character %u: %s", error.position + 1, error.message);
        call_fail(c, &(struct call_error){.exit_code = 2,
                                          .err = err,
                                          .what = "the policy is not changed",
                                          .why = why,
                                          .hint = "Example: policy set 'accept=job.lab == lab'"});
        return;
    }
    query_unref(c->n->accept);
    c->n->accept = q;
    if (c->n->exec != NULL) {
        exec_set_accept(c->n->exec, q);
    }
    node_save_later(c->n, NODE_SAVE_POLICY);
    events_tell(c->n, EVENTS_POLICY, &c->n->config.key.pk, text);
    control_policy_show(c);
}
