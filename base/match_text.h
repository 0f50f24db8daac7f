/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An expression asked of ads given as text: the whole of `match` but its input and output.
 *
 * One row an ad, in the order of the text, through a callback; a caller prints it as a line
 * (match_row_print) or makes JSON of its fields.
 */
#include "base/query.h"

#define MATCH_NAME_MAX 64 /* bytes of a row's name that are printed */

struct match_row {
    uint32_t number;   /* 1 for the first ad */
    struct slice name; /* as `# NAME`, else the label node.name, else empty */
    const struct ad *ad;
    struct query_result result; /* of the whole expression */
};

/* The row and its slices are valid within the call. */
typedef void match_row_fn(void *user, const struct match_row *row);

/* Conditions: IPX_MALFORMED: the text is no list of ads; `*ret_line` is the 1-based line; rows of
 * ads before it have been given. Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err match_text_run(const struct query *q, struct slice ads, struct mem *mem,
                                         match_row_fn *each, void *user, uint32_t *ret_line);

/* "NAME true", "NAME 5GiB", "NAME unknown (type: cpu.cores)"; `#3` for the third ad if it has no
 * name. Without an end of line. */
void match_row_print(const struct match_row *row, struct writer *w);
/* "true", "false", "unknown" or the value. */
void match_result_print(const struct query_result *res, struct writer *w);
