/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner says, for people. */
#include <stdio.h>

#include "node/cmd_exec.h"

int exec_fail(struct cmd *c, struct slice body)
{
    struct exec_error e;
    char what[512], why[512], hint[512];
    if (exec_error_decode(body, &e) != IPX_OK) {
        return cmd_lost(c, OUT_IPX_FAILED);
    }
    out_clean(e.what, what, sizeof(what));
    out_clean(e.why, why, sizeof(why));
    out_clean(e.hint, hint, sizeof(hint));
    return cmd_fail(c, e.exit_code == 0 ? OUT_IPX_FAILED : e.exit_code, e.err, what, why, hint);
}

const char *exec_waiting_text(enum exec_waiting why)
{
    static const char *const texts[] = {[EXEC_WAITING_NOT] = "",
                                        [EXEC_WAITING_PROBING] = "places are being asked",
                                        [EXEC_WAITING_FULL] = "all places that match are full",
                                        [EXEC_WAITING_NO_MATCH] = "no node matches",
                                        [EXEC_WAITING_POLICY] = "all that match refuse by policy",
                                        [EXEC_WAITING_LIMIT] = "--limit is reached",
                                        [EXEC_WAITING_PLACE] = "a place is silent",
                                        [EXEC_WAITING_LINK] = "a link is being opened"};
    return why < ARRAY_LEN(texts) ? texts[why] : "";
}

void exec_counts(const struct exec_progress *p, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "%u done - %u running - %u waiting - %u failed",
                                  p->n_done, p->n_running, p->n_waiting, p->n_failed);
    if (p->n_cancelled > 0 && len < size) {
        len += (size_t)snprintf(out + len, size - len, " - %u cancelled", p->n_cancelled);
    }
    if (p->n_moved > 0 && len < size) {
        snprintf(out + len, size - len, " - %u moved", p->n_moved);
    }
}
