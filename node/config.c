/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"

#include <stdio.h>

#include "base/near.h"

struct place {
    const char *file;
    unsigned line;
    char *error;
};

static enum ipx_err fail(const struct place *p, const char *what, const char *name,
                         const char *meant)
{
    snprintf(p->error, ARGS_ERROR_SIZE,
             "%.120s:%u: %.180s \"%.48s\"%s%s%s. See: ipx-node config --help", p->file, p->line,
             what, name, meant != NULL ? ". Did you mean " : "", meant != NULL ? meant : "",
             meant != NULL ? "?" : "");
    return IPX_MALFORMED;
}

/* A flag of this name that the command has; of CONFIG_EVERY: that any has. */
static enum flag_id flag_of(enum command_id command, const char *name, struct near *near)
{
    for (const enum flag_id *f = args_global_flags; *f != FLAG_NONE; f++) {
        bool is_setting = *f != FLAG_HELP && *f != FLAG_VERSION;
        if (is_setting && strcmp(args_flags[*f].name, name) == 0) {
            return *f;
        }
        near_offer(near, slice_text(is_setting ? args_flags[*f].name : ""));
    }
    for (unsigned i = 0; i < COMMAND_N; i++) {
        const enum flag_id *f = args_commands[i].flags;
        for (; (command == CONFIG_EVERY || command == i) && *f != FLAG_NONE; f++) {
            if (strcmp(args_flags[*f].name, name) == 0) {
                return *f;
            }
            near_offer(near, slice_text(args_flags[*f].name));
        }
    }
    return FLAG_NONE;
}

static enum ipx_err check_value(const struct place *p, enum flag_id id, const char *value,
                                struct mem *mem)
{
    const struct arg_flag *f = &args_flags[id];
    char why[200], what[280];
    double number;
    if (f->type == ARG_SWITCH) {
        bool is_ok = strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
        return is_ok ? IPX_OK : fail(p, "true or false is wanted, not", value, NULL);
    }
    if (args_value_check(f->type, f->value, value, mem, &number, why, sizeof(why)) == IPX_OK) {
        return IPX_OK;
    }
    snprintf(what, sizeof(what), "%s is not valid (%s%s)", f->name,
             f->type == ARG_CHOICE || f->type == ARG_KEY ? "one of " : "", why);
    return fail(p, what, value, NULL);
}

static char *trim(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t' || text[len - 1] == '\r')) {
        text[--len] = '\0';
    }
    return text + strspn(text, " \t");
}

static enum ipx_err read_section(const struct place *p, char *line, enum command_id *ret)
{
    struct near near;
    char *end = strchr(line, ']');
    if (end == NULL || end[1] != '\0') {
        return fail(p, "a section is typed [command], not", line, NULL);
    }
    *end = '\0';
    char *name = trim(line + 1);
    if (args_command_find(name, ret) == IPX_OK) {
        return IPX_OK;
    }
    near_begin(&near, slice_text(name));
    for (unsigned i = 0; i < COMMAND_N; i++) {
        near_offer(&near, slice_text(args_commands[i].name));
    }
    return fail(p, "there is no command", name, near_found(&near));
}

static enum ipx_err read_entry(struct config *c, const struct place *p, char *line,
                               enum command_id command, struct mem *mem)
{
    struct near near;
    char *eq = strchr(line, '=');
    if (eq == NULL) {
        return fail(p, "a line is typed key = value, not", line, NULL);
    }
    *eq = '\0';
    char *name = trim(line), *value = trim(eq + 1);
    near_begin(&near, slice_text(name));
    enum flag_id id = flag_of(command, name, &near);
    if (id == FLAG_NONE) {
        return fail(p, "unknown key", name, near_found(&near));
    }
    enum ipx_err err = check_value(p, id, value, mem);
    if (err != IPX_OK) {
        return err;
    }
    for (size_t i = 0; i < c->n && !args_flags[id].may_repeat; i++) {
        const struct config_entry *e = &c->entries[i];
        if (e->flag == id && e->command == command && e->file == p->file) {
            return fail(p, "it stands here twice:", name, NULL);
        }
    }
    if (c->n == CONFIG_ENTRIES_MAX) {
        return fail(p, "more than 64 settings; this is one too many:", name, NULL);
    }
    c->entries[c->n++] = (struct config_entry){
        .command = command, .flag = id, .value = value, .file = p->file, .line = p->line};
    return IPX_OK;
}

enum ipx_err config_parse(struct config *c, const char *file, char *text, struct mem *mem,
                          char ret_error[static ARGS_ERROR_SIZE])
{
    struct place p = {.file = file, .error = ret_error};
    enum command_id command = CONFIG_EVERY;
    enum ipx_err err = IPX_OK;
    for (char *next = text; next != NULL && err == IPX_OK;) {
        char *line = next;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        p.line++;
        line = trim(line);
        if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
            continue;
        }
        err = line[0] == '[' ? read_section(&p, line, &command)
                             : read_entry(c, &p, line, command, mem);
    }
    return err;
}

const struct config_entry *config_find(const struct config *c, enum command_id command,
                                       const char *name)
{
    for (int general = 0; general < 2; general++) {
        enum command_id wanted = general ? CONFIG_EVERY : command;
        for (size_t i = 0; i < c->n; i++) {
            const struct config_entry *e = &c->entries[i];
            if (e->command == wanted && strcmp(args_flags[e->flag].name, name) == 0) {
                return e;
            }
        }
    }
    return NULL;
}

/* All lines of a flag that repeats come from the file that says it first. */
static enum ipx_err apply_flag(const struct config *c, struct args *a, enum flag_id id,
                               struct mem *mem, char *error)
{
    const struct arg_flag *f = &args_flags[id];
    const struct config_entry *first = config_find(c, a->command, f->name);
    if (first == NULL || args_has(a, id)) {
        return IPX_OK;
    }
    for (const struct config_entry *e = first; e < c->entries + c->n; e++) {
        struct place p = {e->file, e->line, error};
        struct args_value v = {.id = id, .text = f->type == ARG_SWITCH ? "" : e->value};
        char why[200];
        bool is_same = e->file == first->file && e->command == first->command &&
                       strcmp(args_flags[e->flag].name, f->name) == 0;
        bool is_off = f->type == ARG_SWITCH && strcmp(e->value, "false") == 0;
        if (!is_same || is_off || a->n_values == ARGS_VALUES_MAX) {
            continue;
        }
        if (check_value(&p, id, e->value, mem) != IPX_OK) {
            return IPX_MALFORMED;
        }
        if (f->type != ARG_SWITCH) {
            err_ignore(
                args_value_check(f->type, f->value, e->value, mem, &v.number, why, sizeof(why)),
                "checked above");
        }
        a->values[a->n_values++] = v;
    }
    return IPX_OK;
}

enum ipx_err config_apply(const struct config *c, struct args *a, struct mem *mem,
                          char ret_error[static ARGS_ERROR_SIZE])
{
    enum ipx_err err = IPX_OK;
    for (const enum flag_id *f = args_global_flags; *f != FLAG_NONE && err == IPX_OK; f++) {
        err = apply_flag(c, a, *f, mem, ret_error);
    }
    const enum flag_id none = FLAG_NONE;
    const enum flag_id *own = a->has_command ? args_commands[a->command].flags : &none;
    for (; *own != FLAG_NONE && err == IPX_OK; own++) {
        err = apply_flag(c, a, *own, mem, ret_error);
    }
    return err;
}
