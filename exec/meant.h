/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * "Did you mean": what is misspelt in an expression, a node's or a source's name, told from the
 * peers that are known. Pure; only for words to people, nothing is decided by it.
 */
#include "base/near.h"
#include "base/query.h"

struct match;

#define MEANT_SIZE (NEAR_WORD_MAX + 3) /* a word, perhaps in quotes */

struct exec_meant {
    char name[LABEL_NAME_MAX + 2]; /* that no known ad has; with its dot if it is a field's */
    char meant[MEANT_SIZE];        /* a label's name; "astro" in quotes if it is a lab's or a node's
                                      name without them; empty: nothing is near */
};

/* The first name of the query that no known ad and no evaluator has, those with an idea what was
 * meant before those without. False: all are known, or no ad is. */
bool meant_label(const struct match *m, const struct query *q, struct exec_meant *ret);
/* Names of nodes (lab/name where `text` has a slash) and of sources. "" if none is near. */
void meant_node(const struct match *m, struct slice text, char ret[static MEANT_SIZE]);
void meant_source(const struct match *m, struct slice text, char ret[static MEANT_SIZE]);
