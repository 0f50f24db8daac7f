/* SPDX-License-Identifier: Apache-2.0 */
/* events: what happened at the node; with -f over its restarts too. */
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "node/cmd.h"

#define RETRY_MS 250

struct following {
    struct cmd *c;
    uint64_t boot, next; /* the number that comes next; 0: none has come */
};

static void event_json(struct following *f, const struct out_row *r, bool is_gap)
{
    char text[256];
    json_t *object = out_object();
    json_object_set_new(object, "boot", json_integer((json_int_t)out_row_u64(r, "boot")));
    if (is_gap) {
        json_t *gap = json_object();
        json_object_set_new(gap, "first", json_integer((json_int_t)out_row_u64(r, "first")));
        json_object_set_new(gap, "last", json_integer((json_int_t)out_row_u64(r, "last")));
        json_object_set_new(object, "gap", gap);
    } else {
        json_object_set_new(object, "seq", json_integer((json_int_t)out_row_u64(r, "seq")));
        out_json_time(object, "time", (int64_t)out_row_u64(r, "time_ms"));
        json_object_set_new(object, "node", out_json_text(out_row_text(r, "node")));
    }
    out_clean(out_row_text(r, "event"), text, sizeof(text));
    json_object_set_new(object, "event", json_string(text));
    json_object_set_new(object, "text", out_json_text(out_row_text(r, "text")));
    out_json(&f->c->out, object);
}

/* Time of day for people, RFC 3339 for programs. */
static void time_text(const struct out *o, int64_t unix_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    bool is_ok =
        o->is_tty_out ? localtime_r(&seconds, &tm) != NULL : gmtime_r(&seconds, &tm) != NULL;
    out[0] = '\0';
    if (is_ok) {
        strftime(out, size, o->is_tty_out ? "%b %d %H:%M:%S" : "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
}

static void event_text(struct following *f, const struct out_row *r)
{
    const struct out *o = &f->c->out;
    char when[40], event[32], node[80], text[200];
    time_text(o, (int64_t)out_row_u64(r, "time_ms"), when, sizeof(when));
    out_clean(out_row_text(r, "event"), event, sizeof(event));
    out_clean(out_row_text(r, "node"), node, sizeof(node));
    out_clean(out_row_text(r, "text"), text, sizeof(text));
    printf(o->is_tty_out ? "%llu  %s  %-14s  %-16s  %s\n" : "%llu\t%s\t%s\t%s\t%s\n",
           (unsigned long long)out_row_u64(r, "seq"), when, event, node[0] != '\0' ? node : "-",
           text[0] != '\0' ? text : "-");
    fflush(stdout);
}

static void show_event(void *user, const struct out_row *r)
{
    struct following *f = user;
    bool is_gap = slice_equal(out_row_text(r, "event"), slice_text("gap"));
    f->boot = out_row_u64(r, "boot");
    f->next = out_row_u64(r, is_gap ? "last" : "seq") + 1;
    if (f->c->out.json) {
        event_json(f, r, is_gap);
    } else if (is_gap) {
        out_note(&f->c->out, "gap: events %llu to %llu are no longer kept",
                 (unsigned long long)out_row_u64(r, "first"),
                 (unsigned long long)out_row_u64(r, "last"));
    } else {
        event_text(f, r);
    }
}

static int ask(struct following *f, bool is_endless, int signal_fd)
{
    char boot[24], next[24];
    snprintf(boot, sizeof(boot), "%llu", (unsigned long long)f->boot);
    snprintf(next, sizeof(next), "%llu", (unsigned long long)f->next);
    return cmd_request(f->c, &(struct cmd_request){.command = CONTROL_EVENTS,
                                                   .args = {is_endless ? "1" : "", boot, next},
                                                   .n_args = 3,
                                                   .is_endless = is_endless,
                                                   .interrupt_fd = signal_fd,
                                                   .each = show_event,
                                                   .user = f});
}

/* Until a node answers here again: 0, or 128 + the signal. */
static int wait_node(struct following *f, int signal_fd)
{
    struct pollfd fd = {.fd = signal_fd, .events = POLLIN};
    struct client client;
    out_note(&f->c->out, "the node has stopped; waiting for it (Ctrl-C ends)");
    while (local_open(&client, f->c->home, NODE_PROTOCOL_CONTROL, &f->c->mem, &f->c->out) !=
           IPX_OK) {
        if (poll(&fd, 1, RETRY_MS) > 0) {
            return 128 + cmd_signal_taken(signal_fd);
        }
    }
    local_close(&client);
    return 0;
}

int cmd_events(struct cmd *c)
{
    struct following f = {.c = c};
    if (!args_has(&c->args, FLAG_FOLLOW_EVENTS)) {
        return ask(&f, false, 0);
    }
    int signal_fd = cmd_signals();
    int code = CMD_LOST;
    while (code == CMD_LOST) {
        code = ask(&f, true, signal_fd);
        if (code == CMD_LOST) {
            int ended = wait_node(&f, signal_fd);
            code = ended != 0 ? ended : CMD_LOST;
        }
    }
    close(signal_fd);
    return code;
}
