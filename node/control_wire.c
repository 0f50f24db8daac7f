/* SPDX-License-Identifier: Apache-2.0 */
#include "node/control_wire.h"

void control_request_encode(const struct control_request *request, struct writer *w)
{
    assert(request->n_args <= CONTROL_ARGS_MAX);
    cbor_put_map(w, 2);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, request->command);
    cbor_put_u64(w, 2);
    cbor_put_array(w, request->n_args);
    for (size_t i = 0; i < request->n_args; i++) {
        cbor_put_text(w, request->args[i]);
    }
}

static void decode_args(struct cbor_reader *r, struct control_request *ret)
{
    uint64_t n = cbor_array_begin(r, CONTROL_ARGS_MAX);
    ret->n_args = 0;
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        ret->args[ret->n_args++] = cbor_text(r, CONTROL_ARG_LEN_MAX);
    }
    cbor_array_end(r);
}

enum ipx_err control_request_decode(struct slice in, struct control_request *ret)
{
    struct control_request request = {.command = 0};
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        switch (key) {
        case 1:
            request.command = (uint8_t)cbor_uint_max(&r, UINT8_MAX);
            break;
        case 2:
            decode_args(&r, &request);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = request;
    return IPX_OK;
}

void control_error_encode(const struct control_error *e, struct writer *w)
{
    cbor_put_map(w, 5);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, e->exit_code);
    cbor_put_u64(w, 2);
    cbor_put_text(w, e->name);
    cbor_put_u64(w, 3);
    cbor_put_text(w, e->what);
    cbor_put_u64(w, 4);
    cbor_put_text(w, e->why);
    cbor_put_u64(w, 5);
    cbor_put_text(w, e->hint);
}

enum ipx_err control_error_decode(struct slice in, struct control_error *ret)
{
    struct control_error e = {.exit_code = 1};
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t key;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        switch (key) {
        case 1:
            e.exit_code = (uint8_t)cbor_uint_max(&r, UINT8_MAX);
            break;
        case 2:
            e.name = cbor_text(&r, CONTROL_ARG_LEN_MAX);
            break;
        case 3:
            e.what = cbor_text(&r, CONTROL_ARG_LEN_MAX);
            break;
        case 4:
            e.why = cbor_text(&r, CONTROL_ARG_LEN_MAX);
            break;
        case 5:
            e.hint = cbor_text(&r, CONTROL_ARG_LEN_MAX);
            break;
        default:
            cbor_skip_unknown(&r, key);
            break;
        }
    }
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret = e;
    return IPX_OK;
}

void control_end_encode(uint8_t exit_code, struct writer *w)
{
    cbor_put_map(w, 1);
    cbor_put_u64(w, 1);
    cbor_put_u64(w, exit_code);
}

enum ipx_err control_end_decode(struct slice in, uint8_t *ret_exit_code)
{
    struct cbor_reader r = cbor_reader_of(in);
    uint64_t key;
    uint8_t code = 0;
    cbor_map_begin(&r);
    while (cbor_map_next(&r, &key)) {
        if (key == 1) {
            code = (uint8_t)cbor_uint_max(&r, UINT8_MAX);
        } else {
            cbor_skip_unknown(&r, key);
        }
    }
    if (!cbor_done(&r)) {
        return IPX_MALFORMED;
    }
    *ret_exit_code = code;
    return IPX_OK;
}

void control_row_begin(struct writer *w, size_t n_fields)
{
    cbor_put_array(w, 2 * n_fields);
}

void control_row_slice(struct writer *w, const char *key, struct slice value)
{
    cbor_put_text(w, slice_text(key));
    cbor_put_text(w, value);
}

void control_row_text(struct writer *w, const char *key, const char *value)
{
    control_row_slice(w, key, slice_text(value));
}

void control_row_u64(struct writer *w, const char *key, uint64_t value)
{
    cbor_put_text(w, slice_text(key));
    cbor_put_u64(w, value);
}

void control_row_double(struct writer *w, const char *key, double value)
{
    cbor_put_text(w, slice_text(key));
    cbor_put_double(w, value);
}

void control_row_bool(struct writer *w, const char *key, bool value)
{
    cbor_put_text(w, slice_text(key));
    cbor_put_bool(w, value);
}

void control_row_null(struct writer *w, const char *key)
{
    cbor_put_text(w, slice_text(key));
    cbor_put_null(w);
}
