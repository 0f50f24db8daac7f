/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/sim/adversary.h"

#define UNTIL_S 15
#define UNTIL_MAX_S 3600
#define LINE_SIZE 1024

void plan_default(struct plan *p)
{
    *p = (struct plan){.seed = 1, .n_nodes = 3, .until_s = UNTIL_S, .faults = FAULT_ALL};
}

static bool number(const char *text, uint64_t low, uint64_t high, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *ret = value;
    return errno == 0 && end != text && *end == '\0' && value >= low && value <= high;
}

bool plan_option(struct plan *p, const char *option, const char *value)
{
    uint64_t n;
    if (strcmp(option, "--seed") == 0) {
        return number(value, 0, UINT64_MAX, &p->seed);
    } else if (strcmp(option, "--nodes") == 0 && number(value, 1, WORLD_NODES_MAX - 2, &n)) {
        p->n_nodes = (unsigned)n;
        return true;
    } else if (strcmp(option, "--until") == 0 && number(value, 0, UNTIL_MAX_S, &n)) {
        p->until_s = (unsigned)n;
        return true;
    } else if (strcmp(option, "--faults") == 0) {
        return faults_parse(value, &p->faults);
    } else if (strcmp(option, "--adversaries") == 0) {
        return adversaries_parse(value, &p->adversaries);
    }
    return false;
}

bool plan_parse(struct plan *p, const char *line)
{
    char text[LINE_SIZE], *rest = NULL;
    if (strlen(line) >= sizeof(text)) {
        return false;
    }
    memcpy(text, line, strlen(line) + 1);
    for (char *option = strtok_r(text, " \n", &rest); option != NULL;
         option = strtok_r(NULL, " \n", &rest)) {
        const char *value = strtok_r(NULL, " \n", &rest);
        if (value == NULL || !plan_option(p, option, value)) {
            return false;
        }
    }
    return true;
}

void plan_print(const struct plan *p, char text[static PLAN_TEXT_SIZE])
{
    char faults[PLAN_TEXT_SIZE - 256], adversaries[100];
    faults_print(p->faults, faults, sizeof(faults));
    adversaries_print(p->adversaries, adversaries, sizeof(adversaries));
    snprintf(text, PLAN_TEXT_SIZE, "--seed %llu --nodes %u --until %u --faults %s%s%s",
             (unsigned long long)p->seed, p->n_nodes, p->until_s, faults,
             p->adversaries != 0 ? " --adversaries " : "", p->adversaries != 0 ? adversaries : "");
}

bool plan_read(const char *path, struct plan *p, char shows[static PLAN_SHOWS_SIZE])
{
    char line[LINE_SIZE];
    FILE *f = fopen(path, "re");
    bool is_good = f != NULL;
    plan_default(p);
    shows[0] = '\0';
    while (is_good && fgets(line, sizeof(line), f) != NULL) {
        if (line[0] != '#') {
            is_good = plan_parse(p, line);
        } else if (shows[0] == '\0') {
            line[strcspn(line, "\n")] = '\0';
            snprintf(shows, PLAN_SHOWS_SIZE, "%.*s", PLAN_SHOWS_SIZE - 1,
                     line + 1 + (line[1] == ' '));
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return is_good;
}

bool plan_write(const char *path, const struct plan *p, const char *shows)
{
    char text[PLAN_TEXT_SIZE];
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        return false;
    }
    plan_print(p, text);
    bool is_good = fprintf(f, "# %s\n%s\n", shows, text) > 0;
    return fclose(f) == 0 && is_good;
}
