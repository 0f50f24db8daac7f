/* SPDX-License-Identifier: Apache-2.0 */
/* run and map: from the words typed to a job submitted. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "node/cmd_exec.h"

#define NULL_MAJOR 1 /* /dev/null */
#define NULL_MINOR 3

struct submitting {
    struct cmd *c;
    struct exec_submit m;
    uint8_t *lists; /* argv, env and where, encoded */
    size_t cap;
    struct writer w;
};

/* A list of words; what is written stays where it is. */
static struct exec_list put_words(struct submitting *s, char *const *words, size_t n)
{
    struct exec_list l = {.n = (uint32_t)n};
    size_t begin = s->w.len;
    cbor_put_array(&s->w, n);
    for (size_t i = 0; i < n; i++) {
        struct slice word = slice_text(words[i]);
        cbor_put_bytes(&s->w, word);
        l.bytes += (uint32_t)word.len;
    }
    l.raw = slice_of(s->lists + begin, s->w.len - begin);
    return l;
}

/* `--env K` takes the value from here; one that is not set is left out. */
static struct exec_list put_env(struct submitting *s)
{
    char *words[ARGS_VALUES_MAX];
    size_t n = 0;
    const char *one;
    for (size_t i = 0; (one = args_nth(&s->c->args, FLAG_ENV, i)) != NULL; i++) {
        const char *value = strchr(one, '=') == NULL ? getenv(one) : NULL;
        char *text = NULL;
        if (strchr(one, '=') != NULL) {
            text = mem_dup(&s->c->mem, one, strlen(one));
        } else if (value != NULL) {
            size_t len = strlen(one) + strlen(value) + 2;
            text = mem_alloc(&s->c->mem, len);
            if (text != NULL) {
                snprintf(text, len, "%s=%s", one, value);
            }
        }
        if (text != NULL) {
            words[n++] = text;
        }
    }
    struct exec_list l = put_words(s, words, n);
    for (size_t i = 0; i < n; i++) {
        mem_free(&s->c->mem, words[i]);
    }
    return l;
}

static struct exec_list put_where(struct submitting *s)
{
    char *words[ARGS_VALUES_MAX];
    size_t n = 0;
    const char *one;
    for (size_t i = 0; (one = args_nth(&s->c->args, FLAG_WHERE, i)) != NULL; i++) {
        words[n++] = (char *)(uintptr_t)one; /* only read */
    }
    return put_words(s, words, n);
}

static struct slice text_flag(const struct cmd *c, enum flag_id id)
{
    const char *text = args_text(&c->args, id);
    return text != NULL ? slice_text(text) : SLICE_EMPTY;
}

static uint64_t time_flag(const struct cmd *c, enum flag_id id)
{
    return (uint64_t)(args_number(&c->args, id, 0) * 1e6);
}

/* stdin is worth streaming unless there is none. */
static bool has_stdin(void)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) != 0) {
        return false;
    }
    return !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(NULL_MAJOR, NULL_MINOR));
}

static uint32_t flags_of(const struct cmd *c, bool is_map, const struct items *items)
{
    static const struct {
        enum flag_id id;
        uint32_t bit;
    } pairs[] = {{FLAG_NO_WAIT, EXEC_SUBMIT_NO_WAIT},
                 {FLAG_DETACH, EXEC_SUBMIT_DETACH},
                 {FLAG_KEEP_ORDER, EXEC_SUBMIT_KEEP_ORDER},
                 {FLAG_PURE, EXEC_SUBMIT_PURE},
                 {FLAG_DRY_RUN, EXEC_SUBMIT_DRY_RUN}};
    uint32_t flags = 0;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        flags |= args_has(&c->args, pairs[i].id) ? pairs[i].bit : 0;
    }
    if (is_map && items->kind != ITEMS_RANGE) {
        flags |= EXEC_SUBMIT_ITEMS;
    }
    bool is_streamed = (flags & (EXEC_SUBMIT_DETACH | EXEC_SUBMIT_DRY_RUN)) == 0;
    if (!is_map && is_streamed && !args_has(&c->args, FLAG_STREAM) && has_stdin()) {
        flags |= EXEC_SUBMIT_STDIN;
    }
    return flags;
}

static int check_numbers(struct cmd *c)
{
    if (args_number(&c->args, FLAG_RETRY, 0) > EXEC_RETRY_MAX) {
        return cmd_usage(c, "--retry is at most 100", NULL);
    }
    if (args_has(&c->args, FLAG_CPU) && args_number(&c->args, FLAG_CPU, 1) < 1) {
        return cmd_usage(c, "--cpu is at least 1", NULL);
    }
    return 0;
}

/* One word with blanks is a shell's line, and there is no shell. */
static int check_words(struct cmd *c, size_t n_argv, bool is_map)
{
    char hint[300];
    const char *word = c->args.words[0];
    if (n_argv != 1 || strchr(word, ' ') == NULL) {
        return 0;
    }
    snprintf(hint, sizeof(hint), "With one: ipx-node %s -- sh -c '%.160s' _%s",
             is_map ? "map" : "run", word, is_map ? " {}" : "");
    return cmd_usage(c, "the command is one word with blanks in it, and there is no shell", hint);
}

static int submit(struct going *g, size_t n_argv, const struct items *items)
{
    struct cmd *c = g->c;
    struct submitting s = {.c = c, .cap = EXEC_ARGV_BYTES_MAX + EXEC_ENV_BYTES_MAX + 65536};
    s.lists = mem_alloc(&c->mem, s.cap);
    s.w = writer_of(s.lists, s.lists != NULL ? s.cap : 0);
    s.m =
        (struct exec_submit){.mode = g->is_map ? EXEC_MODE_MAP : EXEC_MODE_RUN,
                             .flags = flags_of(c, g->is_map, items),
                             .prefer = text_flag(c, FLAG_PREFER),
                             .on = text_flag(c, FLAG_ON),
                             .stream = text_flag(c, FLAG_STREAM),
                             .range = items->range != NULL ? slice_text(items->range) : SLICE_EMPTY,
                             .needs = {.cpu = (uint32_t)args_number(&c->args, FLAG_CPU, 1),
                                       .mem = (uint64_t)args_number(&c->args, FLAG_MEM, 0),
                                       .time_us = time_flag(c, FLAG_TIME)},
                             .retry = (uint32_t)args_number(&c->args, FLAG_RETRY, 0),
                             .limit = (uint32_t)args_number(&c->args, FLAG_LIMIT, 0),
                             .wait_max_us = time_flag(c, FLAG_WAIT_MAX)};
    s.m.argv = put_words(&s, c->args.words, n_argv);
    s.m.env = put_env(&s);
    s.m.where = put_where(&s);
    struct writer w = writer_of(g->scratch, EXEC_SEND_MAX);
    exec_submit_encode(&s.m, &w);
    int code = 0;
    if (s.w.failed || w.failed) {
        code = cmd_usage(c, "command and environment are too long",
                         "Give large input by stdin or as items");
    } else if (!going_send(g, EXEC_MSG_SUBMIT, &w)) {
        code = cmd_lost(c, OUT_IPX_FAILED);
    }
    g->has_stdin = (s.m.flags & EXEC_SUBMIT_STDIN) != 0;
    g->is_detached = (s.m.flags & EXEC_SUBMIT_DETACH) != 0;
    g->is_dry_run = (s.m.flags & EXEC_SUBMIT_DRY_RUN) != 0;
    mem_free(&c->mem, s.lists);
    return code;
}

static int run_or_map(struct cmd *c, bool is_map)
{
    static struct going g;
    struct items items = {.kind = ITEMS_NONE};
    size_t n_argv = c->args.n_words;
    int code = check_numbers(c);
    code = code == 0 && is_map ? items_find(c, &n_argv, &items) : code;
    code = code == 0 ? check_words(c, n_argv, is_map) : code;
    if (code != 0) {
        return code;
    }
    g = (struct going){.is_map = is_map};
    code = going_begin(&g, c);
    if (code != 0) {
        return code;
    }
    code = submit(&g, n_argv, &items);
    code = code == 0 && is_map ? items_send(&g, &items) : code;
    code = code == 0 ? going_run(&g) : code;
    going_end(&g);
    return code;
}

int cmd_run(struct cmd *c)
{
    return run_or_map(c, false);
}

int cmd_map(struct cmd *c)
{
    return run_or_map(c, true);
}
