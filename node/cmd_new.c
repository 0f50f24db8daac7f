/* SPDX-License-Identifier: Apache-2.0 */
/* new: a mesh, its first lab and its first node. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/keys.h"
#include "node/cmd_life.h"
#include "node/os_entropy.h"
#include "node/uv_shell.h"

#define PASSPHRASE_MAX 256

struct making {
    struct cmd *c;
    const char *name, *lab, *node_name, *root_out;
    uint8_t root_seed[32], issuer_seed[32], node_seed[32], gate[32];
    struct crypt_keypair root, issuer, node;
    struct keys_new made;
    uint8_t root_file[KEYS_FILE_MAX];
    size_t root_file_len;
    char labels[LIFE_LABELS_SIZE];
};

/* --- passphrase --- */

static bool ask(int tty, const char *prompt, char out[static PASSPHRASE_MAX])
{
    struct termios old, quiet;
    ssize_t n = write(tty, prompt, strlen(prompt));
    if (n < 0 || tcgetattr(tty, &old) != 0) {
        return false;
    }
    quiet = old;
    quiet.c_lflag &= (tcflag_t)~ECHO;
    tcsetattr(tty, TCSAFLUSH, &quiet);
    n = read(tty, out, PASSPHRASE_MAX - 1);
    tcsetattr(tty, TCSAFLUSH, &old);
    ssize_t ignored = write(tty, "\n", 1);
    (void)ignored;
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return n > 0;
}

static bool ask_twice(char out[static PASSPHRASE_MAX])
{
    char again[PASSPHRASE_MAX];
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    bool is_ok = false;
    for (int tries = 0; tty >= 0 && tries < 3 && !is_ok; tries++) {
        is_ok = ask(tty, "passphrase for the mesh's root key: ", out) && out[0] != '\0' &&
                ask(tty, "again: ", again) && strcmp(out, again) == 0;
    }
    if (tty >= 0) {
        close(tty);
    }
    crypt_wipe(again, sizeof(again));
    return is_ok;
}

/* The root key as it is kept: sealed in the home, or open where --root-out says. */
static int make_root_file(struct making *m)
{
    struct cmd *c = m->c;
    struct writer w = writer_of(m->root_file, sizeof(m->root_file));
    char phrase[PASSPHRASE_MAX];
    struct keys_seal seal = {.ops = KEYS_SEAL_OPS, .mem_bytes = KEYS_SEAL_MEM};
    if (m->root_out != NULL) {
        keys_file_put(&w, KEYS_ROOT, m->root_seed);
        m->root_file_len = w.len;
        return 0;
    }
    if (!isatty(STDIN_FILENO) || !ask_twice(phrase)) {
        return cmd_usage(c, "the root key wants a passphrase, and there is no terminal to ask on",
                         "Say where the key goes: ipx-node new NAME --root-out FILE");
    }
    seal.passphrase = slice_text(phrase);
    os_entropy(seal.salt, sizeof(seal.salt));
    os_entropy(seal.nonce, sizeof(seal.nonce));
    enum ipx_err err = keys_file_put_sealed(&w, m->root_seed, &seal);
    crypt_wipe(phrase, sizeof(phrase));
    m->root_file_len = w.len;
    return err == IPX_OK ? 0
                         : cmd_fail(c, OUT_FAILED, err, "the root key cannot be sealed",
                                    err_text(err), "It takes 256 MiB of memory for a second");
}

static int make_keys(struct making *m)
{
    struct keys_new_plan plan = {.root = &m->root,
                                 .issuer = &m->issuer,
                                 .node = &m->node,
                                 .lab = m->lab,
                                 .name = m->node_name,
                                 .wall_ms = shell_wall_ms()};
    os_entropy_key(m->root_seed, &m->root);
    os_entropy_key(m->issuer_seed, &m->issuer);
    os_entropy_key(m->node_seed, &m->node);
    os_entropy(m->gate, sizeof(m->gate));
    os_entropy(plan.nonce, sizeof(plan.nonce));
    os_entropy(&plan.issuer_serial, sizeof(plan.issuer_serial));
    os_entropy(&plan.node_serial, sizeof(plan.node_serial));
    enum ipx_err err = keys_new_mesh(&plan, &m->made);
    return err == IPX_OK
               ? 0
               : cmd_fail(m->c, OUT_FAILED, err, "the mesh cannot be made", err_text(err), NULL);
}

static int write_home(struct making *m)
{
    struct cmd *c = m->c;
    char listen[CMD_LISTEN_SIZE];
    struct home_seed seed = {.mesh = m->made.mesh,
                             .mesh_name = m->name,
                             .name = m->node_name,
                             .n_gates = 1,
                             .chain = slice_of(m->made.chain, m->made.chain_len),
                             .has_issuer = true,
                             .issuer_cert = slice_of(m->made.signer.bytes, m->made.signer.len),
                             .listen = cmd_listen(c, listen),
                             .accept = args_text(&c->args, FLAG_ACCEPT),
                             .labels = slice_text(m->labels)};
    struct slice root = slice_of(m->root_file, m->root_file_len);
    char why[HOME_PATH_MAX + 128];
    memcpy(seed.key_seed, m->node_seed, 32);
    memcpy(seed.issuer_seed, m->issuer_seed, 32);
    memcpy(seed.gates[0], m->gate, 32);
    seed.root_key = m->root_out == NULL ? root : SLICE_EMPTY;
    if (m->root_out != NULL && os_file_replace(m->root_out, root) != IPX_OK) {
        snprintf(why, sizeof(why), "%.100s: %s", m->root_out, strerror(errno));
        return cmd_fail(c, OUT_FAILED, IPX_IO, "the root key cannot be written", why, NULL);
    }
    enum ipx_err err = os_home_create(c->home, &seed);
    crypt_wipe(&seed, sizeof(seed));
    if (err != IPX_OK) {
        snprintf(why, sizeof(why), "%s: %s", c->home, strerror(errno));
        os_home_remove(c->home);
        return cmd_fail(c, OUT_FAILED, err, "the home cannot be made", why,
                        "Choose another: --home DIR");
    }
    return 0;
}

static void tell(const struct making *m, pid_t pid)
{
    struct cmd *c = m->c;
    char id[ID_SHORT_LEN + 1], mesh[33];
    node_id_short(&m->node.pk, id);
    hex_encode(slice_of(m->made.mesh.bytes, sizeof(m->made.mesh.bytes)), mesh);
    if (c->out.json) {
        json_t *object = out_object();
        json_object_set_new(object, "mesh", json_string(m->name));
        json_object_set_new(object, "mesh_id", json_string(mesh));
        json_object_set_new(object, "lab", json_string(m->lab));
        json_object_set_new(object, "name", json_string(m->node_name));
        json_object_set_new(object, "node", json_string(id));
        json_object_set_new(object, "pid", json_integer(pid));
        json_object_set_new(object, "home", json_string(c->home));
        out_json(&c->out, object);
        return;
    }
    printf("made mesh \"%s\" (%.8s); this node is %s/%s (%s)\n", m->name, mesh, m->lab,
           m->node_name, id);
    printf("root key: %s%s   (needed to make issuers; keep it safe)\n",
           m->root_out != NULL ? m->root_out : c->home, m->root_out != NULL ? "" : "/root.key");
    printf("invite a node: %s invite --lab %s\n", c->out.program, m->lab);
    fflush(stdout);
}

static int start(struct making *m)
{
    struct cmd *c = m->c;
    struct daemon_options options = {.home = c->home, .is_fg = args_has(&c->args, FLAG_FG)};
    struct daemon_failure failure;
    pid_t pid;
    enum ipx_err err = daemon_start(&options, &pid, &failure);
    if (err != IPX_OK) {
        os_home_remove(c->home);
        if (m->root_out != NULL) {
            unlink(m->root_out);
        }
        return err == IPX_REFUSED ? life_failure(c, &failure)
                                  : cmd_fail(c, OUT_FAILED, err, "the node cannot be started",
                                             strerror(errno), NULL);
    }
    tell(m, pid);
    return options.is_fg ? life_foreground(pid) : OUT_OK;
}

static int check_names(const struct making *m)
{
    if (!cert_name_is_valid(slice_text(m->name))) {
        return cmd_usage(m->c,
                         "a mesh's name is a-z 0-9 and -, begins with a letter, at most 24 "
                         "characters",
                         "Example: ipx-node new sky");
    }
    if (!cert_lab_is_valid(slice_text(m->lab))) {
        return cmd_usage(m->c, "the mesh's name is too long for a lab's",
                         "Name the lab: ipx-node new NAME --lab LAB");
    }
    return 0;
}

int cmd_new(struct cmd *c)
{
    static struct making m;
    char node_name[CERT_NAME_MAX + 1];
    const char *lab = args_text(&c->args, FLAG_LAB);
    const char *given = args_text(&c->args, FLAG_NAME);
    life_default_name(node_name);
    m = (struct making){.c = c,
                        .name = c->args.words[0],
                        .lab = lab != NULL ? lab : c->args.words[0],
                        .node_name = given != NULL ? given : node_name,
                        .root_out = args_text(&c->args, FLAG_ROOT_OUT)};
    int code = check_names(&m);
    code = code == 0 ? life_labels(c, m.labels, sizeof(m.labels)) : code;
    code = code == 0 ? life_refuse_existing(c, "new") : code;
    code = code == 0 ? make_keys(&m) : code;
    code = code == 0 ? make_root_file(&m) : code;
    code = code == 0 ? write_home(&m) : code;
    code = code == 0 ? start(&m) : code;
    crypt_wipe(&m, sizeof(m));
    return code;
}
