/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

const char *err_name(enum ipx_err err)
{
    switch (err) {
#define X(name, value, text)                                                                       \
    case IPX_##name:                                                                               \
        return #name;
        IPX_ERR_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

const char *err_text(enum ipx_err err)
{
    switch (err) {
#define X(name, value, text)                                                                       \
    case IPX_##name:                                                                               \
        return text;
        IPX_ERR_LIST(X)
#undef X
    }
    return "unknown error";
}
