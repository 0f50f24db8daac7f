/* SPDX-License-Identifier: Apache-2.0 */
/* Simulation of whole nodes: `sim --help`. What a run is and must show: run.c. */
#include <stdio.h>
#include <stdlib.h>

#include "commit.h"
#include "tests/sim/adversary.h"
#include "tests/sim/plan.h"
#include "tests/sim/plant.h"

static const char usage[] =
    "usage: sim [--seed S] [--count C] [--nodes N] [--until T] [--faults all|none|NAME,..]\n"
    "           [--adversaries all|none|NAME,..] [--trace] [--twice] [--shrink FILE]\n"
    "       sim --replay FILE..     runs that failed once, from their seed files\n"
    "       sim --list              the classes of faults, and the adversaries\n"
    "\n"
    "Runs C seeds from S on, each with N whole nodes and T seconds of faults, and prints a line\n"
    "for each; at a failure also the words that repeat it. --twice: each seed two times, which\n"
    "must not differ. --shrink: makes the first failure smaller and writes a seed file.\n";

struct options {
    struct plan plan;
    enum plant plant; /* PLANT_NONE: none */
    unsigned long count;
    bool is_twice;
    const char *shrink;
};

static void list(void)
{
    for (unsigned i = 0; i < FAULT_N; i++) {
        printf("%-10s %s\n", fault_classes[i].name, fault_classes[i].what);
    }
    for (unsigned i = 1; i < ADVERSARY_N; i++) {
        printf("%-10s %s (an adversary)\n", adversary_classes[i].name, adversary_classes[i].what);
    }
}

static bool is_twice_the_same(const struct plan *p)
{
    struct outcome a, b; /* here: what a run leaves behind in the process counts too */
    plan_run(p, &a);
    plan_run(p, &b);
    bool is_same = a.trace_hash == b.trace_hash && a.n_events == b.n_events;
    if (!is_same) {
        printf("seed %llu: two runs differ\n", (unsigned long long)p->seed);
    }
    return is_same;
}

static bool one_plan(const struct plan *p, struct outcome *o)
{
    char text[PLAN_TEXT_SIZE];
    printf("seed %llu nodes %u: ", (unsigned long long)p->seed, p->n_nodes);
    plan_run_apart(p, false, o);
    printf("%s trace %016llx events %llu join %.2f s done %u, most sent in 10 s %llu KiB%s%s\n",
           o->is_failure ? "FAIL" : "ok", (unsigned long long)o->trace_hash,
           (unsigned long long)o->n_events, (double)o->join_us / 1e6, o->n_done,
           (unsigned long long)(o->most_bytes >> 10), o->is_failure ? ": " : "", o->failure);
    if (o->is_failure) {
        plan_print(p, text);
        printf("commit %s; replay: sim %s\n", SIM_COMMIT, text);
    }
    return !o->is_failure;
}

static void shrink(const struct options *o, const struct plan *failed, struct outcome *last)
{
    struct plan p = *failed;
    printf("shrinking\n");
    plan_shrink(&p, last);
    if (plan_write(o->shrink, &p, last->failure)) {
        printf("replay: sim --replay %s\n", o->shrink);
    } else {
        perror(o->shrink);
    }
}

static bool all_seeds(const struct options *o)
{
    struct plan p = o->plan;
    bool is_good = true;
    char text[PLAN_TEXT_SIZE];
    struct outcome outcome;
    plan_print(&p, text);
    printf("commit %s: sim %s --count %lu\n", SIM_COMMIT, text, o->count);
    for (unsigned long i = 0; i < o->count; i++, p.seed++) {
        bool is_ok = one_plan(&p, &outcome);
        if (!is_ok && o->shrink != NULL) {
            shrink(o, &p, &outcome);
            return false;
        }
        if (o->is_twice && is_ok) {
            is_ok = is_twice_the_same(&p);
        }
        is_good = is_good && is_ok;
    }
    return is_good;
}

/* The planted bug is found within so many seeds, and it alone is what was found. */
static bool hunt(const struct options *o)
{
    struct plan p = o->plan;
    struct outcome with, without;
    for (unsigned long i = 0; i < o->count; i++, p.seed++) {
        plant_set(o->plant);
        plan_run_apart(&p, true, &with);
        if (with.is_failure) {
            char text[PLAN_TEXT_SIZE];
            plant_set(PLANT_NONE);
            plan_run_apart(&p, true, &without);
            plan_print(&p, text);
            printf("planted %s: found by run %lu: sim %s: %s%s%s\n", plant_name(o->plant), i + 1,
                   text, with.failure, without.is_failure ? "; BUT WITHOUT IT: " : "",
                   without.failure);
            return !without.is_failure;
        }
    }
    printf("planted %s: NOT FOUND in %lu runs\n", plant_name(o->plant), o->count);
    return false;
}

static bool replay(char **files, int n)
{
    bool is_good = true;
    for (int i = 0; i < n; i++) {
        struct plan p;
        struct outcome o;
        char shows[PLAN_SHOWS_SIZE];
        if (!plan_read(files[i], &p, shows)) {
            fprintf(stderr, "sim: %s: not a seed file\n", files[i]);
            return false;
        }
        printf("%s: %s\n", files[i], shows);
        is_good = one_plan(&p, &o) && is_good;
    }
    return is_good;
}

static bool understand(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            o->plan.traces = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            o->is_twice = true;
        } else if (value == NULL) {
            return false;
        } else if (strcmp(argv[i], "--count") == 0) {
            o->count = strtoul(value, NULL, 10);
            i++;
        } else if (IS_PLANTED && strcmp(argv[i], "--plant") == 0) {
            o->plant = plant_by_name(value);
            if (o->plant == PLANT_NONE) {
                return false;
            }
            i++;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            o->shrink = value;
            i++;
        } else if (!plan_option(&o->plan, argv[i++], value)) {
            return false;
        }
    }
    return o->count > 0;
}

int main(int argc, char **argv)
{
    struct options o = {.count = 1};
    plan_default(&o.plan);
    if (crypt_init() != IPX_OK) {
        return 2;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "--replay") == 0) {
        return replay(argv + 2, argc - 2) ? 0 : 1;
    }
    if (!understand(&o, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    return (o.plant != PLANT_NONE ? hunt(&o) : all_seeds(&o)) ? 0 : 1;
}
