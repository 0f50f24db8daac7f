/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What this machine is and has, as labels (language.md section 2), and the few numbers of it that
 * change. Read from /proc and /sys in a few milliseconds; no program is started and nothing is
 * waited for. What cannot be read is left out: a missing label is unknown, never wrong.
 */
#include "base/label.h"
#include "node/node.h"

struct os_machine {
    struct ad *ad;      /* the caller's reference */
    uint32_t cores;     /* that this process may use: affinity and cgroup */
    uint64_t mem_bytes; /* of the machine or the cgroup, whichever is less */
};

/* `home`: disk.free is that of its file system. `version` of the program: "0.1.0".
 * Fault: IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err os_machine_find(const char *home, const char *version, struct mem *mem,
                                          struct os_machine *ret);
/* Load average a core, available memory, free disk. What cannot be read is 0. */
void os_vitals(const char *home, struct node_vitals *ret);

/* os_labels_list.c: lists and devices. */
struct os_set { /* up to LABEL_SET_MAX strings that live as long as the program, or in `bytes` */
    struct slice items[LABEL_SET_MAX];
    uint16_t n;
    char bytes[512];
    size_t used;
};
void os_tools(struct os_set *ret);
void os_cpu_flags(struct os_set *ret);
void os_gpus(struct ad_builder *b);
/* Bytes a second of the fastest network card that is up; 0: not known. */
double os_net_rate(void);
/* A small file of /proc or /sys as text; false if it cannot be read. */
bool os_text(const char *path, char *out, size_t size);
/* "v12.4" from "12.4", "12.4.1-x" ..; false if it is no version. */
bool os_version(const char *text, struct label_value *ret);
