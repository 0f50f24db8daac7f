/* SPDX-License-Identifier: Apache-2.0 */
#include "base/near.h"
#include "tests/harness.h"

static const char *nearest(struct near *n, const char *word, const char *const *words, size_t count)
{
    near_begin(n, slice_text(word));
    for (size_t i = 0; i < count; i++) {
        near_offer(n, slice_text(words[i]));
    }
    return near_found(n);
}

TEST(base_near, what_was_meant)
{
    static const char *const words[] = {"nodes", "status",    "run",          "sources",
                                        "gpu",   "cpu.cores", "bio/laptop-2", "ab"};
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"node", "nodes"},      /* the begin of one */
        {"staus", "status"},    /* a letter too few */
        {"statuus", "status"},  /* too many */
        {"stetus", "status"},   /* another one */
        {"sattus", "status"},   /* two swapped: one error */
        {"rnu", "run"},         /* .. so that a short word is found too */
        {"rxu", NULL},          /* two errors are too many for a short word */
        {"soruecs", "sources"}, /* two swaps */
        {"cpu.core", "cpu.cores"},
        {"bio/latpop-2", "bio/laptop-2"},
        {"xyzzy", NULL},
        {"", NULL},
        {"status", NULL}, /* the word itself is not what was meant instead */
        {"s", NULL},
        {"a", "ab"},
        {"b", "ab"},
        {"x", NULL},
    };
    struct near n;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *meant = nearest(&n, cases[i].word, words, ARRAY_LEN(words));
        CHECK_STR(meant != NULL ? meant : "-", cases[i].meant != NULL ? cases[i].meant : "-");
    }
}

TEST(base_near, bounds_and_ties)
{
    static const char *const ties[] = {"abcde", "abcdf"};
    char longest[NEAR_WORD_MAX + 3];
    struct near n;
    CHECK_STR(nearest(&n, "abcdx", ties, 2), "abcde"); /* the first of equals */
    memset(longest, 'a', sizeof(longest));
    longest[NEAR_WORD_MAX] = '\0';
    near_begin(&n, slice_of(longest, NEAR_WORD_MAX - 1));
    near_offer(&n, slice_of(longest, NEAR_WORD_MAX));
    CHECK(near_found(&n) != NULL && strlen(near_found(&n)) == NEAR_WORD_MAX);
    near_begin(&n, slice_of(longest, NEAR_WORD_MAX));
    near_offer(&n, slice_of(longest, NEAR_WORD_MAX + 1)); /* too long to be looked at */
    CHECK(near_found(&n) == NULL);
    near_begin(&n, slice_of(longest, NEAR_WORD_MAX + 1));
    near_offer(&n, slice_of(longest, NEAR_WORD_MAX));
    CHECK(near_found(&n) == NULL);
}
