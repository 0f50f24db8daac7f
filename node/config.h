/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Settings in files: lines `key = value`, the keys being the names of flags (args_table.c), `#`
 * begins a comment. What stands before the first `[command]` counts for every command that has
 * such a flag; what stands in a section for that command alone, and goes before the rest. A switch
 * is true or false. A flag that repeats may stand several times.
 *
 * Precedence is that of the order in which files are read here: the first that says something
 * wins. What was typed as a flag is never touched. Pure: texts come from the caller and outlive
 * the object; values point into them.
 */
#include "node/args.h"

#define CONFIG_ENTRIES_MAX 64  /* of all files together */
#define CONFIG_FILE_MAX 65536  /* bytes of a file */
#define CONFIG_EVERY COMMAND_N /* not in a section */

struct config_entry {
    enum command_id command; /* CONFIG_EVERY */
    enum flag_id flag;       /* the first one of that name; another command's may be another */
    const char *value;
    const char *file;
    unsigned line;
};

struct config {
    struct config_entry entries[CONFIG_ENTRIES_MAX];
    size_t n;
};

/* Reads a file's `text` (changed: cut into strings). Conditions: IPX_MALFORMED, `ret_error` says
 * file, line, what and what was meant. */
IPX_MUST_USE enum ipx_err config_parse(struct config *c, const char *file, char *text,
                                       struct mem *mem, char ret_error[static ARGS_ERROR_SIZE]);
/* Adds to the words typed what they leave open. Conditions: IPX_MALFORMED (a value that this
 * command's flag does not take). */
IPX_MUST_USE enum ipx_err config_apply(const struct config *c, struct args *a, struct mem *mem,
                                       char ret_error[static ARGS_ERROR_SIZE]);
/* What counts for a flag: the command's own section, then the general part; NULL: nothing. */
const struct config_entry *config_find(const struct config *c, enum command_id command,
                                       const char *name);
