/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/owner_parts.h"

#include <stdio.h>

#include "base/crypt.h"

/* From SUBMIT to an accepted job: every reason to say no is found here, before it has an id that
 * anyone was told. */

#define JOB_LIFE_MS (INT64_C(7) * 24 * 3600 * 1000) /* no new attempt after a week */
#define DRY_RUN_MAX 64u                             /* places shown */

void client_refuse(struct owner *o, struct owner_client *c, struct exec_error e)
{
    struct owner_job *j = c->job;
    client_error(o, c, &e);
    if (j != NULL && !job_is_over(j)) {
        job_free(o, j); /* nobody has heard of it */
    }
}

static void refuse_usage(struct owner *o, struct owner_client *c, const char *what,
                         const char *hint)
{
    client_refuse(o, c,
                  (struct exec_error){.exit_code = 2,
                                      .err = IPX_MALFORMED,
                                      .what = slice_text(what),
                                      .hint = slice_text(hint)});
}

void client_query_error(struct owner *o, struct owner_client *c, const char *flag, enum ipx_err err,
                        const struct query_error *e)
{
    char what[128], why[160];
    snprintf(what, sizeof(what), "%s is not an expression", flag);
    snprintf(why, sizeof(why), "at character %u: %s", e->position + 1, e->message);
    client_refuse(o, c,
                  (struct exec_error){.exit_code = 2,
                                      .err = err,
                                      .what = slice_text(what),
                                      .why = slice_text(why),
                                      .hint = slice_text("Try it: ipx-node match EXPR")});
}

/* --- expressions --- */

/* All --where, and the source of --on source:NAME, as one expression. False: error sent. */
static bool where_make(struct owner *o, struct owner_client *c, struct owner_job *j)
{
    char text[EXEC_WHERE_MAX + 1];
    struct writer w = writer_of(text, EXEC_WHERE_MAX);
    struct cbor_reader it = exec_list_begin(&j->submit.where);
    struct query_error e;
    bool is_one = j->submit.where.n == 1;
    for (uint32_t i = 0; i < j->submit.where.n; i++) {
        struct slice part = exec_list_next(&it);
        struct query *q;
        enum ipx_err err = query_compile(part, o->mem, &q, &e);
        if (err != IPX_OK) {
            client_query_error(o, c, "--where", err, &e);
            return false;
        }
        query_unref(q);
        writer_bytes(&w, slice_text(i == 0 ? (is_one ? "" : "(") : " and ("));
        writer_bytes(&w, part);
        writer_bytes(&w, slice_text(is_one ? "" : ")"));
    }
    if (w.len == 0 && !w.failed) {
        return true;
    }
    enum ipx_err err =
        w.failed ? IPX_LIMIT : query_compile(writer_slice(&w), o->mem, &j->where, &e);
    if (err != IPX_OK) {
        refuse_usage(o, c, "--where is too long", "all of them together: 1024 bytes");
        return false;
    }
    j->where_text = mem_dup(o->mem, text, w.len);
    if (j->where_text == NULL) {
        client_refuse(o, c,
                      (struct exec_error){.exit_code = 125,
                                          .err = IPX_NO_MEMORY,
                                          .what = slice_text("out of memory")});
        return false;
    }
    return true;
}

static bool prefer_make(struct owner *o, struct owner_client *c, struct owner_job *j)
{
    struct query_error e;
    if (j->submit.prefer.len == 0) {
        return true;
    }
    enum ipx_err err = query_compile(j->submit.prefer, o->mem, &j->prefer, &e);
    if (err != IPX_OK) {
        client_query_error(o, c, "--prefer", err, &e);
        return false;
    }
    return true;
}

/* --on NODE or source:NAME restricts to one node: a live source is at one place. */
static bool on_make(struct owner *o, struct owner_client *c, struct owner_job *j)
{
    struct slice on = j->submit.on;
    const struct match_peer *p;
    if (on.len == 0) {
        return true;
    }
    if (on.len > 7 && memcmp(on.data, "source:", 7) == 0) {
        p = client_resolve(o, c, slice_of(on.data + 7, on.len - 7), true);
    } else {
        p = client_resolve(o, c, on, false);
    }
    if (p == NULL) {
        return false;
    }
    j->has_only = true;
    j->only = p->facts.id;
    return true;
}

static bool stream_make(struct owner *o, struct owner_client *c, struct owner_job *j)
{
    struct slice s = j->submit.stream;
    if (s.len > 7 && memcmp(s.data, "source:", 7) == 0) {
        j->submit.stream = s = slice_of(s.data + 7, s.len - 7);
    }
    if (s.len == 0) {
        return true;
    }
    const struct match_peer *p = client_resolve(o, c, s, true);
    if (p == NULL) {
        return false;
    }
    j->stream_node = p->facts.id;
    return true;
}

/* --- what goes to places --- */

static enum exec_stdin stdin_kind(const struct exec_submit *m)
{
    if (m->stream.len > 0) {
        return EXEC_STDIN_SOURCE;
    }
    return (m->flags & EXEC_SUBMIT_STDIN) != 0 ? EXEC_STDIN_CLIENT : EXEC_STDIN_NONE;
}

/* Spec, signed header, and the proof that a JOB of both fits. */
static enum ipx_err job_seal(struct owner *o, struct owner_job *j)
{
    const struct exec_submit *m = &j->submit;
    bool is_streamed = m->mode == EXEC_MODE_RUN && (m->flags & EXEC_SUBMIT_DETACH) == 0;
    struct exec_spec spec = {
        .mode = m->mode,
        .output = is_streamed ? EXEC_OUTPUT_STREAM : EXEC_OUTPUT_CAPTURE,
        .stdin_kind = stdin_kind(m),
        .is_pure = (m->flags & EXEC_SUBMIT_PURE) != 0,
        .count = j->count,
        .needs = m->needs,
        .argv = m->argv,
        .env = m->env,
        .where = j->where_text != NULL ? slice_text(j->where_text) : SLICE_EMPTY,
        .stream = m->stream,
        .stream_node = j->stream_node,
    };
    struct writer w = owner_scratch(o, 0);
    exec_spec_encode(&spec, &w);
    if (w.failed || buf_append(&j->spec, writer_slice(&w)) != IPX_OK) {
        return IPX_LIMIT;
    }
    struct exec_header header = {
        .job = j->id,
        .submitter = o->core->self.id,
        .chain_hash = o->core->self.chain_hash,
        .user = slice_text(j->user),
        .spec_hash = crypt_hash(buf_slice(&j->spec)),
        .needs = m->needs,
        .expires_ms = j->submitted_ms + JOB_LIFE_MS,
    };
    w = owner_scratch(o, 0);
    exec_header_encode(&header, &w);
    if (w.failed || buf_append(&j->header, writer_slice(&w)) != IPX_OK) {
        return IPX_LIMIT;
    }
    crypt_sign(o->core->key, "job", &o->core->mesh, buf_slice(&j->header), j->signature);
    /* header, signature, three numbers and the heads of them all */
    return j->spec.len + j->header.len + 256 <= EXEC_BODY_MAX ? IPX_OK : IPX_LIMIT;
}

/* --- accepting --- */

static void accepted_send(struct owner *o, uint64_t now_us, const struct owner_client *c,
                          const struct owner_job *j)
{
    struct match_ask ask = job_ask(o, j);
    struct match_counts n = match_count(&o->core->match, &ask, now_us);
    struct exec_meant meant;
    struct exec_accepted m = {.id = j->id,
                              .short_len = job_short_len(o, j),
                              .count = j->count,
                              .n_match = n.n_true,
                              .n_unknown = n.n_unknown,
                              .n_nodes = n.n_nodes,
                              .n_labs = n.n_labs,
                              .item_bytes = j->items.len};
    if (j->where != NULL && meant_label(&o->core->match, j->where, &meant) &&
        (n.n_true == 0 || meant.meant[0] != '\0')) {
        m.unknown = slice_text(meant.name);
        m.meant = slice_text(meant.meant);
    }
    struct writer w = owner_scratch(o, 0);
    exec_accepted_encode(&m, &w);
    client_send(o, c, EXEC_MSG_ACCEPTED, &w);
}

/* The places in the order in which they would be asked. */
static void dry_run(struct owner *o, uint64_t now_us, struct owner_client *c, struct owner_job *j)
{
    const struct match *m = &o->core->match;
    struct match_ask ask = job_ask(o, j);
    struct match_candidate best[DRY_RUN_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        struct match_candidate k;
        if (!match_peer_eval(m->peers[i], &ask, now_us, &k)) {
            continue;
        }
        k.peer = m->peers[i];
        uint32_t at = n;
        while (at > 0 && match_before(&k, &best[at - 1])) {
            at--;
        }
        if (at < DRY_RUN_MAX) {
            uint32_t last = IPX_MIN(n, DRY_RUN_MAX - 1);
            memmove(best + at + 1, best + at, (last - at) * sizeof(best[0]));
            best[at] = k;
            n = last + 1;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct match_peer *p = best[i].peer;
        struct exec_place_row r = {.node = slice_text(p->facts.name),
                                   .lab = slice_text(p->facts.lab),
                                   .truth = (uint8_t)best[i].truth,
                                   .n_free = p->vitals.n_free,
                                   .wait_ms = p->vitals.wait_ms,
                                   .rtt_us = (uint32_t)IPX_MIN(p->srtt_us, UINT32_MAX)};
        struct writer w = owner_scratch(o, 0);
        exec_place_row_encode(&r, &w);
        client_send(o, c, EXEC_MSG_PLACE_ROW, &w);
    }
    client_end(o, c, 0, NULL);
    job_free(o, j);
}

/* All items are here. */
static void job_accept(struct owner *o, uint64_t now_us, struct owner_client *c)
{
    struct owner_job *j = c->job;
    if (j->count == 0) {
        refuse_usage(o, c, "no items: there is nothing to run", "map CMD ::: a b c");
        return;
    }
    j->tasks = mem_alloc_array(o->mem, j->count, sizeof(*j->tasks));
    if (j->tasks == NULL) {
        client_refuse(o, c,
                      (struct exec_error){.exit_code = 125,
                                          .err = IPX_NO_MEMORY,
                                          .what = slice_text("out of memory for so many tasks")});
        return;
    }
    j->n_in[OWNER_TASK_WAITING] = j->count;
    if (job_seal(o, j) != IPX_OK) {
        refuse_usage(o, c, "command, environment and expressions are too long together",
                     "give large input by stdin or as items");
        return;
    }
    accepted_send(o, now_us, c, j);
    if ((j->submit.flags & EXEC_SUBMIT_DRY_RUN) != 0) {
        dry_run(o, now_us, c, j);
        return;
    }
    sm_move(&exec_job_table, &j->state, OWNER_JOB_ACTIVE);
    job_tell(o, j, true);
    j->wants_pass = true;
    job_dirty(o, j);
    c->last = j->count;
    if ((j->submit.flags & EXEC_SUBMIT_DETACH) != 0) {
        client_end(o, c, 0, NULL);
    }
}

/* --- items --- */

static bool item_add(struct owner *o, struct owner_job *j, struct slice item)
{
    if (j->count == EXEC_TASKS_MAX) {
        return false;
    }
    if (j->count == j->cap_items) {
        uint32_t cap = j->cap_items == 0 ? 64 : j->cap_items * 2;
        uint32_t *ends = mem_realloc(o->mem, j->item_ends, cap * sizeof(*ends));
        if (ends == NULL) {
            return false;
        }
        j->item_ends = ends;
        j->cap_items = cap;
    }
    if (buf_append(&j->items, item) != IPX_OK) {
        return false;
    }
    j->item_ends[j->count++] = (uint32_t)j->items.len;
    return true;
}

void client_items(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body)
{
    struct exec_items m;
    struct owner_job *j = c->job;
    if (exec_items_decode(body, &m) != IPX_OK || j == NULL || j->state != OWNER_JOB_RECEIVING) {
        o->core->n_malformed++;
        refuse_usage(o, c, "an item is too long, or came too late", "an item has <= 64 KiB");
        return;
    }
    struct cbor_reader it = exec_list_begin(&m.items);
    for (uint32_t i = 0; i < m.items.n; i++) {
        struct slice item = exec_list_next(&it);
        bool has_nul = item.len > 0 && memchr(item.data, 0, item.len) != NULL;
        if (has_nul || !item_add(o, j, item)) {
            refuse_usage(o, c, has_nul ? "an item has a NUL byte" : "too many items",
                         "a job has <= 1 000 000 items of <= 64 MiB together");
            return;
        }
    }
    if (m.end) {
        job_accept(o, now_us, c);
    }
}

/* --- SUBMIT --- */

/* What flags allow together. NULL: fine. */
static const char *submit_clash(const struct exec_submit *m)
{
    bool has_items = (m->flags & EXEC_SUBMIT_ITEMS) != 0;
    if (m->mode == EXEC_MODE_RUN && (has_items || m->range.len > 0)) {
        return "run has no items";
    }
    if (m->mode == EXEC_MODE_MAP && has_items == (m->range.len > 0)) {
        return "map wants items or a range, one of both";
    }
    if (m->mode == EXEC_MODE_MAP && (m->flags & EXEC_SUBMIT_STDIN) != 0) {
        return "map gives its tasks no stdin";
    }
    if (m->stream.len > 0 && (m->flags & EXEC_SUBMIT_STDIN) != 0) {
        return "stdin is either a source or the terminal's";
    }
    if ((m->flags & EXEC_SUBMIT_DETACH) != 0 && (m->flags & EXEC_SUBMIT_STDIN) != 0) {
        return "a detached job has no stdin";
    }
    return NULL;
}

static bool words_check(struct owner *o, struct owner_client *c, const struct exec_submit *m)
{
    char hint[160];
    if (!job_words_are_valid(&m->argv, &m->env)) {
        refuse_usage(o, c, "no command, or a word of it or of --env cannot be given to a process",
                     "run -- CMD ARG..; --env K=V");
        return false;
    }
    struct cbor_reader it = exec_list_begin(&m->argv);
    struct slice word = exec_list_next(&it);
    if (m->argv.n == 1 && word.len > 0 && memchr(word.data, ' ', word.len) != NULL) {
        snprintf(hint, sizeof(hint), "sh -c '%.*s' _%s", (int)IPX_MIN(word.len, 100u),
                 (const char *)word.data, m->mode == EXEC_MODE_MAP ? " {}" : "");
        refuse_usage(o, c, "the command is one word with blanks in it, and there is no shell",
                     hint);
        return false;
    }
    return true;
}

static bool range_make(struct owner *o, struct owner_client *c, struct owner_job *j)
{
    if (j->submit.range.len == 0) {
        return true;
    }
    enum ipx_err err = job_range_parse(j->submit.range, &j->range);
    if (err != IPX_OK) {
        refuse_usage(o, c,
                     err == IPX_LIMIT ? "--range has more than 1 000 000 numbers"
                                      : "--range is not A-B or A-B:S",
                     "--range 1-100:5");
        return false;
    }
    j->count = j->range.count;
    return true;
}

void client_submit(struct owner *o, uint64_t now_us, struct owner_client *c, struct slice body)
{
    struct exec_submit m;
    struct owner_job *j;
    if ((c->rights & (EXEC_RIGHT_SUBMIT | EXEC_RIGHT_ADMIN)) == 0) {
        client_refuse(o, c,
                      (struct exec_error){.exit_code = 125,
                                          .err = IPX_DENIED,
                                          .what = slice_text("not allowed to submit here")});
        return;
    }
    if (exec_submit_decode(body, &m) != IPX_OK) {
        o->core->n_malformed++;
        refuse_usage(o, c, "the command is too long", "words: 128 KiB; --env: 64 of 32 KiB");
        return;
    }
    const char *clash = submit_clash(&m);
    if (clash != NULL) {
        refuse_usage(o, c, clash, "");
        return;
    }
    if (!words_check(o, c, &m)) {
        return;
    }
    enum ipx_err err = job_new(o, now_us, &j);
    if (err == IPX_OK && buf_append(&j->submit_bytes, body) != IPX_OK) {
        job_free(o, j);
        err = IPX_NO_MEMORY;
    }
    if (err != IPX_OK) {
        client_refuse(o, c,
                      (struct exec_error){.exit_code = 125,
                                          .err = err,
                                          .what = slice_text("this node takes no more jobs"),
                                          .why = slice_text("256 are unfinished, or no memory"),
                                          .hint = slice_text("List them: ipx-node ps")});
        return;
    }
    err = exec_submit_decode(buf_slice(&j->submit_bytes), &j->submit);
    assert(err == IPX_OK); /* the same bytes as above, now owned */
    j->submit.needs.cpu = IPX_MAX(j->submit.needs.cpu, 1u);
    memcpy(j->user, c->user, sizeof(j->user));
    c->kind = OWNER_CLIENT_SUBMIT;
    c->job = j;
    j->client = c;
    j->n_refs = 1;
    j->count = m.mode == EXEC_MODE_RUN;
    if (range_make(o, c, j) && where_make(o, c, j) && prefer_make(o, c, j) && on_make(o, c, j) &&
        stream_make(o, c, j) && (m.flags & EXEC_SUBMIT_ITEMS) == 0) {
        job_accept(o, now_us, c);
    }
}
