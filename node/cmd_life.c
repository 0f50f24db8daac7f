/* SPDX-License-Identifier: Apache-2.0 */
/* A node's life: new, join, up, down, leave. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/keys.h"
#include "base/ticket.h"
#include "node/cmd.h"
#include "node/cmd_life.h"
#include "node/os_entropy.h"

#define STOP_TRIES 1000 /* of 10 ms: the spawner has 5 s to end all tasks */

int life_failure(struct cmd *c, const struct daemon_failure *f)
{
    return out_fail(&c->out, &(struct out_error){.exit_code = f->exit_code == 0 ? 1 : f->exit_code,
                                                 .name = f->name,
                                                 .what = f->what,
                                                 .why = f->why,
                                                 .hint = f->hint});
}

/* --- in the foreground --- */

static volatile sig_atomic_t fg_child; /* the node that --fg waits for */

static void pass_on(int number)
{
    if (fg_child > 0) {
        kill((pid_t)fg_child, number);
    }
}

int life_foreground(pid_t pid)
{
    int status = 0;
    struct sigaction sa = {.sa_handler = pass_on};
    fg_child = (sig_atomic_t)pid;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : OUT_FAILED;
}

/* --- up, down, leave --- */

int cmd_up(struct cmd *c)
{
    char listen[CMD_LISTEN_SIZE];
    struct daemon_options options = {.home = c->home,
                                     .listen = cmd_listen(c, listen),
                                     .accept = args_text(&c->args, FLAG_ACCEPT),
                                     .is_fg = args_has(&c->args, FLAG_FG)};
    struct daemon_failure failure;
    pid_t pid;
    if (!os_home_exists(c->home)) {
        return cmd_fail(c, OUT_FAILED, IPX_NOT_FOUND, "there is no node in this home", c->home,
                        "Make a mesh: ipx-node new NAME, or join one: ipx-node join TICKET");
    }
    if (options.is_fg) {
        int code = daemon_run(&options, -1, &failure);
        return failure.exit_code != 0 ? life_failure(c, &failure) : code;
    }
    enum ipx_err err = daemon_start(&options, &pid, &failure);
    if (err == IPX_REFUSED) {
        return life_failure(c, &failure);
    }
    if (err != IPX_OK) {
        return cmd_fail(c, OUT_FAILED, err, "the node cannot be started", strerror(errno), NULL);
    }
    if (c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "state", json_string("up"));
        json_object_set_new(object, "pid", json_integer(pid));
        json_object_set_new(object, "home", json_string(c->home));
        out_json(&c->out, object);
    } else {
        printf("up, log: %s/node.log\n", c->home);
    }
    return OUT_OK;
}

/* Until the process has let go of its home. */
static bool wait_gone(const struct cmd *c)
{
    struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < STOP_TRIES; i++) {
        if (os_home_pid(c->home) == 0) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static int stop(struct cmd *c, enum control_command command, const char *state)
{
    int pid = os_home_pid(c->home);
    int code = cmd_request(c, &(struct cmd_request){.command = command});
    if (code != 0) {
        return code;
    }
    if (!wait_gone(c)) {
        char hint[64];
        snprintf(hint, sizeof(hint), "End it: kill -9 %d", pid);
        return cmd_fail(c, OUT_FAILED, IPX_TIMEOUT, "the node does not end", NULL, hint);
    }
    if (command == CONTROL_LEAVE) {
        os_home_remove(c->home);
    }
    if (c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "state", json_string(state));
        out_json(&c->out, object);
    }
    return OUT_OK;
}

int cmd_down(struct cmd *c)
{
    return stop(c, CONTROL_DOWN, "down");
}

int cmd_leave(struct cmd *c)
{
    return stop(c, CONTROL_LEAVE, "left");
}

/* --- what new and join share --- */

void life_default_name(char out[static CERT_NAME_MAX + 1])
{
    char host[256] = "";
    size_t n = 0;
    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    for (size_t i = 0; host[i] != '\0' && host[i] != '.' && n < CERT_NAME_MAX; i++) {
        char ch = host[i];
        ch = ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch == '_' ? '-' : ch;
        bool is_letter = ch >= 'a' && ch <= 'z';
        if (is_letter || (n > 0 && (ch == '-' || (ch >= '0' && ch <= '9')))) {
            out[n++] = ch;
        }
    }
    out[n] = '\0';
    if (!cert_name_is_valid(slice_text(out)) || strcmp(out, "localhost") == 0) {
        uint8_t random[4];
        os_entropy(random, sizeof(random));
        snprintf(out, CERT_NAME_MAX + 1, "node-%02x%02x%02x%02x", random[0], random[1], random[2],
                 random[3]);
    }
}

int life_labels(struct cmd *c, char *out, size_t size)
{
    const char *one;
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; (one = args_nth(&c->args, FLAG_LABEL, i)) != NULL; i++) {
        const char *eq = strchr(one, '=');
        struct slice name = slice_of(one, (size_t)(eq - one));
        char what[160];
        if (label_name_is_reserved(name) || label_name_is_evaluator(name)) {
            snprintf(what, sizeof(what), "label \"%.*s\" is set by the node itself", (int)name.len,
                     one);
            return cmd_usage(c, what, "Choose another name");
        }
        if (strchr(one, '\n') != NULL || len + strlen(one) + 2 > size) {
            return cmd_usage(c, "the labels are too long", "4 KiB are the limit");
        }
        len += (size_t)snprintf(out + len, size - len, "%s\n", one);
    }
    return 0;
}

int life_refuse_existing(struct cmd *c, const char *verb)
{
    char what[64], hint[160];
    if (!os_home_exists(c->home)) {
        return 0;
    }
    snprintf(what, sizeof(what), "cannot %s here", verb);
    snprintf(hint, sizeof(hint), "Look: ipx-node status. Another node: ipx-node %s --home DIR ..",
             verb);
    char why[HOME_PATH_MAX + 64];
    snprintf(why, sizeof(why), "a node lives in %s already", c->home);
    return cmd_fail(c, OUT_FAILED, IPX_EXISTS, what, why, hint);
}
