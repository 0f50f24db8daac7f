/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the owner's files offer one another; owner_core.h says what it is about.
 * Private to exec/owner*.c.
 */
#include "exec/owner_core.h"

/* owner_job.c */
struct owner_job *job_find(struct owner *o, uint32_t serial);
IPX_MUST_USE enum ipx_err job_new(struct owner *o, uint64_t now_us, struct owner_job **ret);
void job_free(struct owner *o, struct owner_job *j);
void job_dirty(struct owner *o, struct owner_job *j);
void job_unref(struct owner *o, struct owner_job *j);
bool job_is_over(const struct owner_job *j);
uint32_t job_n_unplaced(const struct owner_job *j); /* waiting and probing */
struct slice job_item(const struct owner_job *j, uint32_t task, char text[static 24]);
void task_move(struct owner_job *j, uint32_t task, enum owner_task_state to);
void task_wait(struct owner_job *j, uint64_t now_us, uint32_t task); /* into `again` */
bool task_take(struct owner_job *j, uint64_t now_us, const struct owner_seat *seat, uint32_t *ret);
/* False: nothing that waits may go there. */
bool seat_is_useful(const struct owner_job *j, uint64_t now_us, const struct owner_seat *seat);
void task_end(struct owner *o, struct owner_job *j, uint32_t task, enum owner_task_state to);
void again_remove(struct owner_job *j, uint32_t task);
uint64_t task_object(const struct owner_job *j, uint32_t task, uint8_t fd);
void task_drop_objects(struct owner *o, struct owner_job *j, uint32_t task);
void job_end_waiting(struct owner *o, struct owner_job *j, enum owner_task_state to,
                     enum exec_end end);
void job_cancel(struct owner *o, uint64_t now_us, struct owner_job *j, uint8_t signal);
void job_maybe_finish(struct owner *o, uint64_t now_us, struct owner_job *j);
struct exec_progress job_progress(const struct owner_job *j);
uint8_t job_short_len(const struct owner *o, const struct owner_job *j);
/* For the node's events: it began, or it is over. */
void job_tell(struct owner *o, const struct owner_job *j, bool is_begun);
uint8_t job_exit_code(const struct owner_job *j);

/* owner_seat.c: asking places */
struct owner_seat *seat_find(struct owner_job *j, const struct node_id *id);
void seat_free(struct owner *o, struct owner_seat *s);
void job_pass(struct owner *o, uint64_t now_us, struct owner_job *j);
void job_take_grants(struct owner *o, uint64_t now_us, struct owner_job *j);
void seat_refused(struct owner *o, uint64_t now_us, struct owner_seat *s, uint8_t reason,
                  uint32_t wait_ms);
uint32_t job_demand(const struct owner_job *j,
                    uint64_t now_us); /* tasks beyond the credit there is */
bool seat_is_blocked(uint64_t now_us, const struct owner_seat *s, const struct match_peer *p);
void seat_answered(struct owner_job *j, struct owner_seat *s, enum owner_seat_state to);
struct match_ask job_ask(struct owner *o, const struct owner_job *j);

/* owner_time.c */
uint64_t job_deadline(const struct owner_job *j, uint64_t now_us);
void job_tick(struct owner *o, uint64_t now_us, struct owner_job *j);

/* owner_claim.c: streams to places */
void seat_open(struct owner *o, uint64_t now_us, struct owner_seat *s);
void seat_close(struct owner *o, struct owner_seat *s);
void seat_lost(struct owner *o, uint64_t now_us, struct owner_seat *s);
void seat_violation(struct owner *o, uint64_t now_us, struct owner_seat *s);
void seat_cancel(struct owner *o, struct owner_seat *s, bool all, uint32_t task, uint32_t attempt,
                 uint8_t signal);
bool seat_claims_reserve(struct owner *o, struct owner_seat *s, uint32_t n);
void seat_lost_add(struct owner *o, struct owner_seat *s, uint32_t task, uint32_t attempt);
bool seat_lost_has(const struct owner_seat *s, uint32_t task, uint32_t attempt);
void seat_claim_add(struct owner_seat *s, uint32_t task);
void seat_claim_remove(struct owner_seat *s, uint32_t task);
uint64_t seat_claims_end(const struct owner_seat *s);
void job_fill(struct owner *o, uint64_t now_us, struct owner_job *j);
void job_send_stdin(struct owner *o, struct owner_job *j);
struct owner_seat *job_run_seat(struct owner_job *j); /* where a run's task is, or NULL */

/* owner_result.c */
void attempt_lost(struct owner *o, uint64_t now_us, struct owner_job *j, uint32_t task);
bool seat_on_result(struct owner *o, uint64_t now_us, struct owner_seat *s,
                    const struct exec_result *r, struct writer *acks, uint32_t *n_acks);
bool seat_on_output(struct owner *o, uint64_t now_us, struct owner_seat *s,
                    const struct exec_bytes *b);
void xfer_drop(struct owner *o, uint32_t xfer);
void xfer_finish(struct owner *o, uint64_t now_us, uint32_t xfer);
void xfer_fail(struct owner *o, uint64_t now_us, uint32_t xfer);
void task_settle(struct owner *o, uint64_t now_us, struct owner_job *j, uint32_t task);
void task_leave_seat(struct owner_job *j, uint32_t task);
void result_ack_send(struct owner *o, struct owner_seat *s, uint32_t task, uint32_t attempt);

/* owner_output.c */
/* False: over the window. */
bool sink_put(struct owner *o, struct owner_sink *k, struct slice bytes);
void sink_init(struct owner *o, struct owner_sink *k, uint64_t object);
bool sink_on_stored(struct owner *o, struct owner_sink *k); /* false: no memory */
void sink_done(struct owner_sink *k);
void job_send_out_acks(struct owner *o, struct owner_job *j);

/* owner_client.c, owner_ask.c, owner_submit.c, owner_why.c */
struct owner_client *client_find(struct owner *o, uint32_t handle);
void client_send(struct owner *o, const struct owner_client *c, uint8_t type, struct writer *w);
void client_error(struct owner *o, struct owner_client *c, const struct exec_error *e);
void client_end(struct owner *o, struct owner_client *c, uint8_t exit_code,
                const struct exec_end_msg *extra);
void client_close(struct owner *o, uint64_t now_us, struct owner_client *c);
void client_pump(struct owner *o, uint64_t now_us, struct owner_client *c);
void client_job_over(struct owner *o, struct owner_job *j);
struct exec_task_row task_row(const struct owner_job *j, uint32_t task, char item[static 24]);
void client_ask(struct owner *o, uint64_t now_us, struct owner_client *c, uint8_t type,
                struct slice body);
void client_submit(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body);
void client_items(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body);
void client_why(struct owner *o, uint64_t now_us, struct owner_client *c,
                const struct exec_ask *ask, struct owner_job *j);
struct owner_job *client_job(struct owner *o, struct owner_client *c, struct slice prefix);
void client_query_error(struct owner *o, struct owner_client *c, const char *flag, enum ipx_err err,
                        const struct query_error *e);
/* Ends the command with an error; frees the job it was about to submit. */
void client_refuse(struct owner *o, struct owner_client *c, struct exec_error e);
/* owner_name.c: a node or the publisher of a source; NULL: an error was sent. */
const struct match_peer *client_resolve(struct owner *o, struct owner_client *c, struct slice text,
                                        bool is_source);
struct writer owner_scratch(struct owner *o, unsigned which);
