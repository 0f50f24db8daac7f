/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of a scan: one query of three clauses over many ads of a usual size, best of some rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/query.h"

#define N_ADS 10000
#define N_ROUNDS 200

static const char ad_format[] =
    "ad.kind=\"node\"\n"
    "cpu.cores=%u\n"
    "cpu.flags=[\"avx\", \"avx2\", \"fma\", \"sse4_2\"]\n"
    "cpu.model=\"a processor\"\n"
    "disk.free=%uGB\n"
    "load=0.%u\n"
    "mem.free=%uGiB\n"
    "mem.total=512GiB\n"
    "net.down=940Mbit/s\n"
    "net.up=940Mbit/s\n"
    "os.arch=\"x86_64\"\n"
    "os.name=\"linux\"\n"
    "os.version=v12.5\n"
    "site.city=\"Uppsala\"\n"
    "site.power=\"grid\"\n"
    "site.rack=7\n"
    "tools=[\"gcc\", \"python3.11\", \"zstd\"]\n"
    "user.a=1\nuser.b=2\nuser.c=3\nuser.d=4\nuser.e=5\nuser.f=6\nuser.g=7\n"
    "+gpu index=0; mem=%uGiB; cc=v8.6; free=true; name=\"A40\"\n"
    "+gpu index=1; mem=24GiB; cc=v8.6; free=true; name=\"A30\"\n"
    "+sandbox name=\"ns\"\n";

static struct ad *ads[N_ADS];
static size_t n_ads;

static void keep(void *user, struct slice name, struct ad *ad)
{
    (void)user;
    (void)name;
    ads[n_ads++] = ad_ref(ad);
}

static void make_ads(struct mem *mem)
{
    char text[2048];
    for (unsigned i = 0; i < N_ADS; i++) {
        unsigned x = i * 2654435761U;
        int len = snprintf(text, sizeof(text), ad_format, 1 + x % 64, x % 1000, x % 10, x % 300,
                           8 + x % 80);
        uint32_t line = 0;
        if (ad_text_parse(slice_of(text, (size_t)len), mem, keep, NULL, &line) != IPX_OK) {
            fprintf(stderr, "line %" PRIu32 "\n", line);
            exit(1);
        }
    }
}

static uint64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void measure(const char *title, const char *source, struct mem *mem)
{
    struct query *q = NULL;
    if (query_compile(slice_text(source), mem, &q, NULL) != IPX_OK) {
        exit(1);
    }
    uint64_t best = UINT64_MAX;
    size_t n_true = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        uint64_t start = clock_ns();
        n_true = 0;
        for (size_t i = 0; i < n_ads; i++) {
            struct label lab = {.name = slice_text("lab")};
            lab.value = (struct label_value){.type = LABEL_STRING, .text = slice_text("astro")};
            struct query_env env = {.ad = ads[i], .extra = &lab, .n_extra = 1};
            n_true += query_is_true(q, &env) ? 1 : 0;
        }
        uint64_t took = clock_ns() - start;
        best = took < best ? took : best;
    }
    printf("%s, ns per ad: %" PRIu64 " ns\n", title, best / n_ads);
    fprintf(stderr, "  %s: %zu of %zu ads\n", source, n_true, n_ads);
    query_unref(q);
}

int main(void)
{
    struct mem mem;
    mem_init(&mem, SIZE_MAX);
    make_ads(&mem);
    measure("query_eval", "cpu.cores >= 4 and mem.free >= 8GiB and os.name == \"linux\"", &mem);
    measure("query_eval_quantifier", "lab == \"astro\" and any gpu (.mem >= 40GiB and .free)",
            &mem);
    for (size_t i = 0; i < n_ads; i++) {
        ad_unref(ads[i]);
    }
    return mem.used == 0 ? 0 : 1;
}
