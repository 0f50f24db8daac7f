/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * "Did you mean": the nearest of many words to one that was typed. The words are offered one by
 * one, by whoever knows them (commands, labels, nodes, sources); the first of equally near ones
 * stays. Typing errors counted: a letter too much, too few, another one, two swapped. One is
 * allowed in a word of up to three letters, two in a longer one; a word of two letters or more
 * that begins the offered one counts as one error.
 *
 * Bounded: a word longer than NEAR_WORD_MAX is near to nothing.
 */
#include "base/slice.h"

#define NEAR_WORD_MAX 48 /* a label's name, lab/name of a node */

struct near {
    struct slice word; /* borrowed: what was typed */
    size_t distance;   /* of `best`; above the limit: none yet */
    char best[NEAR_WORD_MAX + 1];
};

void near_begin(struct near *n, struct slice word);
void near_offer(struct near *n, struct slice candidate);
/* What was meant, NULL if nothing is near. The word itself is never proposed. */
const char *near_found(const struct near *n);
