/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a reader of the story wants to see: who is who to whom, and what becomes of work. */
static const char *const told[] = {
    "node admit",      "node joined",     "node join failed",   "gossip up",    "gossip suspect",
    "gossip dead",     "gossip left",     "gossip alive again", "exec granted", "exec place lost",
    "exec link broke", "exec owner gone", "exec done",          "exec failed",
};

static const char *const modules[] = {"node", "session", "link", "dht", "gossip", "exec", "source"};

static const char *name_of(const struct world *w, const struct node_id *id)
{
    for (unsigned i = 0; i < w->n_nodes; i++) {
        if (node_id_equal(id, &w->nodes[i].key.pk)) {
            return w->nodes[i].name;
        }
    }
    return "a stranger";
}

static void add_line(struct scenario *s, const char *text, bool is_counted)
{
    for (unsigned i = 0; i < s->n_lines; i++) {
        if (strcmp(s->lines[i].text, text) == 0) {
            s->lines[i].count++;
            return;
        }
    }
    assert(s->n_lines < SCENARIO_LINES_MAX);
    struct scenario_line *l = &s->lines[s->n_lines++];
    *l = (struct scenario_line){.is_counted = is_counted, .count = 1};
    snprintf(l->text, sizeof(l->text), "%s", text);
}

static void on_trace(void *user, const struct world_node *n, const struct trace_record *r)
{
    struct scenario *s = user;
    char event[64], line[SCENARIO_LINE_MAX];
    snprintf(event, sizeof(event), "%s %s", modules[r->module], r->event);
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        if (strcmp(told[i], event) == 0) {
            snprintf(line, sizeof(line), "  %s %s%s%s", n->name, event, r->peer != NULL ? " " : "",
                     r->peer != NULL ? name_of(&s->w, r->peer) : "");
            add_line(s, line, r->peer == NULL);
        }
    }
}

static void put(struct scenario *s, const char *text)
{
    size_t len = strlen(text);
    assert(s->len + len < sizeof(s->text));
    memcpy(s->text + s->len, text, len + 1);
    s->len += len;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct scenario_line *)a)->text, ((const struct scenario_line *)b)->text);
}

static void put_lines(struct scenario *s)
{
    char line[SCENARIO_LINE_MAX + 32];
    qsort(s->lines, s->n_lines, sizeof(s->lines[0]), by_text);
    for (unsigned i = 0; i < s->n_lines; i++) {
        const struct scenario_line *l = &s->lines[i];
        if (l->is_counted && l->count > 1) {
            snprintf(line, sizeof(line), "%s x%u\n", l->text, l->count);
        } else {
            snprintf(line, sizeof(line), "%s\n", l->text);
        }
        put(s, line);
    }
    s->n_lines = 0;
}

void scenario_init(struct scenario *s, unsigned n_nodes, const char *path)
{
    struct world_options options = {.seed = 1,
                                    .n_nodes = n_nodes,
                                    .delay_us = 5 * US_PER_MS,
                                    .jitter_us = US_PER_MS,
                                    .n_labs = 1};
    enum ipx_err err = crypt_init();
    assert(err == IPX_OK);
    (void)err;
    world_init(&s->w, &options);
    s->w.on_trace = on_trace;
    s->w.trace_user = s;
    s->path = path;
}

void scenario_phase(struct scenario *s, const char *title)
{
    put_lines(s);
    put(s, title);
    put(s, "\n");
}

void scenario_say(struct scenario *s, const char *format, ...)
{
    char text[SCENARIO_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_lines(s);
    put(s, "= ");
    put(s, text);
    put(s, "\n");
}

void scenario_expect(struct scenario *s, uint64_t within_us, const char *what,
                     bool (*is_so)(struct world *, void *), void *user)
{
    bool is_seen = world_run_until(&s->w, s->w.now_us + within_us, is_so, user);
    scenario_say(s, "%s: %s", what, is_seen ? "yes" : "NO");
    world_check(&s->w);
}

static int compare(const struct scenario *s)
{
    static char want[SCENARIO_TEXT_MAX];
    FILE *f = fopen(s->path, "rb");
    if (f == NULL) {
        perror(s->path);
        return 1;
    }
    size_t len = fread(want, 1, sizeof(want), f);
    fclose(f);
    if (len == s->len && memcmp(want, s->text, len) == 0) {
        return 0;
    }
    printf("%s is not what happened (IPX_TRACE_WRITE=1 takes it as the new text):\n%s", s->path,
           s->text);
    return 1;
}

static int write_text(const struct scenario *s)
{
    FILE *f = fopen(s->path, "wb");
    bool is_good = f != NULL && fwrite(s->text, 1, s->len, f) == s->len;
    if (f != NULL) {
        is_good = fclose(f) == 0 && is_good;
    }
    if (!is_good) {
        perror(s->path);
    }
    return is_good ? 0 : 1;
}

int scenario_done(struct scenario *s)
{
    put_lines(s);
    world_check(&s->w);
    world_done(&s->w);
    if (strstr(s->text, ": NO\n") != NULL) {
        printf("%s", s->text);
        return 1;
    }
    return getenv("IPX_TRACE_WRITE") != NULL ? write_text(s) : compare(s);
}
