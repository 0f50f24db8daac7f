/* SPDX-License-Identifier: Apache-2.0 */
/* match: the label language on ads given as text. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/query.h"
#include "node/cmd.h"
#include "node/os_labels.h"

#define ADS_MAX (64 << 20) /* bytes of ads as text */

struct matching {
    struct cmd *c;
    struct query *query;
    size_t n;
};

static void value_text(const struct label_value *v, char *out, size_t size)
{
    struct writer w = writer_of(out, size - 1);
    label_value_print(v, &w);
    out[w.failed ? 0 : w.len] = '\0';
}

static const char *verdict(const struct query_result *r, char *scratch, size_t size)
{
    switch (r->truth) {
    case QUERY_TRUE:
        return "true";
    case QUERY_FALSE:
        return "false";
    case QUERY_UNKNOWN:
        return "unknown";
    case QUERY_VALUE:
        break;
    }
    value_text(&r->value, scratch, size);
    return scratch;
}

static json_t *value_json(const struct query_result *r, const char *text)
{
    if (r->truth == QUERY_TRUE || r->truth == QUERY_FALSE) {
        return json_boolean(r->truth == QUERY_TRUE);
    }
    return r->truth == QUERY_UNKNOWN ? json_null() : json_string(text);
}

static void match_one(void *user, struct slice name, struct ad *ad)
{
    struct matching *m = user;
    struct out *o = &m->c->out;
    char shown[128], value[LABEL_AD_BYTES_MAX * 2], label[LABEL_NAME_MAX + 2];
    struct query_result r = query_eval(m->query, &(struct query_env){.ad = ad});
    const char *text = verdict(&r, value, sizeof(value));
    const char *reason = query_reason_text(r.reason);
    m->n++;
    out_clean(name, shown, sizeof(shown));
    if (name.len == 0) {
        snprintf(shown, sizeof(shown), "%zu", m->n);
    }
    out_clean(r.reason_name, label, sizeof(label));
    if (o->json) {
        json_t *object = out_object();
        json_object_set_new(object, "name", json_string(shown));
        json_object_set_new(object, "result", json_string(r.truth == QUERY_VALUE ? "value" : text));
        json_object_set_new(object, "value", value_json(&r, text));
        json_object_set_new(object, "reason", json_string(reason));
        json_object_set_new(object, "label", json_string(label));
        out_json(o, object);
        return;
    }
    printf("%s\t%s", shown, text);
    if (r.truth == QUERY_UNKNOWN) {
        printf("\t%s%s%s", reason, label[0] != '\0' ? ": " : "", label);
    }
    putchar('\n');
}

static int match_here(struct matching *m)
{
    struct os_machine machine;
    enum ipx_err err = os_machine_find("/", IPX_PROGRAM_VERSION, &m->c->mem, &machine);
    if (err != IPX_OK) {
        return cmd_fail(m->c, OUT_FAILED, err, "the labels of this machine cannot be made",
                        err_text(err), NULL);
    }
    match_one(m, slice_text("here"), machine.ad);
    ad_unref(machine.ad);
    return OUT_OK;
}

static int match_file(struct matching *m, const char *file)
{
    struct cmd *c = m->c;
    struct slice text;
    uint32_t line = 0;
    char why[200];
    const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;
    enum ipx_err err = os_file_read(path, ADS_MAX, &c->mem, &text);
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%.120s: %s", file,
                 err == IPX_LIMIT ? "too long" : strerror(errno));
        return cmd_fail(c, err == IPX_NOT_FOUND ? OUT_NO_SUCH : OUT_FAILED, err,
                        "the ads cannot be read", why, NULL);
    }
    err = ad_text_parse(text, &c->mem, match_one, m, &line);
    mem_free(&c->mem, (void *)(uintptr_t)text.data);
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%.120s, line %u: %s", file, line, err_text(err));
        return cmd_fail(c, OUT_FAILED, err, "the ads cannot be understood", why,
                        "A line is name=value, or +kind name=value; name=value; --- is between "
                        "ads");
    }
    return OUT_OK;
}

int cmd_match(struct cmd *c)
{
    struct matching m = {.c = c};
    struct query_error error = {0, "too long"};
    const char *file = args_text(&c->args, FLAG_ADS);
    char why[160];
    enum ipx_err err = query_compile(slice_text(c->args.words[0]), &c->mem, &m.query, &error);
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "at character %u: %s", error.position + 1, error.message);
        return cmd_fail(c, OUT_USAGE, err, "the expression is not valid", why, NULL);
    }
    int code = file == NULL && isatty(STDIN_FILENO) ? match_here(&m)
                                                    : match_file(&m, file != NULL ? file : "-");
    query_unref(m.query);
    return code;
}
