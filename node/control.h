/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One request of the command line, being answered: private to node/control*.c.
 * A handler writes rows with call_row, and returns having called call_end or
 * call_fail exactly once (or, to wait, neither: the stream is then looked at again
 * by control_tick).
 */
#include "node/core.h"

struct control_call {
    struct node *n;
    struct stream *s;
    const struct node_local *who;
    const struct control_request *request;
};

/* A writer for one row; call_row sends what it holds. */
struct writer call_writer(struct control_call *c);
void call_row(struct control_call *c, const struct writer *w);
void call_end(struct control_call *c, uint8_t exit_code);
/* Something for people beside the rows: goes to stderr. At most 200 bytes are shown. */
void call_note(struct control_call *c, const char *text);
/* Says which label of the expression nobody has, and what may have been meant. `is_empty`: also
 * where nothing is near, for that is why nothing came. NULL query: nothing. */
void call_meant(struct control_call *c, const struct query *q, bool is_empty);
/* Three sentences as cli.md wants them; `why` and `hint` may be "". */
struct call_error {
    uint8_t exit_code;
    enum ipx_err err;
    const char *what, *why, *hint;
};
void call_fail(struct control_call *c, const struct call_error *e);
/* The i-th argument, empty if not given. */
struct slice call_arg(const struct control_call *c, size_t i);

/* A member by name, lab/name, or prefix of its id. Conditions: IPX_NOT_FOUND, IPX_CONFLICT
 * (several; both already answered by call_fail). */
IPX_MUST_USE enum ipx_err call_find_node(struct control_call *c, struct slice text,
                                         const struct gossip_member **ret);
/* Compiles the expression of argument i, NULL if it is empty. Answers by call_fail if malformed. */
IPX_MUST_USE enum ipx_err call_query(struct control_call *c, size_t i, struct query **ret);

/* control_rows.c */
void control_status(struct control_call *c);
void control_nodes(struct control_call *c);
void control_peers(struct control_call *c);
void control_sources(struct control_call *c);
void control_label_show(struct control_call *c);

/* control_change.c */
void control_label_set(struct control_call *c);
void control_label_unset(struct control_call *c);
void control_policy_show(struct control_call *c);
void control_policy_set(struct control_call *c);

/* control_events.c */
void control_events(struct control_call *c);
/* Sends what there is room for; true when all that was asked for is sent. */
bool events_end_wait(struct node *n, struct stream *s);
