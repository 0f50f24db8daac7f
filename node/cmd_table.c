/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people, tab-separated lines for programs. */
#include <stdio.h>
#include <stdlib.h>

#include "node/out.h"

#define CELL_MAX 512

struct out_cells {
    char *texts[OUT_COLUMNS_MAX]; /* NULL behind the table's columns */
    json_t *object;               /* with --json */
    char *key;                    /* text of the field that is sorted by; NULL: it is a number */
    double number;
    bool has_number; /* a field that is not known goes last */
    size_t at;       /* as they came */
};

void out_duration(double seconds, char *out, size_t size)
{
    static const struct {
        double below, unit;
        const char *name;
    } steps[] = {{1, 0.001, "ms"}, {120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (seconds < steps[i].below) {
            double v = seconds / steps[i].unit;
            snprintf(out, size, v < 9.95 && i < 2 ? "%.1f %s" : "%.0f %s", v, steps[i].name);
            return;
        }
    }
    snprintf(out, size, "%.0f d", seconds / 86400);
}

void out_clean(struct slice text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        uint8_t c = text.data[i];
        out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    out[n] = '\0';
}

void out_table_init(struct out_table *t, struct out *o, struct mem *mem,
                    const struct out_column *columns, size_t n_columns)
{
    assert(n_columns <= OUT_COLUMNS_MAX);
    *t = (struct out_table){.out = o, .mem = mem, .columns = columns, .n_columns = n_columns};
}

static double field_number(const struct out_field *f)
{
    return f->type == OUT_DOUBLE ? f->d : f->type == OUT_INT ? (double)f->i : (double)f->u;
}

static void cell_text(const struct out_field *f, enum out_format format, bool is_for_people,
                      char *out, size_t size)
{
    if (f == NULL || f->type == OUT_NULL) {
        snprintf(out, size, "-");
    } else if (f->type == OUT_TEXT) {
        out_clean(f->text, out, size);
        if (f->text.len == 0) {
            snprintf(out, size, "-");
        }
    } else if (f->type == OUT_BOOL) {
        snprintf(out, size, "%s", f->u != 0 ? "yes" : "no");
    } else if (is_for_people && format == OUT_SECONDS) {
        out_duration(field_number(f), out, size);
    } else if (is_for_people && format == OUT_MS) {
        out_duration(field_number(f) / 1000, out, size);
    } else if (is_for_people && format == OUT_PERCENT) {
        snprintf(out, size, "%.0f %%", field_number(f) * 100);
    } else if (f->type == OUT_UINT) {
        snprintf(out, size, "%llu", (unsigned long long)f->u);
    } else if (f->type == OUT_INT) {
        snprintf(out, size, "%lld", (long long)f->i);
    } else {
        snprintf(out, size, format == OUT_RATIO ? "%.2f" : "%.3f", f->d);
    }
}

static bool grow(struct out_table *t)
{
    if (t->n_rows < t->cap) {
        return true;
    }
    size_t cap = t->cap == 0 ? 32 : 2 * t->cap;
    struct out_cells *rows = mem_realloc(t->mem, t->rows, cap * sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    t->rows = rows;
    t->cap = cap;
    return true;
}

void out_table_add(struct out_table *t, const struct out_row *row)
{
    if (t->out->json && t->sort == NULL) {
        out_row_json(t->out, row);
        return;
    }
    if (!grow(t)) {
        return;
    }
    struct out_cells *cells = &t->rows[t->n_rows];
    *cells = (struct out_cells){.at = t->n_rows++};
    const struct out_field *f = t->sort != NULL ? out_row_find(row, t->sort) : NULL;
    if (f != NULL && f->type == OUT_TEXT) {
        cells->key = mem_dup(t->mem, f->text.data, f->text.len);
    } else if (f != NULL && f->type != OUT_NULL) {
        cells->number = field_number(f);
        cells->has_number = true;
    }
    if (t->out->json) {
        cells->object = out_row_object(row);
        return;
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        char text[CELL_MAX];
        cell_text(out_row_find(row, t->columns[i].key), t->columns[i].format, t->out->is_tty_out,
                  text, sizeof(text));
        cells->texts[i] = mem_dup(t->mem, text, strlen(text));
    }
}

static const struct out_table *sorted; /* for compare: qsort gives it nothing else */

static int compare(const void *a, const void *b)
{
    const struct out_cells *x = a, *y = b;
    int order = 0;
    if (x->key != NULL && y->key != NULL) {
        order = strcmp(x->key, y->key);
    } else if (x->has_number != y->has_number) {
        return x->has_number ? -1 : 1;
    } else if (x->number < y->number || x->number > y->number) {
        order = (x->number < y->number) == sorted->is_largest_first ? 1 : -1;
    }
    order = sorted->is_reverse ? -order : order;
    return order != 0 ? order : x->at < y->at ? -1 : 1;
}

/* Columns that a terminal shows, not bytes. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void print_aligned(const struct out_table *t)
{
    size_t widths[OUT_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->n_columns; i++) {
        widths[i] = width_of(t->columns[i].title);
        for (size_t r = 0; r < t->n_rows; r++) {
            const char *text = t->rows[r].texts[i];
            widths[i] = IPX_MAX(widths[i], text != NULL ? width_of(text) : 0);
        }
    }
    for (size_t r = 0; r < t->n_rows + 1; r++) {
        fputs(r == 0 && t->out->color ? "\033[1m" : "", stdout);
        for (size_t i = 0; i < t->n_columns; i++) {
            const char *text = r == 0 ? t->columns[i].title : t->rows[r - 1].texts[i];
            text = text != NULL ? text : "-";
            int pad = i + 1 < t->n_columns ? (int)(widths[i] - width_of(text)) + 2 : 0;
            printf("%s%*s", text, pad, "");
        }
        fputs(r == 0 && t->out->color ? "\033[0m\n" : "\n", stdout);
    }
}

static void print_tabs(const struct out_table *t)
{
    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t i = 0; i < t->n_columns; i++) {
            const char *text = t->rows[r].texts[i];
            printf("%s%s", i > 0 ? "\t" : "", text != NULL ? text : "-");
        }
        putchar('\n');
    }
}

void out_table_end(struct out_table *t)
{
    if (t->sort != NULL && t->n_rows > 1) {
        sorted = t;
        qsort(t->rows, t->n_rows, sizeof(*t->rows), compare);
    }
    if (t->out->json) {
        for (size_t r = 0; r < t->n_rows; r++) {
            out_json(t->out, t->rows[r].object);
        }
    } else if (t->out->is_tty_out) {
        if (t->n_rows > 0) {
            print_aligned(t);
        }
    } else {
        print_tabs(t);
    }
    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t i = 0; i < t->n_columns; i++) {
            mem_free(t->mem, t->rows[r].texts[i]);
        }
        mem_free(t->mem, t->rows[r].key);
    }
    mem_free(t->mem, t->rows);
    t->rows = NULL;
    t->n_rows = t->cap = 0;
}
