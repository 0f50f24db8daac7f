/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of labels and of queries share, and nobody else needs: the
 * scanner of literals, the search by marks, and the encoding of one value.
 *
 * A scanner function reads at `pos` and moves it behind what it read; where it
 * fails it says so in the scanner (lex_fail) and the position is meaningless.
 */
#include "base/label.h"

/* A mark is 16 bits of a hash of a name: a search compares marks, which lie in one cache line or
 * two, and looks at names only where they agree. */
uint16_t label_mark(struct slice name);
const struct label_value *ad_find_marked(const struct ad *a, struct slice name, uint16_t mark);
const struct label_value *resource_find_marked(const struct resource *r, struct slice name,
                                               uint16_t mark);
/* Of labels sorted by name. */
const struct label_value *label_find(const struct label *labels, size_t n, struct slice name);

bool label_word_is_reserved(struct slice word); /* true false and or .. */
bool label_kind_is_valid(struct slice kind);    /* one identifier, not a reserved word */
/* The tag of a version: letters and digits, single `.` `_` `-` between them. `label_tag_len` is the
 * length of the longest one `in` begins with, 0 if there is none. */
bool label_tag_is_valid(struct slice tag);
size_t label_tag_len(struct slice in);
bool label_dim_has_unit(struct label_dim dim); /* also true for no dimension */
bool label_dim_equal(struct label_dim a, struct label_dim b);
bool label_number_is_valid(double x); /* finite and not -0 */
/* Type and limits of a value, the strings of a set sorted and unique. */
bool label_value_is_valid(const struct label_value *v);
/* -1, 0, 1: parts by number, missing ones 0, a tag before none, tags as bytes. */
int label_version_compare(const struct label_value *a, const struct label_value *b);
/* Sorts by bytes, drops what is there twice, returns how many are left. */
size_t label_set_sort(struct slice *strings, size_t n);

void label_value_encode(const struct label_value *v, struct writer *w);
/* Evaluator names are accepted if `is_evaluator_ok`; otherwise as ad_decode. */
IPX_MUST_USE enum ipx_err ad_from_bytes(struct slice in, bool is_evaluator_ok, struct mem *mem,
                                        struct ad **ret_ad);

struct lex {
    struct slice in;
    size_t pos;
    enum ipx_err err; /* IPX_OK, IPX_MALFORMED or IPX_LIMIT: the first failure */
    size_t error_pos;
    const char *message; /* static text */
};

struct lex_pool { /* where the strings of literals go */
    uint8_t *bytes;
    size_t n_bytes, n_bytes_max;
    struct slice *strings; /* of sets */
    size_t n_strings, n_strings_max;
};

struct lex lex_of(struct slice in);
bool lex_fail(struct lex *l, enum ipx_err err, size_t pos, const char *message); /* false */
void lex_skip_space(struct lex *l);
/* The byte at pos + ahead; 0 behind the end. */
uint8_t lex_byte(const struct lex *l, size_t ahead);
bool lex_is_digit(uint8_t c);
/* What may not follow a literal at once: `4GB2`, `10mins`, `1e5`, `1.2.3`. */
bool lex_is_joined(const struct lex *l);
/* Length of a dotted name, or of one identifier, at the position; 0 if there is none. */
size_t lex_name_len(const struct lex *l);
size_t lex_ident_len(const struct lex *l);
/* Something that begins as a version and is none is a name (`v4l`). */
bool lex_is_version(const struct lex *l);
bool lex_number(struct lex *l, struct label_value *ret);
bool lex_version(struct lex *l, struct label_value *ret);
bool lex_string(struct lex *l, struct lex_pool *pool, struct label_value *ret);
bool lex_set(struct lex *l, struct lex_pool *pool, struct label_value *ret);

/* The text of a number with its unit: see label_value_print. `is_shortest`: the fewest bytes in all
 * rather than the fewest digits. */
void label_number_print(double x, struct label_dim dim, bool is_shortest, struct writer *w);
