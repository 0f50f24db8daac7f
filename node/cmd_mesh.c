/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a running node: status, nodes, peers, ping, label, policy, sources, invite. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/label.h"
#include "node/cmd.h"

static int text_of(const struct out_row *r, const char *key, char *out, size_t size)
{
    out_clean(out_row_text(r, key), out, size);
    return (int)strlen(out);
}

/* --- status --- */

static void show_status(void *user, const struct out_row *r)
{
    struct cmd *c = user;
    char name[64], lab[32], id[32], mesh[40], state[16], listen[512], accept[1100], up[32],
        counts[96];
    if (c->out.json) {
        out_row_json(&c->out, r);
        return;
    }
    text_of(r, "name", name, sizeof(name));
    text_of(r, "lab", lab, sizeof(lab));
    text_of(r, "node", id, sizeof(id));
    text_of(r, "mesh_id", mesh, sizeof(mesh));
    text_of(r, "state", state, sizeof(state));
    text_of(r, "listen", listen, sizeof(listen));
    text_of(r, "accept", accept, sizeof(accept));
    if (out_row_u64(r, "uptime_s") == 0) {
        snprintf(up, sizeof(up), "less than 1 s");
    } else {
        out_duration(out_row_double(r, "uptime_s"), up, sizeof(up));
    }
    printf("node     %s/%s (%s)  %s, up %s\n", lab, name, id, state, up);
    out_counts(r, counts, sizeof(counts));
    printf("mesh     %.8s: %s\n", mesh, counts);
    printf("tasks    %llu running, %llu of %llu slots free, %llu jobs of this node\n",
           (unsigned long long)out_row_u64(r, "running"),
           (unsigned long long)out_row_u64(r, "free"), (unsigned long long)out_row_u64(r, "slots"),
           (unsigned long long)out_row_u64(r, "jobs"));
    printf("listen   %s\nhome     %s\n", listen, c->home);
    printf("accept   %s   (%s policy set 'accept=EXPR')\n", accept, c->out.program);
}

int cmd_status(struct cmd *c)
{
    return cmd_request(
        c, &(struct cmd_request){.command = CONTROL_STATUS, .each = show_status, .user = c});
}

static const char first_steps[] =
    "ipx makes one compute mesh of many machines. There is no node here yet. Type one of:\n"
    "  ipx-node new NAME       make a mesh, this machine its first node\n"
    "  ipx-node join TICKET    join one, with a ticket from its owner\n"
    "  ipx-node help           all commands\n";

int cmd_bare(struct cmd *c)
{
    if (os_home_exists(c->home)) {
        return cmd_status(c);
    }
    if (c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "state", json_string("none"));
        json_t *next = json_array();
        json_array_append_new(next, json_string("new NAME"));
        json_array_append_new(next, json_string("join TICKET"));
        json_array_append_new(next, json_string("help"));
        json_object_set_new(object, "next", next);
        out_json(&c->out, object);
        return OUT_OK;
    }
    out_text(&c->out, first_steps);
    return OUT_OK;
}

/* --- tables --- */

static void add_row(void *user, const struct out_row *r)
{
    out_table_add(user, r);
}

static int request_table(struct cmd *c, struct cmd_request *request,
                         const struct out_column *columns, size_t n_columns)
{
    struct out_table t;
    out_table_init(&t, &c->out, &c->mem, columns, n_columns);
    request->each = add_row;
    request->user = &t;
    int code = cmd_request(c, request);
    out_table_end(&t);
    return code;
}

/* Best first: names from a, the most cores, slots and memory, the least load, way and silence. */
static void set_sort(struct out_table *t, const char *sort)
{
    static const struct {
        const char *key, *field;
        bool is_largest_first;
    } keys[] = {{"id", "node", false},     {"cores", "cores", true}, {"free", "free", true},
                {"mem", "mem_free", true}, {"rtt", "rtt_ms", false}, {"seen", "age_s", false}};
    t->is_reverse = sort[0] == '-';
    t->sort = sort + t->is_reverse;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].key, sort + t->is_reverse) == 0) {
            t->sort = keys[i].field;
            t->is_largest_first = keys[i].is_largest_first;
        }
    }
}

int cmd_nodes(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"name", "NAME", OUT_PLAIN},    {"lab", "LAB", OUT_PLAIN},
        {"node", "ID", OUT_PLAIN},      {"state", "STATE", OUT_PLAIN},
        {"cores", "CORES", OUT_PLAIN},  {"free", "FREE", OUT_PLAIN},
        {"load", "LOAD", OUT_RATIO},    {"rtt_ms", "RTT", OUT_MS},
        {"age_s", "SEEN", OUT_SECONDS}, {"addr", "ADDR", OUT_PLAIN}};
    struct out_table t;
    const char *sort = args_text(&c->args, FLAG_SORT);
    char *where = cmd_where(c, FLAG_WHERE);
    if (where == NULL) {
        return OUT_USAGE;
    }
    out_table_init(&t, &c->out, &c->mem, columns, ARRAY_LEN(columns));
    if (sort != NULL) {
        set_sort(&t, sort);
    }
    int code = cmd_request(
        c,
        &(struct cmd_request){
            .command = CONTROL_NODES, .args = {where}, .n_args = 1, .each = add_row, .user = &t});
    out_table_end(&t);
    mem_free(&c->mem, where);
    return code;
}

int cmd_peers(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"name", "NAME", OUT_PLAIN},   {"node", "ID", OUT_PLAIN},
        {"state", "STATE", OUT_PLAIN}, {"path", "PATH", OUT_PLAIN},
        {"family", "IP", OUT_PLAIN},   {"addr", "ADDR", OUT_PLAIN},
        {"rtt_ms", "RTT", OUT_MS},     {"loss", "LOSS", OUT_PERCENT},
        {"wire", "WIRE", OUT_PLAIN},   {"version", "VERSION", OUT_PLAIN}};
    return request_table(c, &(struct cmd_request){.command = CONTROL_PEERS}, columns,
                         ARRAY_LEN(columns));
}

int cmd_sources(struct cmd *c)
{
    static const struct out_column columns[] = {
        {"name", "NAME", OUT_PLAIN},   {"lab", "LAB", OUT_PLAIN},      {"node", "NODE", OUT_PLAIN},
        {"kind", "KIND", OUT_PLAIN},   {"rate", "RATE", OUT_PLAIN},    {"size", "SIZE", OUT_PLAIN},
        {"replay", "RING", OUT_PLAIN}, {"schema", "SCHEMA", OUT_PLAIN}};
    char *where = cmd_where(c, FLAG_WHERE_FIELDS);
    if (where == NULL) {
        return OUT_USAGE;
    }
    struct cmd_request request = {
        .command = CONTROL_SOURCES, .args = {where}, .n_args = where[0] != '\0'};
    int code = request_table(c, &request, columns, ARRAY_LEN(columns));
    mem_free(&c->mem, where);
    return code;
}

static void show_ping(void *user, const struct out_row *r)
{
    struct cmd *c = user;
    char name[64], id[32];
    if (c->out.json) {
        out_row_json(&c->out, r);
        return;
    }
    text_of(r, "name", name, sizeof(name));
    text_of(r, "node", id, sizeof(id));
    printf("%s (%s): %.2f ms\n", name, id, out_row_double(r, "rtt_us") / 1000);
}

int cmd_ping(struct cmd *c)
{
    return cmd_request(c, &(struct cmd_request){.command = CONTROL_PING,
                                                .args = {c->args.words[0]},
                                                .n_args = 1,
                                                .waits_for = c->args.words[0],
                                                .each = show_ping,
                                                .user = c});
}

/* --- labels and policy --- */

static int label_change(struct cmd *c, bool is_set)
{
    struct cmd_request request = {.command = is_set ? CONTROL_LABEL_SET : CONTROL_LABEL_UNSET};
    char why[200], what[160];
    double number;
    if (c->args.n_words < 2) {
        return cmd_usage(c, is_set ? "label set wants name=value" : "label unset wants a name",
                         "See: ipx-node label --help");
    }
    if (c->args.n_words - 1 > CONTROL_ARGS_MAX) {
        return cmd_usage(c, "too many labels at once", "64 are the limit");
    }
    for (size_t i = 1; i < c->args.n_words; i++) {
        const char *word = c->args.words[i];
        bool is_ok = is_set ? args_value_check(ARG_LABEL, NULL, word, &c->mem, &number, why,
                                               sizeof(why)) == IPX_OK
                            : label_name_is_valid(slice_text(word));
        if (!is_ok) {
            snprintf(what, sizeof(what), "\"%.64s\" is no label", word);
            return cmd_usage(c, what,
                             is_set ? "Example: ipx-node label set site.power=solar"
                                    : "Example: ipx-node label unset site.power");
        }
        request.args[request.n_args++] = word;
    }
    return cmd_request(c, &request);
}

static void show_label(void *user, const struct out_row *r)
{
    struct cmd *c = user;
    char kind[64], name[64], value[2048];
    if (c->out.json) {
        out_row_json(&c->out, r);
        return;
    }
    text_of(r, "resource", kind, sizeof(kind));
    text_of(r, "name", name, sizeof(name));
    text_of(r, "value", value, sizeof(value));
    printf("%s%s%s=%s\n", kind, kind[0] != '\0' ? "." : "", name, value);
}

int cmd_label(struct cmd *c)
{
    const char *word = c->args.n_words > 0 ? c->args.words[0] : "";
    if (strcmp(word, "set") == 0 || strcmp(word, "unset") == 0) {
        return label_change(c, word[0] == 's');
    }
    if (c->args.n_words > 1) {
        return cmd_usage(c, "label is typed label set K=V.., label unset K.. or label NODE",
                         "See: ipx-node label --help");
    }
    return cmd_request(c, &(struct cmd_request){.command = CONTROL_LABEL_SHOW,
                                                .args = {word},
                                                .n_args = 1,
                                                .each = show_label,
                                                .user = c});
}

static void show_policy(void *user, const struct out_row *r)
{
    struct cmd *c = user;
    char accept[1100];
    if (c->out.json) {
        out_row_json(&c->out, r);
        return;
    }
    text_of(r, "accept", accept, sizeof(accept));
    printf("accept=%s\n", accept);
    if (out_row_u64(r, "foreign_labs") == 0) {
        out_note(&c->out, "this node holds an issuer key: it runs no tasks of other labs");
    }
    out_note(&c->out, "change it: %s policy set 'accept=EXPR'", c->out.program);
}

int cmd_policy(struct cmd *c)
{
    struct cmd_request request = {.command = CONTROL_POLICY_SHOW, .each = show_policy, .user = c};
    const char *word = c->args.n_words > 0 ? c->args.words[0] : "show";
    char why[200], what[260];
    double number;
    if (strcmp(word, "show") == 0 && c->args.n_words <= 1) {
        return cmd_request(c, &request);
    }
    if (strcmp(word, "set") != 0 || c->args.n_words != 2 ||
        strncmp(c->args.words[1], "accept=", 7) != 0) {
        return cmd_usage(c, "policy is typed policy show or policy set 'accept=EXPR'",
                         "Example: ipx-node policy set 'accept=job.lab == lab'");
    }
    if (args_value_check(ARG_EXPR, NULL, c->args.words[1] + 7, &c->mem, &number, why,
                         sizeof(why)) != IPX_OK) {
        snprintf(what, sizeof(what), "the expression is not valid: %s", why);
        return cmd_usage(c, what, "Try it: ipx-node match EXPR");
    }
    request.command = CONTROL_POLICY_SET;
    request.args[0] = c->args.words[1];
    request.n_args = 1;
    return cmd_request(c, &request);
}

/* --- invite --- */

struct invite {
    struct cmd *c;
    const char *file;
    bool is_written;
};

static void show_invite(void *user, const struct out_row *r)
{
    struct invite *v = user;
    struct out *o = &v->c->out;
    char ticket[1024], line[1026], lab[32], role[32], contacts[160];
    text_of(r, "ticket", ticket, sizeof(ticket));
    text_of(r, "lab", lab, sizeof(lab));
    text_of(r, "role", role, sizeof(role));
    text_of(r, "contacts", contacts, sizeof(contacts));
    v->is_written = true;
    if (v->file != NULL && strcmp(v->file, "-") != 0) {
        int len = snprintf(line, sizeof(line), "%s\n", ticket);
        v->is_written = os_file_replace(v->file, slice_of(line, (size_t)len)) == IPX_OK;
    }
    if (!v->is_written) {
        return;
    }
    if (o->json) {
        json_t *object = out_object();
        json_object_set_new(object, "ticket", json_string(ticket));
        json_object_set_new(object, "role", json_string(role));
        json_object_set_new(object, "lab", json_string(lab));
        out_json_time(object, "expires", (int64_t)out_row_u64(r, "expires_ms"));
        json_object_set_new(object, "contacts", json_string(contacts));
        out_json(o, object);
    } else if (v->file == NULL || strcmp(v->file, "-") == 0) {
        printf("%s\n", ticket);
    }
    if (!o->json && o->is_tty_err) {
        out_note(o, "admits one %s to lab %s. On the other machine: %s join %s", role, lab,
                 o->program, v->file != NULL ? v->file : "TICKET");
    }
}

int cmd_invite(struct cmd *c)
{
    char expires[32];
    struct invite v = {.c = c, .file = args_text(&c->args, FLAG_OUTPUT)};
    snprintf(expires, sizeof(expires), "%.0f",
             args_number(&c->args, FLAG_EXPIRES, 24 * 3600.0) * 1000);
    int code =
        cmd_request(c, &(struct cmd_request){.command = CONTROL_INVITE,
                                             .args = {args_text(&c->args, FLAG_ROLE), expires,
                                                      args_text(&c->args, FLAG_LAB)},
                                             .n_args = 3,
                                             .each = show_invite,
                                             .user = &v});
    if (code == 0 && !v.is_written) {
        return cmd_fail(c, OUT_FAILED, IPX_IO, "the ticket could not be written", strerror(errno),
                        NULL);
    }
    return code;
}
