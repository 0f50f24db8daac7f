/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Scenarios: a story told with whole nodes in the simulated world, and the trace that it has to
 * leave, as text beside it (<name>.trace). The text is normalised: members by name, no times; in a
 * phase each line once, sorted (who hears first is chance), with its count where it is of no peer.
 * IPX_TRACE_WRITE=1 writes the file instead of comparing: the difference is then read in git.
 *
 * Use: scenario_init, scenario_phase and the world's own functions, scenario_done.
 */
#include "tests/sim/world.h"

#define SCENARIO_TEXT_MAX 65536
#define SCENARIO_LINES_MAX 256 /* of one phase */
#define SCENARIO_LINE_MAX 160

struct scenario_line {
    char text[SCENARIO_LINE_MAX];
    bool is_counted;
    unsigned count;
};

struct scenario {
    struct world w;
    const char *path; /* of the .trace file */
    char text[SCENARIO_TEXT_MAX];
    size_t len;
    struct scenario_line lines[SCENARIO_LINES_MAX];
    unsigned n_lines;
};

/* A network without loss: 5 ms one way and up to 1 ms more. */
void scenario_init(struct scenario *s, unsigned n_nodes, const char *path);
/* The lines so far are written; those that follow stand below this title. */
void scenario_phase(struct scenario *s, const char *title);
/* A fact that is part of the expected text. */
__attribute__((format(printf, 2, 3))) void scenario_say(struct scenario *s, const char *format,
                                                        ...);
/* Runs until it is true; says `what` and either that it is so or that it is not. */
void scenario_expect(struct scenario *s, uint64_t within_us, const char *what,
                     bool (*is_so)(struct world *, void *), void *user);
/* Compares or writes; 0 if all is well: the exit status. */
int scenario_done(struct scenario *s);
