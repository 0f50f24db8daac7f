/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stats_add(struct stats *s, const struct stats_row *row)
{
    if (s->n == STATS_ROWS_MAX) {
        fprintf(stderr, "stats: more than %d rows\n", STATS_ROWS_MAX);
        abort();
    }
    struct stats_row *r = &s->rows[s->n++];
    *r = *row;
    if (r->bound.min == 0 && r->bound.max == 0) {
        r->bound = r->goal;
    }
}

static bool is_inside(int64_t value, struct stats_range range)
{
    return value >= range.min && value <= range.max;
}

bool stats_is_met(const struct stats_row *row)
{
    return is_inside(row->value, row->goal);
}

bool stats_is_held(const struct stats_row *row)
{
    /* A goal that is missed without a word is a finding that nobody wrote down. */
    return is_inside(row->value, row->bound) && (stats_is_met(row) || row->note != NULL);
}

/* 12345 is "12.345", 12000 is "12". */
static const char *text_of(int64_t milli, char *out, size_t size)
{
    int64_t abs = milli < 0 ? -milli : milli;
    int len = snprintf(out, size, "%s%" PRId64 ".%03d", milli < 0 ? "-" : "", abs / 1000,
                       (int)(abs % 1000));
    while (out[len - 1] == '0') {
        out[--len] = 0;
    }
    if (out[len - 1] == '.') {
        out[--len] = 0;
    }
    return out;
}

static const char *range_text(struct stats_range r, char *out, size_t size)
{
    char a[32], b[32];
    if (r.max == STATS_ANY) {
        snprintf(out, size, ">= %s", text_of(r.min, a, sizeof(a)));
    } else if (r.min <= 1) {
        snprintf(out, size, "<= %s", text_of(r.max, a, sizeof(a)));
    } else {
        snprintf(out, size, "%s..%s", text_of(r.min, a, sizeof(a)), text_of(r.max, b, sizeof(b)));
    }
    return out;
}

static int64_t miss_of(const struct stats_row *r)
{
    return r->value < r->goal.min ? r->goal.min - r->value : r->value - r->goal.max;
}

size_t stats_print(const struct stats *s)
{
    size_t n_out = 0, n_met = 0;
    char value[32], goal[64], bound[64], miss[32];
    printf("%-8s %-54s %12s %-8s %-16s %-16s %s\n", "table", "what", "value", "unit", "goal",
           "bound", "met");
    for (size_t i = 0; i < s->n; i++) {
        const struct stats_row *r = &s->rows[i];
        bool is_met = stats_is_met(r);
        printf("%-8s %-54s %12s %-8s %-16s %-16s %s", r->table, r->what,
               text_of(r->value, value, sizeof(value)), r->unit,
               range_text(r->goal, goal, sizeof(goal)), range_text(r->bound, bound, sizeof(bound)),
               is_met ? "yes" : "no");
        if (!is_met) {
            printf(", not met by %s: %s", text_of(miss_of(r), miss, sizeof(miss)),
                   r->note != NULL ? r->note : "NO REASON GIVEN");
        } else if (r->note != NULL) {
            printf(" (%s)", r->note);
        }
        printf("%s\n", stats_is_held(r) ? "" : "  REGRESSION");
        n_out += !stats_is_held(r);
        n_met += is_met;
    }
    printf("%zu rows, %zu goals met, %zu not, %zu outside their bound\n", s->n, n_met, s->n - n_met,
           n_out);
    return n_out;
}

static void print_json_range(const char *name, struct stats_range r)
{
    char a[32];
    printf("\"%s\": [%s, ", name, text_of(r.min, a, sizeof(a)));
    printf("%s], ", r.max == STATS_ANY ? "null" : text_of(r.max, a, sizeof(a)));
}

/* The strings are ours: ASCII without quotes. */
size_t stats_print_json(const struct stats *s)
{
    size_t n_out = 0;
    char value[32];
    for (size_t i = 0; i < s->n; i++) {
        const struct stats_row *r = &s->rows[i];
        printf("%s{\"table\": \"%s\", \"what\": \"%s\", \"goal_text\": \"%s\", ",
               i == 0 ? "[" : ",\n ", r->table, r->what, r->goal_text);
        print_json_range("goal", r->goal);
        print_json_range("bound", r->bound);
        printf("\"value\": %s, \"unit\": \"%s\", \"met\": %s, \"held\": %s, \"note\": \"%s\"}",
               text_of(r->value, value, sizeof(value)), r->unit, stats_is_met(r) ? "true" : "false",
               stats_is_held(r) ? "true" : "false", r->note != NULL ? r->note : "");
        n_out += !stats_is_held(r);
    }
    printf("%s]\n", s->n == 0 ? "[" : "");
    return n_out;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint64_t stats_quantile(uint64_t *values, size_t n, unsigned permille)
{
    qsort(values, n, sizeof(values[0]), by_value);
    return n == 0 ? 0 : values[IPX_MIN(n * permille / 1000, n - 1)];
}
