/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the command line prints (cli.md, Manners): stdout is the result and nothing
 * else, everything else goes to stderr. Tables are aligned for people on a
 * terminal, tab-separated without titles otherwise; with --json every row is one object.
 * Errors are three sentences on one line: what happened, why, what to do.
 */
#include <jansson.h>

#include "base/mem.h"
#include "base/slice.h"

#define OUT_COLUMNS_MAX 16
#define OUT_FIELDS_MAX 32 /* fields of a row that a node sends */

enum out_exit { OUT_OK, OUT_FAILED, OUT_USAGE, OUT_NO_SUCH, OUT_NO_NODE, OUT_IPX_FAILED = 125 };

struct out {
    const char *program; /* the name it was called by */
    bool json, quiet, verbose;
    bool is_tty_out, is_tty_err, color;
    bool has_line; /* an unfinished progress line stands on stderr */
};

void out_begin(struct out *o, const char *argv0);
/* --color; NO_COLOR and TERM=dumb count unless `when` is "always". `when` may be NULL. */
void out_set_color(struct out *o, const char *when);

struct out_error {
    int exit_code;
    const char *name;              /* of the error, for JSON: "NOT_FOUND" */
    const char *what, *why, *hint; /* `why` and `hint` may be NULL or "" */
};
/* Prints it and returns its exit code. "ipx-node" in a hint becomes the name called by. */
int out_fail(struct out *o, const struct out_error *e);
/* A line on stderr unless --quiet. */
void out_note(struct out *o, const char *format, ...) IPX_PRINTF(2, 3);
/* The progress line of a terminal; empty text wipes it. Nothing where stderr is no terminal. */
void out_progress(struct out *o, const char *text);
/* Text for people on stdout: "ipx-node" in it becomes the name called by. */
void out_text(struct out *o, const char *text);

/* A new object that holds "v":1; out_json prints and frees it. */
json_t *out_object(void);
void out_json(struct out *o, json_t *object);
/* UTF-8 or, where it is none, with what is none replaced. */
json_t *out_json_text(struct slice text);
void out_json_time(json_t *object, const char *key, int64_t unix_ms); /* RFC 3339; null for 0 */

/* --- rows --- */

enum out_type { OUT_NULL, OUT_UINT, OUT_INT, OUT_DOUBLE, OUT_BOOL, OUT_TEXT };
struct out_field {
    struct slice key;
    enum out_type type;
    uint64_t u;
    int64_t i;
    double d;
    struct slice text;
};
struct out_row {
    struct out_field fields[OUT_FIELDS_MAX];
    size_t n;
};
/* A ROW of node/control_wire.h. Conditions: IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err out_row_decode(struct slice body, struct out_row *ret);
const struct out_field *out_row_find(const struct out_row *r, const char *key);
/* "" and 0 if it is not there. */
struct slice out_row_text(const struct out_row *r, const char *key);
uint64_t out_row_u64(const struct out_row *r, const char *key);
double out_row_double(const struct out_row *r, const char *key);
json_t *out_row_object(const struct out_row *r);
void out_row_json(struct out *o, const struct out_row *r); /* one object, printed */

/* "1 node, 1 lab, 0 sources" of a status row. */
void out_counts(const struct out_row *r, char *out, size_t size);

/* --- tables --- */

enum out_format { OUT_PLAIN, OUT_SECONDS, OUT_MS, OUT_RATIO, OUT_PERCENT };
struct out_column {
    const char *key, *title;
    enum out_format format;
};
struct out_cells;
struct out_table {
    struct out *out;
    struct mem *mem;
    const struct out_column *columns;
    size_t n_columns;
    struct out_cells *rows;
    size_t n_rows, cap;
    const char *sort;      /* key of the field to sort by; NULL: as they came */
    bool is_largest_first; /* of numbers; texts go from a to z */
    bool is_reverse;
};
void out_table_init(struct out_table *t, struct out *o, struct mem *mem,
                    const struct out_column *columns, size_t n_columns);
/* Adds it, or prints it at once where no table is made. */
void out_table_add(struct out_table *t, const struct out_row *row);
/* Prints what was added and frees it. */
void out_table_end(struct out_table *t);

/* "41 ms", "3 s", "2 min", "5 h", "3 d" */
void out_duration(double seconds, char *out, size_t size);
/* Without control characters, which could move a terminal's cursor. */
void out_clean(struct slice text, char *out, size_t size);
