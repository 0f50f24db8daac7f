/* SPDX-License-Identifier: Apache-2.0 */
/* ipx-node: reads the argument table and calls the command. */
#include <stdio.h>
#include <string.h>

#include "base/crypt.h"
#include "node/cmd.h"

typedef int command_fn(struct cmd *c);

static command_fn *const commands[COMMAND_N] = {
    [COMMAND_NEW] = cmd_new,         [COMMAND_INVITE] = cmd_invite,   [COMMAND_JOIN] = cmd_join,
    [COMMAND_UP] = cmd_up,           [COMMAND_DOWN] = cmd_down,       [COMMAND_LEAVE] = cmd_leave,
    [COMMAND_STATUS] = cmd_status,   [COMMAND_NODES] = cmd_nodes,     [COMMAND_PEERS] = cmd_peers,
    [COMMAND_PING] = cmd_ping,       [COMMAND_LABEL] = cmd_label,     [COMMAND_MATCH] = cmd_match,
    [COMMAND_POLICY] = cmd_policy,   [COMMAND_RUN] = cmd_run,         [COMMAND_MAP] = cmd_map,
    [COMMAND_PS] = cmd_ps,           [COMMAND_SHOW] = cmd_show,       [COMMAND_WHY] = cmd_why,
    [COMMAND_LOGS] = cmd_logs,       [COMMAND_WAIT] = cmd_wait,       [COMMAND_CANCEL] = cmd_cancel,
    [COMMAND_PUBLISH] = cmd_publish, [COMMAND_SOURCES] = cmd_sources, [COMMAND_TAP] = cmd_tap,
    [COMMAND_CONFIG] = cmd_config,   [COMMAND_DOCTOR] = cmd_doctor,   [COMMAND_EVENTS] = cmd_events,
    [COMMAND_HELP] = cmd_help,       [COMMAND_VERSION] = cmd_version};

static void set_out(struct cmd *c)
{
    c->out.json = args_has(&c->args, FLAG_JSON);
    c->out.quiet = args_has(&c->args, FLAG_QUIET);
    c->out.verbose = args_has(&c->args, FLAG_VERBOSE);
    out_set_color(&c->out, args_text(&c->args, FLAG_COLOR));
}

static int run(struct cmd *c, const char *error, enum ipx_err parsed)
{
    set_out(c);
    if (parsed != IPX_OK) {
        return cmd_fail(c, OUT_USAGE, parsed, error, NULL, NULL);
    }
    if (args_has(&c->args, FLAG_VERSION)) {
        return cmd_version(c);
    }
    if (args_has(&c->args, FLAG_HELP)) {
        return cmd_help(c);
    }
    if (c->args.has_command &&
        (c->args.command == COMMAND_HELP || c->args.command == COMMAND_VERSION)) {
        return commands[c->args.command](c); /* whatever the settings say */
    }
    c->is_home_typed = args_has(&c->args, FLAG_HOME);
    int code = config_load(c);
    if (code != 0) {
        return code;
    }
    set_out(c);
    return c->args.has_command ? commands[c->args.command](c) : cmd_bare(c);
}

int main(int argc, char **argv)
{
    static struct cmd c;
    char error[ARGS_ERROR_SIZE] = "";
    mem_init(&c.mem, SIZE_MAX);
    out_begin(&c.out, argc > 0 ? argv[0] : "ipx-node");
    char **words = mem_alloc_array(&c.mem, (size_t)argc + 1, sizeof(*words));
    if (words == NULL || crypt_init() != IPX_OK) {
        fputs("ipx-node: cannot start: no memory, or no cryptography\n", stderr);
        return OUT_IPX_FAILED;
    }
    enum ipx_err parsed = args_parse(argc, argv, words, &c.mem, &c.args, error);
    if (parsed != IPX_OK) { /* --json counts wherever it stands: the error is for a program */
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
            if (strcmp(argv[i], "--json") == 0 && c.args.n_values < ARGS_VALUES_MAX) {
                c.args.values[c.args.n_values++] = (struct args_value){.id = FLAG_JSON, .text = ""};
            }
        }
    }
    int code = run(&c, error, parsed);
    config_unload(&c);
    mem_free(&c.mem, words);
    if (fflush(stdout) != 0 && code == 0) {
        code = OUT_FAILED; /* a result that did not arrive is none */
    }
    return code;
}
