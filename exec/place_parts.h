/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the place's files offer one another. Included through exec/place_core.h, which says what
 * it is about. Private to exec/place*.c.
 */
/* place.c */
struct place_owner *place_owner_get(struct place *p, const struct node_id *id);
void place_owner_unref(struct place *p, struct place_owner *o);
struct place_stream *place_stream_find(const struct place *p, uint32_t handle);
/* Closes and forgets it; a job on it goes on without, as if the link had broken. */
void place_stream_break(struct place *p, struct place_stream *s, enum ipx_err err);
struct writer place_scratch(struct place *p, unsigned which);
void place_send(struct place *p, const struct place_stream *s, uint8_t type, enum exec_class class,
                const struct writer *w);

/* place_ask.c: who may, and reservations */
/* 0: yes. `where` NULL: none. */
enum exec_refusal place_judge(struct place *p, uint64_t now_us, const struct match_job *job,
                              const struct query *where);
uint32_t place_free_slots(const struct place *p);
/* Would a claim that is queued now start soon? */
bool place_is_quick(const struct place *p);
uint64_t place_wait_us(const struct place *p);
struct place_reservation *place_reservation_find(struct place *p, const struct node_id *owner,
                                                 const struct exec_job_id *job);
void place_reservation_take(struct place *p, struct place_reservation *r, uint32_t n);
void place_reservations_tick(struct place *p, uint64_t now_us);
uint64_t place_reservations_deadline(const struct place *p);

/* place_job.c */
void place_on_job(struct place *p, uint64_t now_us, struct place_stream *s, struct slice body);
void place_job_free(struct place *p, struct place_job *j);
void place_job_end(struct place *p, struct place_job *j); /* the owner wants nothing more of it */
void place_job_maybe_free(struct place *p, struct place_job *j);
struct match_job place_job_env(const struct place_job *j);
void place_job_renew(struct place *p, uint64_t now_us, struct place_job *j);
void place_job_tick(struct place *p, uint64_t now_us, struct place_job *j);
void place_job_schedule(struct place *p, struct place_job *j);

/* place_claim.c */
struct place_claim *place_claim_find(struct place_job *j, const struct exec_attempt_id *id);
struct place_claim *place_claim_of(const struct place *p, uint64_t number);
void place_on_claims(struct place *p, uint64_t now_us, struct place_job *j, struct slice body);
void place_claim_refuse(struct place *p, struct place_claim *c, enum exec_refusal reason);
void place_claim_start(struct place *p, uint64_t now_us, struct place_claim *c);
void place_claim_signal(struct place *p, struct place_claim *c, uint8_t signal);
void place_claim_cancel(struct place *p, uint64_t now_us, struct place_claim *c, uint8_t signal);
void place_claim_kill(struct place *p, struct place_claim *c, enum exec_end why);
void place_claim_ended(struct place *p, struct place_claim *c); /* DRAINING: is all out? */
void place_claim_free(struct place *p, struct place_claim *c);
void place_claim_tick(struct place *p, uint64_t now_us, struct place_claim *c);
uint64_t place_claim_end_us(const struct place_claim *c);

/* place_io.c */
void place_io_begin(struct place *p, uint64_t now_us, struct place_claim *c);
void place_io_feed(struct place *p); /* what came from sources, to the tasks that read them */
void place_io_read(struct place *p, struct place_claim *c, uint8_t fd);
void place_io_pump(struct place *p, struct place_claim *c); /* sends what the windows allow */
bool place_io_is_sent(const struct place_claim *c);
void place_on_stdin(struct place *p, struct place_stream *s, struct slice body);
void place_on_out_ack(struct place *p, struct place_stream *s, struct slice body);
void place_io_rewind(struct place_claim *c);                       /* on a re-opened stream */
void place_io_close_stdin(struct place *p, struct place_claim *c); /* the process is gone */
void place_io_done(struct place *p, struct place_claim *c);
bool place_is_inline(const struct place_claim *c);
