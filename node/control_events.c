/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what the parts tell, and who follows them. */
#include "node/control.h"

#include <stdio.h>

#define ROW_MAX 512 /* a row: numbers, who and text */

/* --- telling --- */

void events_tell(struct node *n, enum events_kind kind, const struct node_id *who,
                 struct slice text)
{
    char name[GOSSIP_NAME_SIZE] = "";
    const struct gossip_member *m =
        who != NULL && n->has_cores ? gossip_find(&n->gossip, who) : NULL;
    if (m != NULL) {
        gossip_display_name(&n->gossip, m, name);
    } else if (who != NULL) {
        node_id_short(who, name);
    }
    (void)events_add(&n->events, node_wall_ms(n), kind, slice_text(name), text);
}

static bool has_source(const struct ad *ad, struct slice name)
{
    for (uint16_t i = 0; ad != NULL && i < ad->n_resources; i++) {
        const struct label_value *v = resource_find(&ad->resources[i], slice_text("name"));
        if (slice_equal(ad->resources[i].kind, slice_text("source")) && v != NULL &&
            slice_equal(v->text, name)) {
            return true;
        }
    }
    return false;
}

static void tell_missing(struct node *n, enum events_kind kind, const struct node_id *who,
                         const struct ad *in, const struct ad *not_in)
{
    for (uint16_t i = 0; in != NULL && i < in->n_resources; i++) {
        const struct label_value *v = resource_find(&in->resources[i], slice_text("name"));
        if (slice_equal(in->resources[i].kind, slice_text("source")) && v != NULL &&
            v->type == LABEL_STRING && !has_source(not_in, v->text)) {
            events_tell(n, kind, who, v->text);
        }
    }
}

void events_tell_sources(struct node *n, const struct node_id *who, const struct ad *before,
                         const struct ad *now)
{
    tell_missing(n, EVENTS_SOURCE_DOWN, who, before, now);
    tell_missing(n, EVENTS_SOURCE_UP, who, now, before);
}

void events_tell_job(struct node *n, const struct exec_action_job *j)
{
    char id[EXEC_JOB_TEXT_SIZE], text[EVENTS_TEXT_MAX];
    job_id_text(&j->id, id);
    snprintf(text, sizeof(text), "%.*s %s, %u task%s", j->short_len, id,
             j->is_begun ? "begins" : exec_job_state_name(j->state), j->count,
             j->count == 1 ? "" : "s");
    events_tell(n, j->is_begun ? EVENTS_JOB_BEGIN : EVENTS_JOB_END, NULL, slice_text(text));
}

/* --- showing --- */

static void row_send(struct node *n, struct stream *s, const struct events_one *v)
{
    uint8_t bytes[ROW_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    control_row_begin(&w, 6);
    control_row_u64(&w, "boot", n->config.generation);
    control_row_u64(&w, "seq", v->seq);
    control_row_u64(&w, "time_ms", (uint64_t)v->wall_ms);
    control_row_text(&w, "event", events_kind_name(v->kind));
    control_row_slice(&w, "node", v->who);
    control_row_slice(&w, "text", v->text);
    assert(!w.failed);
    streams_send(n, s, CONTROL_ROW, writer_slice(&w));
}

static void gap_send(struct node *n, struct stream *s, uint64_t first, uint64_t last)
{
    uint8_t bytes[ROW_MAX];
    struct writer w = writer_of(bytes, sizeof(bytes));
    control_row_begin(&w, 5);
    control_row_u64(&w, "boot", n->config.generation);
    control_row_text(&w, "event", "gap");
    control_row_u64(&w, "first", first);
    control_row_u64(&w, "last", last);
    control_row_text(&w, "text", "no longer kept");
    streams_send(n, s, CONTROL_ROW, writer_slice(&w));
}

static void events_pump(struct node *n, struct stream *s)
{
    struct events_one v;
    if (s->next_event < n->events.first) {
        gap_send(n, s, s->next_event, n->events.first - 1);
        s->next_event = n->events.first;
    }
    /* What waits for room goes first: a slow reader holds up itself, and then hears of a gap. */
    while (s->wait.len == 0 && events_get(&n->events, s->next_event, &v) == IPX_OK) {
        row_send(n, s, &v);
        s->next_event++;
    }
}

static uint64_t number_of(struct slice text)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len && i < 18 && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(text.data[i] - '0');
    }
    return v;
}

void control_events(struct control_call *c)
{
    uint64_t boot = number_of(call_arg(c, 1)), seq = number_of(call_arg(c, 2));
    bool goes_on = seq > 0 && boot == c->n->config.generation;
    c->s->next_event = goes_on ? seq : c->n->events.first;
    streams_wait_for(c->n, c->s, STREAM_WAITS_EVENTS);
    c->s->is_following = call_arg(c, 0).len > 0;
    c->s->stop_event = c->n->events.next;
}

bool events_end_wait(struct node *n, struct stream *s)
{
    events_pump(n, s);
    return !s->is_following && s->next_event >= s->stop_event;
}

void events_show(struct node *n)
{
    if (n->events.next != n->events_shown) {
        n->events_shown = n->events.next;
        control_tick(n);
    }
}
