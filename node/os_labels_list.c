/* SPDX-License-Identifier: Apache-2.0 */
/* Tools, CPU flags, graphics cards and network cards of this machine. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/os_labels.h"

#define PATH_FOLDERS_MAX 32 /* of $PATH that are looked into */
#define GPUS_MAX 16         /* an ad has room for 32 resources in all */

/* What people ask for; at most LABEL_SET_MAX. */
static const char *const tools[] = {
    "awk",        "bash",        "bc",        "cargo",    "clang",     "cmake",      "conda",
    "convert",    "curl",        "docker",    "ffmpeg",   "gcc",       "gdb",        "gfortran",
    "git",        "gnuplot",     "go",        "gzip",     "java",      "jq",         "julia",
    "latex",      "make",        "mamba",     "matlab",   "mpirun",    "ninja",      "node",
    "nvcc",       "nvidia-smi",  "octave",    "openssl",  "pandoc",    "perf",       "perl",
    "pip3",       "podman",      "psql",      "python3",  "python3.9", "python3.10", "python3.11",
    "python3.12", "python3.13",  "R",         "rocm-smi", "rsync",     "ruby",       "rustc",
    "sbatch",     "singularity", "apptainer", "sqlite3",  "srun",      "ssh",        "tar",
    "valgrind",   "wget",        "xz",        "zstd",     "uv",        "bzip2"};

static const char *const flags[] = {
    "sse2",       "sse3",       "ssse3",    "sse4_1",   "sse4_2",      "popcnt",      "avx",
    "avx2",       "fma",        "f16c",     "bmi1",     "bmi2",        "aes",         "pclmulqdq",
    "sha_ni",     "vaes",       "gfni",     "rdrand",   "rdseed",      "adx",         "avx512f",
    "avx512bw",   "avx512cd",   "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "avx512vbmi", "avx_vnni",   "amx_tile", "amx_int8", "amx_bf16",    "vmx",         "svm",
    "pdpe1gb",    "hypervisor", "asimd",    "asimddp",  "asimdhp",     "atomics",     "crc32",
    "fphp",       "sve",        "sve2",     "sha1",     "sha2",        "sha3",        "sha512",
    "bf16",       "i8mm",       "pmull"};

static bool is_in(int folder, const char *name)
{
    return faccessat(folder, name, X_OK, AT_EACCESS) == 0;
}

void os_tools(struct os_set *ret)
{
    _Static_assert(ARRAY_LEN(tools) <= LABEL_SET_MAX, "a set holds no more");
    const char *path = getenv("PATH");
    int folders[PATH_FOLDERS_MAX];
    size_t n = 0;
    ret->n = 0;
    path = path != NULL && path[0] != '\0' ? path : "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0' && n < PATH_FOLDERS_MAX) {
        char folder[1024];
        size_t len = strcspn(path, ":");
        snprintf(folder, sizeof(folder), "%.*s", (int)len, path);
        int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            folders[n++] = fd;
        }
        path += len + (path[len] == ':');
    }
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        bool is_found = false;
        for (size_t f = 0; f < n && !is_found; f++) {
            is_found = is_in(folders[f], tools[i]);
        }
        if (is_found) {
            ret->items[ret->n++] = slice_text(tools[i]);
        }
    }
    for (size_t f = 0; f < n; f++) {
        close(folders[f]);
    }
}

/* The flags of the first processor: x86 says "flags", ARM "Features". */
void os_cpu_flags(struct os_set *ret)
{
    _Static_assert(ARRAY_LEN(flags) <= LABEL_SET_MAX, "a set holds no more");
    char text[8192];
    ret->n = 0;
    if (!os_text("/proc/cpuinfo", text, sizeof(text))) {
        return;
    }
    char *line = strstr(text, "\nflags");
    line = line != NULL ? line : strstr(text, "\nFeatures");
    line = line != NULL ? strchr(line, ':') : NULL;
    if (line == NULL) {
        return;
    }
    char *save = NULL;
    line[strcspn(line, "\n")] = '\0';
    for (char *word = strtok_r(line + 1, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        for (size_t i = 0; i < ARRAY_LEN(flags) && ret->n < LABEL_SET_MAX; i++) {
            if (strcmp(word, flags[i]) == 0) {
                ret->items[ret->n++] = slice_text(flags[i]);
            }
        }
    }
}

/* --- graphics cards --- */

struct gpu {
    char folder[300]; /* /sys/bus/pci/devices/0000:01:00.0 */
    char slot[32];
    unsigned vendor, device;
};

static void field(struct ad_builder *b, const char *name, const struct label_value *v)
{
    err_ignore(ad_builder_field(b, slice_text(name), v), "left out");
}

static void field_text(struct ad_builder *b, const char *name, const char *text)
{
    if (label_text_is_valid(slice_text(text))) {
        field(b, name, &(struct label_value){.type = LABEL_STRING, .text = slice_text(text)});
    }
}

/* "Model: 		 NVIDIA H200" of NVIDIA's driver. */
static bool nvidia_model(const struct gpu *g, char *out, size_t size)
{
    char path[400], text[2048];
    snprintf(path, sizeof(path), "/proc/driver/nvidia/gpus/%s/information", g->slot);
    char *at = os_text(path, text, sizeof(text)) ? strstr(text, "Model:") : NULL;
    if (at == NULL) {
        return false;
    }
    at += 6;
    at += strspn(at, " \t");
    snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
    return out[0] != '\0';
}

static double gpu_memory(const struct gpu *g)
{
    char path[400], text[64];
    snprintf(path, sizeof(path), "%s/mem_info_vram_total", g->folder); /* amdgpu */
    return os_text(path, text, sizeof(text)) ? strtod(text, NULL) : 0;
}

static void add_gpu(struct ad_builder *b, const struct gpu *g, unsigned index)
{
    char name[128];
    const char *vendor = g->vendor == 0x10de ? "nvidia" : g->vendor == 0x1002 ? "amd" : "intel";
    double mem = gpu_memory(g);
    if (ad_builder_resource(b, slice_text("gpu")) != IPX_OK) {
        return;
    }
    snprintf(name, sizeof(name), "pci %04x:%04x", g->vendor, g->device);
    if (g->vendor == 0x10de) {
        (void)nvidia_model(g, name, sizeof(name));
    }
    field(b, "index", &(struct label_value){.type = LABEL_NUMBER, .number = index});
    field_text(b, "name", name);
    field_text(b, "vendor", vendor);
    if (mem > 0) {
        field(b, "mem", &(struct label_value){.type = LABEL_NUMBER, .number = mem, .dim = {1, 0}});
    }
}

static unsigned sys_hex(const char *folder, const char *name)
{
    char path[400], text[32];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return os_text(path, text, sizeof(text)) ? (unsigned)strtoul(text, NULL, 16) : 0;
}

/* PCI class 0x03 of those who make cards that compute; a server's console card is none. */
static bool read_gpu(const char *slot, struct gpu *g)
{
    snprintf(g->folder, sizeof(g->folder), "/sys/bus/pci/devices/%.255s", slot);
    snprintf(g->slot, sizeof(g->slot), "%.31s", slot);
    if (sys_hex(g->folder, "class") >> 16 != 0x03) {
        return false;
    }
    g->vendor = sys_hex(g->folder, "vendor");
    g->device = sys_hex(g->folder, "device");
    return g->vendor == 0x10de || g->vendor == 0x1002 || g->vendor == 0x8086;
}

void os_gpus(struct ad_builder *b)
{
    struct dirent **entries;
    unsigned n_gpus = 0;
    int n = scandir("/sys/bus/pci/devices", &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct gpu g;
        if (entries[i]->d_name[0] != '.' && n_gpus < GPUS_MAX && read_gpu(entries[i]->d_name, &g)) {
            add_gpu(b, &g, n_gpus++);
        }
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
}

/* --- network --- */

double os_net_rate(void)
{
    DIR *d = opendir("/sys/class/net");
    double best = 0;
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[400], text[32];
        snprintf(path, sizeof(path), "/sys/class/net/%.200s/operstate", e->d_name);
        if (e->d_name[0] == '.' || !os_text(path, text, sizeof(text)) || strcmp(text, "up") != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/sys/class/net/%.200s/speed", e->d_name);
        double mbit = os_text(path, text, sizeof(text)) ? strtod(text, NULL) : 0;
        best = IPX_MAX(best, mbit * 1e6 / 8);
    }
    if (d != NULL) {
        closedir(d);
    }
    return best;
}
