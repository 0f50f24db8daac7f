/* SPDX-License-Identifier: Apache-2.0 */
/* Settings in files: where they are read, and config show. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/cmd.h"

#define PATH_SIZE 600

/* A file that is not there says nothing. 0, or the exit code. */
static int read_one(struct cmd *c, const char *path)
{
    struct slice bytes;
    char error[ARGS_ERROR_SIZE], why[PATH_SIZE + 100];
    enum ipx_err err = os_file_read(path, CONFIG_FILE_MAX, &c->mem, &bytes);
    if (err == IPX_NOT_FOUND || (err == IPX_IO && (errno == ENOTDIR || errno == EACCES))) {
        return 0;
    }
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%s: %s", path,
                 err == IPX_LIMIT ? "more than 64 KiB" : strerror(errno));
        return cmd_fail(c, OUT_USAGE, err, "the settings cannot be read", why, NULL);
    }
    assert(c->n_config_texts + 2 <= CMD_CONFIG_TEXTS);
    char *text = c->config_texts[c->n_config_texts++] = mem_dup(&c->mem, bytes.data, bytes.len);
    char *name = c->config_texts[c->n_config_texts++] = mem_dup(&c->mem, path, strlen(path));
    bool has_nul = bytes.len > 0 && memchr(bytes.data, 0, bytes.len) != NULL;
    mem_free(&c->mem, (void *)(uintptr_t)bytes.data);
    if (text == NULL || name == NULL || has_nul) {
        return cmd_usage(c, "the settings cannot be read: no text", path);
    }
    err = config_parse(&c->config, name, text, &c->mem, error);
    return err == IPX_OK ? 0 : cmd_usage(c, error, NULL);
}

void config_unload(struct cmd *c)
{
    while (c->n_config_texts > 0) {
        mem_free(&c->mem, c->config_texts[--c->n_config_texts]);
    }
    c->config.n = 0;
}

static void user_file(char out[static PATH_SIZE])
{
    const char *folder = getenv("XDG_CONFIG_HOME");
    const char *user = getenv("HOME");
    if (folder != NULL && folder[0] == '/') {
        snprintf(out, PATH_SIZE, "%.500s/ipx/node.conf", folder);
    } else {
        snprintf(out, PATH_SIZE, "%.500s/.config/ipx/node.conf", user != NULL ? user : "");
    }
}

/* The files that count everywhere may name the home, whose own file then goes before them. */
int config_load(struct cmd *c)
{
    char path[PATH_SIZE], error[ARGS_ERROR_SIZE];
    const char *env = getenv("IPX_HOME");
    user_file(path);
    int code = read_one(c, path);
    code = code == 0 ? read_one(c, "/etc/ipx/node.conf") : code;
    if (code != 0) {
        return code;
    }
    struct config others = c->config;
    enum command_id command = c->args.has_command ? c->args.command : CONFIG_EVERY;
    const struct config_entry *e = config_find(&others, command, "home");
    const char *home = args_text(&c->args, FLAG_HOME);
    if (home == NULL && (env == NULL || env[0] == '\0') && e != NULL) {
        home = e->value;
    }
    if (os_home_path(home, c->home) != IPX_OK) {
        return cmd_usage(c, "the path of the home is too long: 90 characters are the limit",
                         "Choose another: --home DIR");
    }
    c->config.n = 0;
    snprintf(path, sizeof(path), "%s/node.conf", c->home);
    code = read_one(c, path);
    for (size_t i = 0; i < others.n && c->config.n < CONFIG_ENTRIES_MAX; i++) {
        c->config.entries[c->config.n++] = others.entries[i];
    }
    if (code == 0 && config_apply(&c->config, &c->args, &c->mem, error) != IPX_OK) {
        code = cmd_usage(c, error, NULL);
    }
    return code;
}

static void show(struct out_table *t, const char *key, const char *value, const char *origin)
{
    struct out_row row = {
        .n = 3,
        .fields = {{.key = slice_text("key"), .type = OUT_TEXT, .text = slice_text(key)},
                   {.key = slice_text("value"), .type = OUT_TEXT, .text = slice_text(value)},
                   {.key = slice_text("origin"), .type = OUT_TEXT, .text = slice_text(origin)}}};
    out_table_add(t, &row);
}

static void show_entry(struct out_table *t, const struct config_entry *e)
{
    char key[80], origin[PATH_SIZE + 32];
    bool is_general = e->command == CONFIG_EVERY;
    snprintf(key, sizeof(key), "%s%s%s", is_general ? "" : args_commands[e->command].name,
             is_general ? "" : ".", args_flags[e->flag].name);
    snprintf(origin, sizeof(origin), "%s:%u", e->file, e->line);
    show(t, key, e->value, origin);
}

/* A file of the home that `new`, `join` or `policy set` wrote; false: none. */
static bool saved(const struct cmd *c, const char *name, char *out, size_t size)
{
    char path[PATH_SIZE];
    struct mem mem;
    struct slice s;
    mem_init(&mem, SIZE_MAX);
    snprintf(path, sizeof(path), "%s/%s", c->home, name);
    if (os_file_read(path, 2048, &mem, &s) != IPX_OK) {
        return false;
    }
    out_clean(s, out, size);
    size_t len = strlen(out);
    if (len > 0 && s.data[s.len - 1] == '\n') {
        out[len - 1] = '\0';
    }
    mem_free(&mem, (void *)(uintptr_t)s.data);
    return out[0] != '\0';
}

struct setting {
    const char *key, *env, *otherwise;
    const char *files[2]; /* of the home, first that is there */
};

static void show_setting(struct cmd *c, struct out_table *t, const struct setting *s)
{
    char value[2048], origin[PATH_SIZE + 32];
    const char *env = s->env != NULL ? getenv(s->env) : NULL;
    const struct config_entry *e = config_find(&c->config, CONFIG_EVERY, s->key);
    if (env != NULL && env[0] != '\0') {
        snprintf(origin, sizeof(origin), "environment %s", s->env);
        show(t, s->key, env, origin);
        return;
    }
    if (e != NULL) {
        show_entry(t, e);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(s->files) && s->files[i] != NULL; i++) {
        if (saved(c, s->files[i], value, sizeof(value))) {
            snprintf(origin, sizeof(origin), "%s/%s", c->home, s->files[i]);
            show(t, s->key, value, origin);
            return;
        }
    }
    show(t, s->key, s->otherwise, "default");
}

static void show_home(struct cmd *c, struct out_table *t, bool is_typed)
{
    char origin[PATH_SIZE + 32];
    const char *env = getenv("IPX_HOME");
    const struct config_entry *e = config_find(&c->config, CONFIG_EVERY, "home");
    if (is_typed) {
        snprintf(origin, sizeof(origin), "flag --home");
    } else if (env != NULL && env[0] != '\0') {
        snprintf(origin, sizeof(origin), "environment IPX_HOME");
    } else if (e != NULL) {
        snprintf(origin, sizeof(origin), "%s:%u", e->file, e->line);
    } else {
        snprintf(origin, sizeof(origin), "default");
    }
    show(t, "home", c->home, origin);
}

int cmd_config(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"key", "KEY", OUT_PLAIN}, {"value", "VALUE", OUT_PLAIN}, {"origin", "ORIGIN", OUT_PLAIN}};
    static const struct setting settings[] = {
        {"listen", NULL, "every address, port 7433 or the next free", {"listen", NULL}},
        {"accept", NULL, "job.lab == lab", {"policy", "accept"}},
        {"log", "IPX_LOG", "info", {NULL, NULL}},
        {"color", NULL, "auto", {NULL, NULL}},
        {"quiet", NULL, "false", {NULL, NULL}},
        {"verbose", NULL, "false", {NULL, NULL}}};
    struct out_table t;
    if (c->args.n_words > 0 && strcmp(c->args.words[0], "show") != 0) {
        return cmd_usage(c, "config is typed config show", "See: ipx-node config --help");
    }
    bool has_origin = args_has(&c->args, FLAG_ORIGIN) || c->out.json;
    out_table_init(&t, &c->out, &c->mem, columns, has_origin ? 3 : 2);
    show_home(c, &t, c->is_home_typed);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        show_setting(c, &t, &settings[i]);
    }
    for (size_t i = 0; i < c->config.n; i++) {
        const struct config_entry *e = &c->config.entries[i];
        bool is_shown = e->command == CONFIG_EVERY && e->flag == FLAG_HOME;
        for (size_t k = 0; k < ARRAY_LEN(settings); k++) {
            is_shown = is_shown || (e->command == CONFIG_EVERY &&
                                    strcmp(settings[k].key, args_flags[e->flag].name) == 0);
        }
        if (!is_shown) {
            show_entry(&t, e);
        }
    }
    out_table_end(&t);
    return OUT_OK;
}
