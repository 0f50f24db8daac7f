/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "tests/harness.h"

TEST(base_err, names_and_texts)
{
    static const struct {
        enum ipx_err err;
        const char *name, *text;
    } all[] = {
#define X(name, value, text) {IPX_##name, #name, text},
        IPX_ERR_LIST(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CHECK_STR(err_name(all[i].err), all[i].name);
        CHECK_STR(err_text(all[i].err), all[i].text);
        CHECK(all[i].text[0] != '\0');
        for (size_t k = 0; k < i; k++) {
            CHECK(all[i].err != all[k].err);
            CHECK(strcmp(all[i].text, all[k].text) != 0);
        }
    }
    CHECK_EQ(IPX_OK, 0);
    CHECK(!err_is_fault(IPX_OK) && !err_is_fault(IPX_FULL) && err_is_fault(IPX_NO_MEMORY));
    CHECK_STR(err_name((enum ipx_err)9999), "UNKNOWN");
    CHECK_STR(err_text((enum ipx_err)9999), "unknown error");
}
