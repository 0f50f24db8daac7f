/* SPDX-License-Identifier: Apache-2.0 */
/* join: a ticket becomes a member, or nothing is left behind. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ticket.h"
#include "node/cmd_life.h"
#include "node/os_entropy.h"
#include "node/uv_shell.h"

struct joining {
    struct cmd *c;
    char text[TICKET_INPUT_MAX + 1];
    struct ticket ticket;
    char name[CERT_NAME_MAX + 1];
    char labels[LIFE_LABELS_SIZE];
    pid_t pid; /* 0: no node yet */
    int signal_fd;
};

/* --- the ticket --- */

static bool read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    out[len] = '\0';
    return len > 0;
}

static int read_file(struct joining *j, const char *path)
{
    struct slice s;
    char why[200];
    enum ipx_err err = os_file_read(path, TICKET_INPUT_MAX, &j->c->mem, &s);
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%.120s: %s", path,
                 err == IPX_LIMIT ? "too long" : strerror(errno));
        return cmd_fail(j->c, err == IPX_NOT_FOUND ? OUT_NO_SUCH : OUT_FAILED, err,
                        "the ticket cannot be read", why, NULL);
    }
    memcpy(j->text, s.data, s.len);
    j->text[s.len] = '\0';
    crypt_wipe((void *)(uintptr_t)s.data, s.len);
    mem_free(&j->c->mem, (void *)(uintptr_t)s.data);
    return 0;
}

static bool looks_like_ticket(const char *word)
{
    return strncasecmp(word, TICKET_PREFIX, sizeof(TICKET_PREFIX) - 1) == 0 &&
           access(word, F_OK) != 0;
}

static int get_text(struct joining *j)
{
    struct cmd *c = j->c;
    const char *file = getenv("IPX_TICKET_FILE");
    char *word = c->args.n_words > 0 ? c->args.words[0] : NULL;
    if (word == NULL && file != NULL && file[0] != '\0') {
        return read_file(j, file);
    }
    if (word == NULL) {
        return cmd_usage(c, "join wants a ticket: join FILE, join TICKET or join -",
                         "Its owner makes one: ipx-node invite");
    }
    if (strcmp(word, "-") == 0) {
        return read_all(STDIN_FILENO, j->text, sizeof(j->text))
                   ? 0
                   : cmd_fail(c, OUT_FAILED, IPX_END, "no ticket came on stdin", NULL, NULL);
    }
    if (!looks_like_ticket(word)) {
        return read_file(j, word);
    }
    if (strlen(word) > TICKET_INPUT_MAX) {
        return cmd_fail(c, OUT_FAILED, IPX_MALFORMED, "the ticket is too long to be one", NULL,
                        NULL);
    }
    snprintf(j->text, sizeof(j->text), "%s", word);
    memset(word, '*', strlen(word)); /* the list of processes is no place for it */
    return 0;
}

static int fail_parse(const struct joining *j, enum ipx_err err)
{
    bool is_one = strncasecmp(j->text, TICKET_PREFIX, sizeof(TICKET_PREFIX) - 1) == 0;
    const char *why = is_one ? "it was mistyped, cut or altered" : "this text is none";
    return cmd_fail(j->c, OUT_FAILED, err, "the ticket is not valid", why,
                    "Copy it again, or ask its owner for a new one: ipx-node invite");
}

static int fail_time(const struct joining *j, enum ipx_err err, int64_t wall_ms)
{
    const struct cert_grant *g = &j->ticket.body.grant;
    char what[96], why[96], span[32];
    int64_t ms = err == IPX_EXPIRED ? wall_ms - g->not_after_ms : g->not_before_ms - wall_ms;
    out_duration((double)ms / 1000, span, sizeof(span));
    if (err == IPX_EXPIRED) {
        snprintf(what, sizeof(what), "ticket expired %s ago", span);
    } else {
        snprintf(what, sizeof(what), "ticket is not valid before %s from now", span);
    }
    snprintf(why, sizeof(why), "issued by %s",
             j->ticket.issued_by[0] != '\0' ? j->ticket.issued_by : "its mesh");
    return cmd_fail(j->c, OUT_FAILED, err, what, why,
                    err == IPX_EXPIRED ? "Ask its owner for a new one: ipx-node invite --role node"
                                       : "Is the clock of this machine right? See: date");
}

static int get_ticket(struct joining *j)
{
    int64_t wall_ms = shell_wall_ms();
    int code = get_text(j);
    if (code != 0) {
        return code;
    }
    enum ipx_err err = ticket_parse(slice_text(j->text), &j->ticket);
    if (err != IPX_OK) {
        return fail_parse(j, err);
    }
    err = ticket_check(&j->ticket, NULL, wall_ms);
    return err == IPX_OK ? 0 : fail_time(j, err, wall_ms);
}

/* --- joining --- */

static int write_home(struct joining *j)
{
    struct cmd *c = j->c;
    char text[TICKET_TEXT_SIZE], why[HOME_PATH_MAX + 128], listen[CMD_LISTEN_SIZE];
    struct crypt_keypair key;
    size_t len = ticket_print(&j->ticket, text);
    struct home_seed seed = {.mesh = j->ticket.body.mesh,
                             .mesh_name = "",
                             .name = j->name,
                             .n_gates = 1,
                             .ticket = slice_of(text, len),
                             .listen = cmd_listen(c, listen),
                             .accept = args_text(&c->args, FLAG_ACCEPT),
                             .labels = slice_text(j->labels)};
    os_entropy_key(seed.key_seed, &key);
    memcpy(seed.gates[0], j->ticket.gate_key, 32);
    enum ipx_err err = os_home_create(c->home, &seed);
    crypt_wipe(&seed, sizeof(seed));
    crypt_wipe(&key, sizeof(key));
    crypt_wipe(text, sizeof(text));
    if (err == IPX_OK) {
        return 0;
    }
    snprintf(why, sizeof(why), "%s: %s", c->home, strerror(errno));
    os_home_remove(c->home);
    return cmd_fail(c, OUT_FAILED, err, "the home cannot be made", why,
                    "Choose another: --home DIR");
}

static void show_joined(void *user, const struct out_row *r)
{
    struct joining *j = user;
    struct out *o = &j->c->out;
    char name[64], lab[32], id[32], mesh[40], accept[1100], took[32], counts[96];
    if (o->json) {
        out_row_json(o, r);
        return;
    }
    out_clean(out_row_text(r, "name"), name, sizeof(name));
    out_clean(out_row_text(r, "lab"), lab, sizeof(lab));
    out_clean(out_row_text(r, "node"), id, sizeof(id));
    out_clean(out_row_text(r, "mesh_id"), mesh, sizeof(mesh));
    out_clean(out_row_text(r, "accept"), accept, sizeof(accept));
    out_duration(out_row_double(r, "join_ms") / 1000, took, sizeof(took));
    out_counts(r, counts, sizeof(counts));
    printf("joined mesh %.8s as %s/%s (%s) in %s: %s\n", mesh, lab, name, id, took, counts);
    printf("runs tasks where %s   (%s policy set 'accept=EXPR')\n", accept, o->program);
    printf("try: %s nodes, %s run -- uname -a\n", o->program, o->program);
    fflush(stdout);
}

/* Ends the node and what it left; the exit code. */
static int undo(struct joining *j, int code)
{
    if (j->pid > 0) {
        daemon_stop(j->pid);
    }
    os_home_remove(j->c->home);
    if (code > 128) {
        out_note(&j->c->out, "interrupted: not joined, and nothing is left behind");
    }
    return code;
}

static int wait_joined(struct joining *j)
{
    int code = cmd_request(j->c, &(struct cmd_request){.command = CONTROL_WAIT_JOIN,
                                                       .waits_for = "a member named in the ticket",
                                                       .hint = "Is one of them up, and UDP allowed "
                                                               "between?",
                                                       .interrupt_fd = j->signal_fd,
                                                       .each = show_joined,
                                                       .user = j});
    /* With --fg the node hears a terminal's Ctrl-C too, and may be gone before we look. */
    int number = code == 0 ? 0 : cmd_signal_taken(j->signal_fd);
    return number != 0 ? 128 + number : code;
}

static void end_signals(struct joining *j)
{
    sigset_t set;
    close(j->signal_fd);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

static int start(struct joining *j)
{
    struct cmd *c = j->c;
    struct daemon_options options = {.home = c->home, .is_fg = args_has(&c->args, FLAG_FG)};
    struct daemon_failure failure;
    enum ipx_err err = daemon_start(&options, &j->pid, &failure);
    int number = cmd_signal_taken(j->signal_fd); /* meanwhile: it may have ended the child, too */
    if (number != 0) {
        return undo(j, 128 + number);
    }
    if (err != IPX_OK) {
        return undo(j, err == IPX_REFUSED
                           ? life_failure(c, &failure)
                           : cmd_fail(c, OUT_FAILED, err, "the node cannot be started",
                                      strerror(errno), NULL));
    }
    int code = wait_joined(j);
    if (code != 0) {
        return undo(j, code);
    }
    if (options.is_fg) {
        end_signals(j);
        return life_foreground(j->pid);
    }
    return OUT_OK;
}

int cmd_join(struct cmd *c)
{
    static struct joining j;
    const char *given = args_text(&c->args, FLAG_NAME);
    j = (struct joining){.c = c};
    life_default_name(j.name);
    if (given != NULL) {
        snprintf(j.name, sizeof(j.name), "%s", given);
    }
    int code = life_labels(c, j.labels, sizeof(j.labels));
    code = code == 0 ? life_refuse_existing(c, "join") : code;
    code = code == 0 ? get_ticket(&j) : code;
    j.signal_fd = cmd_signals(); /* from here on there is something to undo */
    if (code == 0 && j.signal_fd < 0) {
        code = cmd_fail(c, OUT_FAILED, IPX_IO, "signals cannot be watched", strerror(errno), NULL);
    }
    code = code == 0 ? write_home(&j) : code;
    code = code == 0 ? start(&j) : code;
    ticket_wipe(&j.ticket);
    crypt_wipe(j.text, sizeof(j.text));
    return code;
}
