/* SPDX-License-Identifier: Apache-2.0 */
#include "node/own_ad.h"
#include "tests/harness.h"

static struct ad *found_ad(struct mem *mem)
{
    struct ad_builder *b = ad_builder_new(mem);
    struct ad *ad;
    struct label_value cores = {.type = LABEL_NUMBER, .number = 8};
    struct label_value site = {.type = LABEL_STRING, .text = slice_text("north")};
    CHECK_OK(ad_builder_label(b, slice_text("cpu.cores"), &cores));
    CHECK_OK(ad_builder_label(b, slice_text("site"), &site));
    CHECK_OK(ad_builder_resource(b, slice_text("gpu")));
    CHECK_OK(ad_builder_field(b, slice_text("index"), &cores));
    CHECK_OK(ad_builder_finish(b, &ad));
    ad_builder_free(b);
    return ad;
}

TEST(node_own_ad, labels_are_set_unset_saved_and_win_over_found_ones)
{
    static const struct {
        const char *text;
        enum ipx_err err;
    } cases[] = {
        {"battery=0.6", IPX_OK},     {"site=south", IPX_OK},     {"room=\"12\"", IPX_OK},
        {"cpu.cores=9", IPX_DENIED}, {"lab=astro", IPX_DENIED},  {"=x", IPX_MALFORMED},
        {"novalue", IPX_MALFORMED},  {"Upper=1", IPX_MALFORMED}, {"", IPX_MALFORMED},
        {"battery=0.7", IPX_OK},
    };
    struct mem mem;
    struct own_ad own, again;
    struct ad *ad, *found;
    char text[512];
    mem_init(&mem, SIZE_MAX);
    found = found_ad(&mem);
    CHECK_OK(own_ad_init(&own, &mem, found, SLICE_EMPTY));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_EQ(own_ad_set(&own, slice_text(cases[i].text)), cases[i].err);
    }
    CHECK_EQ(own_ad_unset(&own, slice_text("nothing")), IPX_NOT_FOUND);
    CHECK_EQ(own_ad_unset(&own, slice_text("cpu.cores")), IPX_DENIED);
    CHECK_OK(own_ad_unset(&own, slice_text("room")));

    struct writer w = writer_of(text, sizeof(text));
    own_ad_save(&own, &w);
    CHECK_OK(own_ad_init(&again, &mem, found, writer_slice(&w)));
    struct label live = {.name = slice_text("live"),
                         .value = {.type = LABEL_BOOL, .boolean = true}};
    struct resource source = {.kind = slice_text("source"), .labels = &live, .n_labels = 1};
    CHECK_OK(own_ad_build(&again, &source, 1, &ad));
    CHECK_EQ(ad->n_labels, 3);
    CHECK_EQ(ad->n_resources, 2);
    CHECK(slice_equal(ad_find(ad, slice_text("site"))->text, slice_text("south")));
    CHECK(ad_find(ad, slice_text("battery"))->number > 0.69);
    CHECK(ad_find(ad, slice_text("room")) == NULL);
    ad_unref(ad);
    own_ad_done(&own);
    own_ad_done(&again);
    ad_unref(found);
    CHECK_EQ(mem.used, 0);
}
