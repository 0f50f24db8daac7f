/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Labels, resources and ads: what a node says it has (language.md section 2).
 *
 * A label is a name and a typed value. A resource is a kind with labels of its
 * own. An ad is a node's labels and resources, at most LABEL_AD_BYTES_MAX encoded.
 *
 * Invariant: labels of an ad and of each resource are sorted by name and unique;
 * numbers are finite and never -0; names fit the grammar; all limits below hold.
 * An ad is immutable once made and counted by references, so gossip, exec and a
 * hundred views share one copy. The signed envelope (version, signature) is
 * gossip's; this is the content.
 */
#include "base/cbor.h"
#include "base/mem.h"

#define LABEL_NAME_MAX 48 /* bytes of a dotted name */
#define LABEL_STRING_MAX 256
#define LABEL_SET_MAX 64 /* strings in a set */
#define LABEL_AD_LABELS_MAX 64
#define LABEL_AD_RESOURCES_MAX 32
#define LABEL_RES_LABELS_MAX 16
#define LABEL_AD_BYTES_MAX 4096
#define LABEL_VERSION_PARTS 4
#define LABEL_TAG_MAX 24

enum label_type { LABEL_BOOL = 1, LABEL_NUMBER, LABEL_STRING, LABEL_VERSION, LABEL_SET };

struct label_dim { /* bytes^a * seconds^b: GiB = (1,0), Hz = (0,-1), MB/s = (1,-1) */
    int8_t bytes, seconds;
};

struct label_value {
    uint8_t type;                          /* enum label_type */
    struct label_dim dim;                  /* NUMBER */
    bool boolean;                          /* BOOL */
    double number;                         /* NUMBER */
    uint32_t version[LABEL_VERSION_PARTS]; /* VERSION; missing parts 0 */
    uint8_t version_parts;                 /* parts as written, for printing */
    struct slice text;                     /* STRING; VERSION: the tag, may be empty */
    const struct slice *set;               /* SET: n_set strings, sorted, unique */
    uint16_t n_set;
};

struct label {
    struct slice name;
    struct label_value value;
};

struct resource {
    struct slice kind;
    const struct label *labels;
    uint16_t n_labels;
    const uint16_t *marks; /* private: a short hash of each name, for the search */
};

struct ad {
    struct mem *mem;
    uint32_t n_refs;
    bool is_full; /* false: partial ("!partial"): what is missing is unknown */
    uint16_t n_labels, n_resources;
    struct label *labels;
    struct resource *resources;
    const uint16_t *marks; /* private: as in struct resource */
    struct slice encoded;  /* what ad_encode writes; everything above points into it */
};

struct ad *ad_ref(struct ad *a); /* returns its argument */
void ad_unref(struct ad *a);     /* NULL allowed; frees at zero */
/* NULL if absent. `name` of the node's labels. */
const struct label_value *ad_find(const struct ad *a, struct slice name);
const struct label_value *resource_find(const struct resource *r, struct slice name);
bool label_value_equal(const struct label_value *a, const struct label_value *b);
/* [a-z][a-z0-9_]* { . [a-z][a-z0-9_]* }, not a reserved word as a whole. */
bool label_name_is_valid(struct slice name);
/* Names only the node itself may set (language.md section 2, "Reserved names"). */
bool label_name_is_reserved(struct slice name);
/* Names only the evaluator fills in: lab node.name node.key node.caps (from the certificate), rtt
 * ad.age and job.*; refused in a received ad. */
bool label_name_is_evaluator(struct slice name);

/* Strings: UTF-8, at most LABEL_STRING_MAX bytes, without control characters (a label is printed
 * on terminals and stands on one line of an ad's text). */
bool label_text_is_valid(struct slice text);

/* Collects labels and resources in any order, then makes the ad. Copies what it is given; sorts
 * labels and the strings of sets.
 * Conditions of the adds: IPX_LIMIT, IPX_MALFORMED (name or value), IPX_EXISTS (name twice). */
struct ad_builder;
IPX_MUST_USE struct ad_builder *ad_builder_new(struct mem *mem);
void ad_builder_free(struct ad_builder *b);
IPX_MUST_USE enum ipx_err ad_builder_label(struct ad_builder *b, struct slice name,
                                           const struct label_value *value);
IPX_MUST_USE enum ipx_err ad_builder_resource(struct ad_builder *b, struct slice kind);
/* Adds to the resource begun last. */
IPX_MUST_USE enum ipx_err ad_builder_field(struct ad_builder *b, struct slice name,
                                           const struct label_value *value);
void ad_builder_partial(struct ad_builder *b);
/* Conditions: IPX_LIMIT (over LABEL_AD_BYTES_MAX encoded). The builder may be freed after. */
IPX_MUST_USE enum ipx_err ad_builder_finish(struct ad_builder *b, struct ad **ret_ad);

/* Deterministic CBOR of the content (docs/wire/labels.md): the same ad always gives the same
 * bytes, and bytes that decode are exactly what encodes again. */
void ad_encode(const struct ad *a, struct writer *w);
/* From a peer: checks everything above and refuses evaluator names. Conditions: IPX_MALFORMED,
 * IPX_LIMIT. */
IPX_MUST_USE enum ipx_err ad_decode(struct slice in, struct mem *mem, struct ad **ret_ad);

/* One value as typed on the command line: a literal of the language, else a string as it
 * stands; quotes force a string. Text in `ret` points into `text` or `scratch`.
 * Conditions: IPX_MALFORMED, IPX_LIMIT. */
struct label_scratch {
    struct slice set[LABEL_SET_MAX];
    uint8_t bytes[LABEL_AD_BYTES_MAX];
    size_t used;
};
IPX_MUST_USE enum ipx_err label_value_parse(struct slice text, struct label_scratch *scratch,
                                            struct label_value *ret);
/* As typed: `25Hz`, `8MiB`, `"x"`, `v12.4`, `["a", "b"]`. Numbers print so that they parse back
 * to the same value. */
void label_value_print(const struct label_value *v, struct writer *w);

/* Ads as text: lines name=value, +kind name=value; .., ads separated by ---, `# NAME` names one,
 * !partial. Evaluator names (lab, rtt, ..) are allowed here. Calls `each` for every ad (it may keep
 * a reference). Conditions: IPX_MALFORMED; *ret_line is then the 1-based line. */
typedef void ad_text_fn(void *user, struct slice name, struct ad *ad);
IPX_MUST_USE enum ipx_err ad_text_parse(struct slice text, struct mem *mem, ad_text_fn *each,
                                        void *user, uint32_t *ret_line);
/* The same form back, one label a line. */
void ad_text_print(const struct ad *a, struct writer *w);
