/* SPDX-License-Identifier: Apache-2.0 */
/* Items of a map: where they are named, and how they reach the owner. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cmd_exec.h"

#define BATCH_BYTES (60u << 10) /* of items in one message; the limit is 64 KiB with its heads */
#define BATCH_ITEMS 4096u

/* --- which --- */

static int clash(struct cmd *c)
{
    return cmd_usage(c, "map takes its items from one place: :::, ::::, --range or -",
                     "Example: ipx-node map -- echo {} ::: a b c");
}

static bool find_marks(struct cmd *c, size_t *ret_n_argv, struct items *ret)
{
    for (size_t i = 0; i < c->args.n_words; i++) {
        const char *word = c->args.words[i];
        bool is_words = strcmp(word, ":::") == 0;
        if (!is_words && strcmp(word, "::::") != 0) {
            continue;
        }
        ret->kind = is_words ? ITEMS_WORDS : ITEMS_FILE;
        ret->words = &c->args.words[i + 1];
        ret->n_words = c->args.n_words - i - 1;
        ret->file = !is_words && ret->n_words == 1 ? ret->words[0] : NULL;
        *ret_n_argv = i;
        return true;
    }
    return false;
}

/* `CMD -` and `CMD --range A-B`, at the end. */
static void find_tail(struct cmd *c, size_t *ret_n_argv, struct items *ret)
{
    size_t n = c->args.n_words;
    char why[120];
    double number;
    if (n >= 2 && strcmp(c->args.words[n - 1], "-") == 0) {
        ret->kind = ITEMS_STDIN;
        *ret_n_argv = n - 1;
    } else if (n >= 3 && strcmp(c->args.words[n - 2], "--range") == 0 &&
               args_value_check(ARG_RANGE, NULL, c->args.words[n - 1], &c->mem, &number, why,
                                sizeof(why)) == IPX_OK) {
        ret->kind = ITEMS_RANGE;
        ret->range = c->args.words[n - 1];
        *ret_n_argv = n - 2;
    }
}

int items_find(struct cmd *c, size_t *ret_n_argv, struct items *ret)
{
    const char *range = args_text(&c->args, FLAG_RANGE);
    *ret = (struct items){.kind = ITEMS_NONE};
    *ret_n_argv = c->args.n_words;
    bool has_mark = find_marks(c, ret_n_argv, ret);
    if (range != NULL && has_mark) {
        return clash(c);
    }
    if (range != NULL) {
        ret->kind = ITEMS_RANGE;
        ret->range = range;
    } else if (!has_mark) {
        find_tail(c, ret_n_argv, ret);
    }
    if (*ret_n_argv == 0) {
        return cmd_usage(c, "map wants a command before its items",
                         "Example: ipx-node map -- echo {} ::: a b c");
    }
    if (ret->kind == ITEMS_FILE && ret->file == NULL) {
        return cmd_usage(c, ":::: wants one file", "Example: ipx-node map -- cat {} :::: list.txt");
    }
    if (ret->kind == ITEMS_NONE) {
        return cmd_usage(c, "map wants items: ::: a b c, :::: FILE, --range 1-9, or - for stdin",
                         "See: ipx-node map --help");
    }
    return 0;
}

/* --- sending --- */

struct batch {
    struct going *g;
    struct slice items[BATCH_ITEMS];
    uint32_t n;
    size_t bytes;
};

static bool flush(struct batch *b, bool is_end)
{
    struct going *g = b->g;
    size_t cap = b->bytes + 5 * (size_t)b->n + 16;
    uint8_t *raw = mem_alloc(&g->c->mem, cap);
    struct writer list = writer_of(raw, raw != NULL ? cap : 0);
    struct writer w = writer_of(g->scratch, EXEC_SEND_MAX);
    cbor_put_array(&list, b->n);
    for (uint32_t i = 0; i < b->n; i++) {
        cbor_put_bytes(&list, b->items[i]);
    }
    struct exec_items m = {.items = {.raw = writer_slice(&list), .n = b->n}, .end = is_end};
    m.items.bytes = (uint32_t)b->bytes;
    exec_items_encode(&m, &w);
    bool is_ok = !list.failed && going_send(g, EXEC_MSG_ITEMS, &w);
    mem_free(&g->c->mem, raw);
    b->n = 0;
    b->bytes = 0;
    return is_ok;
}

/* 0, or the exit code. The item must live until the batch is flushed. */
static int add(struct batch *b, struct slice item)
{
    if (item.len > EXEC_ITEM_MAX - 64) {
        return cmd_usage(b->g->c, "an item is longer than 64 KiB", "Give its content as a file");
    }
    if (b->n == BATCH_ITEMS || (b->n > 0 && b->bytes + item.len > BATCH_BYTES)) {
        if (!flush(b, false)) {
            return cmd_lost(b->g->c, OUT_IPX_FAILED);
        }
    }
    b->items[b->n++] = item;
    b->bytes += item.len;
    return 0;
}

static int add_lines(struct batch *b, struct slice text)
{
    int code = 0;
    for (size_t at = 0; at < text.len && code == 0;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - text.data) - at : text.len - at;
        code = add(b, slice_of(text.data + at, len));
        at += len + 1;
    }
    return code;
}

static int fail_read(struct cmd *c, enum ipx_err err, const char *file)
{
    char why[200];
    snprintf(why, sizeof(why), "%.120s: %s", file,
             err == IPX_LIMIT ? "more than 64 MiB" : strerror(errno));
    return cmd_fail(c, OUT_IPX_FAILED, err, "the items cannot be read", why, NULL);
}

int items_send(struct going *g, const struct items *items)
{
    static struct batch b; /* large, and there is one a process */
    struct cmd *c = g->c;
    struct slice text = SLICE_EMPTY;
    int code = 0;
    b = (struct batch){.g = g};
    if (items->kind == ITEMS_RANGE) {
        return 0; /* the owner counts by itself */
    }
    if (items->kind == ITEMS_WORDS) {
        for (size_t i = 0; i < items->n_words && code == 0; i++) {
            code = add(&b, slice_text(items->words[i]));
        }
    } else {
        bool is_stdin = items->kind == ITEMS_STDIN || strcmp(items->file, "-") == 0;
        const char *path = is_stdin ? "/dev/stdin" : items->file;
        enum ipx_err err = os_file_read(path, EXEC_ITEMS_BYTES_MAX, &c->mem, &text);
        code = err == IPX_OK ? add_lines(&b, text) : fail_read(c, err, path);
    }
    if (code == 0 && !flush(&b, true)) {
        code = cmd_lost(c, OUT_IPX_FAILED);
    }
    mem_free(&c->mem, (void *)(uintptr_t)text.data);
    return code;
}
