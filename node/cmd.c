/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: connecting, one request, errors. */
#include "node/cmd.h"

#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

int cmd_fail(struct cmd *c, int exit_code, enum ipx_err err, const char *what, const char *why,
             const char *hint)
{
    return out_fail(
        &c->out,
        &(struct out_error){
            .exit_code = exit_code, .name = err_name(err), .what = what, .why = why, .hint = hint});
}

int cmd_usage(struct cmd *c, const char *what, const char *hint)
{
    return cmd_fail(c, OUT_USAGE, IPX_MALFORMED, what, NULL, hint);
}

int cmd_connect(struct cmd *c, struct client *client, uint16_t protocol)
{
    char why[HOME_PATH_MAX + 32];
    enum ipx_err err = local_open(client, c->home, protocol, &c->mem, &c->out);
    if (err == IPX_OK) {
        return 0;
    }
    if (err != IPX_UNREACHABLE) {
        return cmd_fail(c, OUT_FAILED, err, "cannot reach the node", err_text(err), NULL);
    }
    snprintf(why, sizeof(why), "home %s", c->home);
    return cmd_fail(c, OUT_NO_NODE, err, "no node is running", why,
                    os_home_exists(c->home) ? "Start it: ipx-node up"
                                            : "Make a mesh: ipx-node new NAME, or join one: "
                                              "ipx-node join TICKET");
}

int cmd_lost(struct cmd *c, int exit_code)
{
    return cmd_fail(c, exit_code, IPX_CLOSED, "the connection to the node was lost",
                    "it has stopped or was stopped", "See: ipx-node status, or its node.log");
}

int cmd_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_signal_taken(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

static int fail_slices(struct cmd *c, const struct control_error *e)
{
    char name[32], what[512], why[512], hint[512];
    out_clean(e->name, name, sizeof(name));
    out_clean(e->what, what, sizeof(what));
    out_clean(e->why, why, sizeof(why));
    out_clean(e->hint, hint, sizeof(hint));
    return out_fail(&c->out, &(struct out_error){.exit_code = e->exit_code == 0 ? 1 : e->exit_code,
                                                 .name = name,
                                                 .what = what,
                                                 .why = why,
                                                 .hint = hint});
}

static int read_answer(struct cmd *c, struct client *client, const struct cmd_request *r)
{
    static struct out_row row; /* large; rows do not nest */
    uint8_t type, code;
    struct slice body;
    while (local_read(client, &type, &body) == IPX_OK) {
        struct control_error e;
        if (type == CONTROL_ROW && out_row_decode(body, &row) == IPX_OK) {
            if (r->each != NULL) {
                r->each(r->user, &row);
            }
        } else if (type == CONTROL_END && control_end_decode(body, &code) == IPX_OK) {
            return code;
        } else if (type == CONTROL_ERROR && control_error_decode(body, &e) == IPX_OK) {
            return r->is_quiet ? (e.exit_code == 0 ? 1 : e.exit_code) : fail_slices(c, &e);
        } else if (type == CONTROL_NOTE && out_row_decode(body, &row) == IPX_OK) {
            char text[256];
            out_clean(out_row_text(&row, "text"), text, sizeof(text));
            out_note(&c->out, "%s", text);
        } else {
            break;
        }
    }
    if (client->is_interrupted) {
        return 128 + cmd_signal_taken(r->interrupt_fd);
    }
    return r->is_endless ? CMD_LOST : cmd_lost(c, OUT_FAILED);
}

int cmd_request(struct cmd *c, const struct cmd_request *r)
{
    struct client client;
    struct control_request request = {.command = (uint8_t)r->command, .n_args = r->n_args};
    for (size_t i = 0; i < r->n_args; i++) {
        request.args[i] = slice_text(r->args[i] != NULL ? r->args[i] : "");
        if (request.args[i].len > CONTROL_ARG_LEN_MAX || !slice_is_utf8(request.args[i])) {
            return cmd_usage(c, "an argument is too long or no UTF-8", NULL);
        }
    }
    int code = cmd_connect(c, &client, NODE_PROTOCOL_CONTROL);
    if (code != 0) {
        return code;
    }
    size_t cap = (CONTROL_ARG_LEN_MAX + 8) * (r->n_args + 1);
    uint8_t *bytes = mem_alloc(&c->mem, cap);
    struct writer w = writer_of(bytes, bytes != NULL ? cap : 0);
    control_request_encode(&request, &w);
    client.waits_for = r->waits_for != NULL ? r->waits_for : client.waits_for;
    client.waits_for = r->is_endless || r->is_quiet ? NULL : client.waits_for;
    client.hint = r->hint;
    client.interrupt_fd = r->interrupt_fd;
    if (w.failed || !local_send(&client, CONTROL_REQUEST, writer_slice(&w))) {
        code = r->is_endless ? CMD_LOST : cmd_lost(c, OUT_FAILED);
    } else {
        code = read_answer(c, &client, r);
    }
    mem_free(&c->mem, bytes);
    local_close(&client);
    return code;
}

char *cmd_where(struct cmd *c, enum flag_id flag)
{
    size_t cap = 4096, len = 0;
    char *text = mem_alloc(&c->mem, cap);
    const char *one;
    bool is_many = args_nth(&c->args, flag, 1) != NULL;
    for (size_t i = 0; text != NULL && (one = args_nth(&c->args, flag, i)) != NULL; i++) {
        len += (size_t)snprintf(text + len, cap - len, is_many ? "%s(%s)" : "%s%s",
                                i > 0 ? " and " : "", one);
        if (len > 1024) {
            mem_free(&c->mem, text);
            cmd_usage(c, "all --where together are longer than 1024 characters", NULL);
            return NULL;
        }
    }
    return text;
}

const char *cmd_listen(struct cmd *c, char out[static CMD_LISTEN_SIZE])
{
    const char *one;
    size_t len = 0;
    for (size_t i = 0; (one = args_nth(&c->args, FLAG_LISTEN, i)) != NULL; i++) {
        size_t room = CMD_LISTEN_SIZE - len; /* one too many is cut, and then no address */
        len += (size_t)snprintf(out + len, room, "%s%s", i > 0 ? "," : "", one);
        len = IPX_MIN(len, (size_t)CMD_LISTEN_SIZE - 1);
    }
    return len > 0 ? out : NULL;
}
