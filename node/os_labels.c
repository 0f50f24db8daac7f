/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as labels, and its vitals. */
#include "node/os_labels.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

bool os_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == ' ')) {
        out[--n] = '\0';
    }
    return n > 0;
}

bool os_version(const char *text, struct label_value *ret)
{
    *ret = (struct label_value){.type = LABEL_VERSION};
    while (isdigit((unsigned char)*text) && ret->version_parts < LABEL_VERSION_PARTS) {
        char *end;
        unsigned long part = strtoul(text, &end, 10);
        if (part > UINT32_MAX) {
            return false;
        }
        ret->version[ret->version_parts++] = (uint32_t)part;
        if (*end != '.') {
            break;
        }
        text = end + 1;
    }
    return ret->version_parts > 0;
}

/* --- adding --- */

/* A label that does not fit is left out: the rest of the ad is worth having. */
static void add(struct ad_builder *b, const char *name, const struct label_value *v)
{
    err_ignore(ad_builder_label(b, slice_text(name), v), "left out");
}

static void add_text(struct ad_builder *b, const char *name, const char *text)
{
    if (text[0] != '\0') {
        add(b, name, &(struct label_value){.type = LABEL_STRING, .text = slice_text(text)});
    }
}

static void add_number(struct ad_builder *b, const char *name, double number, struct label_dim dim)
{
    if (number > 0) {
        add(b, name, &(struct label_value){.type = LABEL_NUMBER, .number = number, .dim = dim});
    }
}

static void add_set(struct ad_builder *b, const char *name, const struct os_set *set)
{
    if (set->n > 0) {
        add(b, name, &(struct label_value){.type = LABEL_SET, .set = set->items, .n_set = set->n});
    }
}

/* --- sizes --- */

/* "MemTotal:  16384 kB": the value of a line in bytes, 0 if it is not there. */
static uint64_t meminfo(const char *name)
{
    char text[4096];
    if (!os_text("/proc/meminfo", text, sizeof(text))) {
        return 0;
    }
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10) * 1024;
}

static uint64_t cgroup_number(const char *path)
{
    char text[64];
    return os_text(path, text, sizeof(text)) && isdigit((unsigned char)text[0])
               ? strtoull(text, NULL, 10)
               : 0;
}

static uint64_t mem_total(void)
{
    uint64_t total = meminfo("MemTotal:");
    uint64_t limit = cgroup_number("/sys/fs/cgroup/memory.max");
    if (limit == 0) {
        limit = cgroup_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    }
    return limit > 0 && (total == 0 || limit < total) ? limit : total;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    char text[64];
    uint32_t n = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        n = (uint32_t)CPU_COUNT(&set);
    } else {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 ? (uint32_t)online : 1;
    }
    if (os_text("/sys/fs/cgroup/cpu.max", text, sizeof(text)) && isdigit((unsigned char)text[0])) {
        char *end;
        unsigned long long quota = strtoull(text, &end, 10), period = strtoull(end, NULL, 10);
        uint32_t whole = period > 0 ? (uint32_t)IPX_MIN(quota / period, UINT64_C(4096)) : n;
        n = IPX_MIN(n, IPX_MAX(whole, 1u));
    }
    return n;
}

static uint64_t disk_free(const char *home)
{
    struct statvfs fs;
    return statvfs(home, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

void os_vitals(const char *home, struct node_vitals *ret)
{
    double load[1] = {0};
    memset(ret, 0, sizeof(*ret));
    if (getloadavg(load, 1) == 1) {
        ret->load = load[0] / cores();
    }
    ret->mem_free = IPX_MIN(meminfo("MemAvailable:"), mem_total());
    ret->disk_free = disk_free(home);
}

/* --- the machine --- */

static void add_os(struct ad_builder *b)
{
    char text[4096];
    struct utsname u;
    struct label_value v;
    add_text(b, "os.name", "linux");
    if (uname(&u) == 0) {
        add_text(b, "os.arch", u.machine);
    }
    if (!os_text("/etc/os-release", text, sizeof(text))) {
        return;
    }
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "VERSION_ID=", 11) == 0) {
            line += 11;
            line += *line == '"';
            if (os_version(line, &v)) {
                add(b, "os.version", &v);
            }
            return;
        }
    }
}

static void add_cpu_model(struct ad_builder *b)
{
    char text[4096], model[96];
    if (!os_text("/proc/cpuinfo", text, sizeof(text))) {
        return;
    }
    char *at = strstr(text, "model name");
    at = at == NULL ? NULL : strchr(at, ':');
    if (at == NULL) {
        return;
    }
    at++;
    at += strspn(at, " \t");
    snprintf(model, sizeof(model), "%.*s", (int)strcspn(at, "\n"), at);
    if (label_text_is_valid(slice_text(model))) {
        add_text(b, "cpu.model", model);
    }
}

static void add_cuda(struct ad_builder *b)
{
    char text[2048];
    struct label_value v;
    if (!os_text("/usr/local/cuda/version.json", text, sizeof(text))) {
        return;
    }
    char *at = strstr(text, "\"cuda\"");
    at = at == NULL ? NULL : strstr(at, "\"version\"");
    at = at == NULL ? NULL : strchr(at + 9, '"');
    if (at != NULL && os_version(at + 1, &v)) {
        add(b, "cuda", &v);
    }
}

static void add_all(struct ad_builder *b, const char *home, const char *version,
                    const struct os_machine *m)
{
    static const struct label_dim none = {0, 0}, bytes = {1, 0}, rate = {1, -1};
    struct os_set set = {.n = 0};
    struct label_value v;
    add_os(b);
    add_number(b, "cpu.cores", m->cores, none);
    add_cpu_model(b);
    os_cpu_flags(&set);
    add_set(b, "cpu.flags", &set);
    add_number(b, "mem.total", (double)m->mem_bytes, bytes);
    /* Rounded down, so that it changes seldom and never says too much. */
    uint64_t free_gib = disk_free(home) / (1024 * MIB);
    add_number(b, "disk.free", (double)(free_gib * (1024 * MIB)), bytes);
    add_number(b, "net.down", os_net_rate(), rate);
    add_number(b, "net.up", os_net_rate(), rate);
    add_cuda(b);
    os_tools(&set);
    add_set(b, "tools", &set);
    if (os_version(version, &v)) {
        add(b, "node.version", &v);
    }
    os_gpus(b);
}

enum ipx_err os_machine_find(const char *home, const char *version, struct mem *mem,
                             struct os_machine *ret)
{
    struct os_machine m = {.cores = cores(), .mem_bytes = mem_total()};
    struct ad_builder *b = ad_builder_new(mem);
    if (b == NULL) {
        return IPX_NO_MEMORY;
    }
    add_all(b, home, version, &m);
    enum ipx_err err = ad_builder_finish(b, &m.ad);
    ad_builder_free(b);
    if (err == IPX_OK) {
        *ret = m;
    }
    return err;
}
