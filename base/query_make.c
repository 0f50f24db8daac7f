/* SPDX-License-Identifier: Apache-2.0 */
/* From the parser's buffers to a query in one block of memory. */
#include "base/query_parser.h"

/* The parts joined by the topmost `and`s, leftmost first. */
static uint16_t find_parts(const struct parse *p, struct query_clause *parts)
{
    uint16_t n = 0, root = (uint16_t)(p->n_nodes - 1);
    for (; p->nodes[root].op == QUERY_OP_AND; root = p->nodes[root].left) {
        uint16_t left = p->nodes[root].left;
        parts[n++] = (struct query_clause){(uint16_t)(left + 1), (uint16_t)(root - 1)};
    }
    parts[n++] = (struct query_clause){0, root};
    for (uint16_t i = 0; i < n / 2; i++) {
        struct query_clause c = parts[i];
        parts[i] = parts[n - 1 - i];
        parts[n - 1 - i] = c;
    }
    return n;
}

/* A slice of the parser's own buffers, moved to where these were copied. */
static struct slice moved(struct slice s, const uint8_t *from, const uint8_t *to)
{
    return s.data == NULL ? SLICE_EMPTY : slice_of(to + (s.data - from), s.len);
}

static void copy_consts(const struct parse *p, struct query *q, struct slice *strings,
                        uint8_t *bytes, const uint8_t *source)
{
    for (size_t i = 0; i < p->pool.n_strings; i++) {
        strings[i] = moved(p->strings[i], p->bytes, bytes);
    }
    for (size_t i = 0; i < p->n_consts; i++) {
        struct label_value *v = &q->consts[i];
        *v = p->consts[i];
        if (v->type == LABEL_STRING) {
            v->text = moved(v->text, p->bytes, bytes);
        } else if (v->type == LABEL_VERSION) {
            v->text = moved(v->text, p->lex.in.data, source);
        } else if (v->type == LABEL_SET) {
            v->set = strings + (v->set - p->strings);
        }
    }
}

/* One block: struct, constants, names, strings of sets, nodes, clauses, bytes of strings, source;
 * in the order of their alignment. */
static struct query *query_alloc(const struct parse *p, struct mem *mem)
{
    struct query_clause parts[QUERY_NODES_MAX];
    uint16_t n_parts = find_parts(p, parts);
    struct slice source = p->lex.in;
    struct query *q = mem_alloc(
        mem, sizeof(*q) + p->n_consts * sizeof(*q->consts) + p->n_names * sizeof(*q->names) +
                 p->pool.n_strings * sizeof(struct slice) + p->n_nodes * sizeof(*q->nodes) +
                 n_parts * sizeof(*q->parts) + p->pool.n_bytes + source.len);
    if (q == NULL) {
        return NULL;
    }
    q->consts = (struct label_value *)(q + 1);
    q->names = (struct query_name *)(q->consts + p->n_consts);
    struct slice *strings = (struct slice *)(q->names + p->n_names);
    q->nodes = (struct query_node *)(strings + p->pool.n_strings);
    q->parts = (struct query_clause *)(q->nodes + p->n_nodes);
    uint8_t *bytes = (uint8_t *)(q->parts + n_parts);
    uint8_t *text = bytes + p->pool.n_bytes;
    memcpy(q->nodes, p->nodes, p->n_nodes * sizeof(*q->nodes));
    memcpy(q->parts, parts, n_parts * sizeof(*q->parts));
    memcpy(bytes, p->bytes, p->pool.n_bytes);
    memcpy(text, source.data, source.len);
    copy_consts(p, q, strings, bytes, text);
    for (size_t i = 0; i < p->n_names; i++) {
        q->names[i] = p->names[i];
        q->names[i].text = moved(p->names[i].text, source.data, text);
    }
    q->mem = mem;
    q->n_refs = 1;
    q->is_need = p->is_need;
    q->n_nodes = p->n_nodes;
    q->n_consts = p->n_consts;
    q->n_names = p->n_names;
    q->n_parts = n_parts;
    q->source = slice_of(text, source.len);
    return q;
}

static enum ipx_err compile(struct slice source, bool is_need, struct mem *mem,
                            struct query **ret_query, struct query_error *ret_error)
{
    struct query_error error = {.position = QUERY_SOURCE_MAX,
                                .message = "an expression over 1024 bytes"};
    enum ipx_err err = IPX_LIMIT;
    if (source.len <= QUERY_SOURCE_MAX) {
        struct parse *p = mem_alloc(mem, sizeof(*p));
        if (p == NULL) {
            return IPX_NO_MEMORY;
        }
        p->lex = lex_of(source.len > 0 ? source : slice_text(""));
        p->is_need = is_need;
        p->pool = (struct lex_pool){.bytes = p->bytes,
                                    .n_bytes_max = sizeof(p->bytes),
                                    .strings = p->strings,
                                    .n_strings_max = ARRAY_LEN(p->strings)};
        struct query *q = NULL;
        if (parse_all(p)) {
            q = query_alloc(p, mem);
            err = q == NULL ? IPX_NO_MEMORY : IPX_OK;
            *ret_query = q != NULL ? q : *ret_query;
        } else {
            err = p->lex.err;
            error.position = (uint32_t)p->lex.error_pos;
            error.message = p->lex.message;
        }
        mem_free(mem, p);
    }
    if (err > 0 && ret_error != NULL) {
        *ret_error = error;
    }
    return err;
}

enum ipx_err query_compile(struct slice source, struct mem *mem, struct query **ret_query,
                           struct query_error *ret_error)
{
    return compile(source, false, mem, ret_query, ret_error);
}

enum ipx_err query_compile_need(struct slice source, struct mem *mem, struct query **ret_query,
                                struct query_error *ret_error)
{
    return compile(source, true, mem, ret_query, ret_error);
}
