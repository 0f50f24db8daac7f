/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/match_text.h"

struct match {
    const struct query *q;
    match_row_fn *each;
    void *user;
    uint32_t n_rows;
};

static void match_ad(void *user, struct slice name, struct ad *ad)
{
    struct match *m = user;
    struct query_env env = {.ad = ad};
    const struct label_value *own = ad_find(ad, slice_text("node.name"));
    if (name.len == 0 && own != NULL && own->type == LABEL_STRING) {
        name = own->text;
    }
    struct match_row row = {.number = ++m->n_rows, .name = name, .ad = ad};
    row.result = query_eval(m->q, &env);
    m->each(m->user, &row);
}

enum ipx_err match_text_run(const struct query *q, struct slice ads, struct mem *mem,
                            match_row_fn *each, void *user, uint32_t *ret_line)
{
    struct match m = {.q = q, .each = each, .user = user};
    return ad_text_parse(ads, mem, match_ad, &m, ret_line);
}

void match_result_print(const struct query_result *res, struct writer *w)
{
    switch (res->truth) {
    case QUERY_FALSE:
        writer_bytes(w, slice_text("false"));
        break;
    case QUERY_TRUE:
        writer_bytes(w, slice_text("true"));
        break;
    case QUERY_UNKNOWN:
        writer_bytes(w, slice_text("unknown"));
        break;
    case QUERY_VALUE:
        label_value_print(&res->value, w);
        break;
    }
}

static void print_name(const struct match_row *row, struct writer *w)
{
    if (row->name.len > 0) {
        size_t len = IPX_MIN(row->name.len, MATCH_NAME_MAX);
        writer_bytes(w, slice_of(row->name.data, len));
        return;
    }
    char number[16];
    (void)snprintf(number, sizeof(number), "#%u", (unsigned)row->number);
    writer_bytes(w, slice_text(number));
}

void match_row_print(const struct match_row *row, struct writer *w)
{
    const struct query_result *res = &row->result;
    print_name(row, w);
    writer_u8(w, ' ');
    match_result_print(res, w);
    if (res->truth != QUERY_UNKNOWN) {
        return;
    }
    writer_bytes(w, slice_text(" ("));
    writer_bytes(w, slice_text(query_reason_text(res->reason)));
    writer_bytes(w, slice_text(res->reason_name.len > 0 ? ": " : ""));
    writer_bytes(w, res->reason_name);
    writer_u8(w, ')');
}
