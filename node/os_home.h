/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node's home on disk: one folder, mode 0700, one node at a time (a lock file).
 *
 *   key          seed of the node's Ed25519 key, 0600
 *   mesh         mesh id, mesh name, gate keys (text, one `name value` a line)
 *   name         the wanted node name while joining
 *   ticket       only while joining
 *   issuer.key, issuer.cert   only where the mesh was made (or an issuer was put)
 *   chain contacts seq book issuers labels policy coats   what the node asked to save (node.h)
 *   generation   u32, incremented and synced before each start
 *   coat.tls                  certificate and key of the coats, made when first needed
 *   root.key                  sealed, where the mesh was made with a passphrase
 *   listen, accept            what --listen said, for `up`
 *   node.conf                 settings, written by the user (node/config.h)
 *   node.log, node.log.1      logfmt, two files of 8 MiB
 *   lock, sock                held and listened on while the node runs
 *   spool/ scratch/           results and tasks; emptied at start
 *
 * Every file is replaced by write-temp, fsync, rename. Paths: --home, IPX_HOME, else
 * $XDG_STATE_HOME/ipx or ~/.local/state/ipx, as root /var/lib/ipx.
 */
#include "node/node.h"

#define HOME_PATH_MAX 90 /* so that "<home>/sock" fits a socket address (108 bytes) */

struct home {
    char path[HOME_PATH_MAX + 1];
    int lock_fd; /* -1: not held */
    struct mem *mem;
    struct node_config config; /* filled by os_home_load; slices owned by the home */
    char mesh_name[CERT_NAME_MAX + 1];
};

/* Chooses the path. `given` NULL or "" = environment, then default. Conditions: IPX_LIMIT (too
 * long; the caller tells the user so). */
IPX_MUST_USE enum ipx_err os_home_path(const char *given, char ret_path[static HOME_PATH_MAX + 1]);
/* True if a mesh has been made or joined (or a join is under way) there. */
bool os_home_exists(const char *path);
/* Takes the lock. Conditions: IPX_BUSY (a node runs there). Removes a stale socket. */
IPX_MUST_USE enum ipx_err os_home_lock(struct home *h, const char *path, struct mem *mem);
/* Reads all files, increments the generation (synced) and fills h->config but for what the shell
 * finds out (listen addresses, labels, slots). Conditions: IPX_NOT_FOUND, IPX_MALFORMED. */
IPX_MUST_USE enum ipx_err os_home_load(struct home *h);
void os_home_done(struct home *h);

/* What `new` and `join` write before the first start. A home made by a failed join is removed
 * whole by os_home_remove (it deletes only the files listed above). */
struct home_seed {
    uint8_t key_seed[32];
    struct mesh_id mesh;
    const char *mesh_name;
    const char *name;
    uint8_t gates[NODE_GATES_MAX][32];
    size_t n_gates;
    struct slice ticket; /* join */
    struct slice chain;  /* new */
    bool has_issuer;
    uint8_t issuer_seed[32];
    struct slice issuer_cert;
    const char *listen, *accept; /* may be NULL */
    struct slice labels;         /* lines of name=value; may be empty */
    struct slice root_key;       /* sealed; may be empty */
};
IPX_MUST_USE enum ipx_err os_home_create(const char *path, const struct home_seed *seed);
void os_home_remove(const char *path);

/* The process that holds the lock; 0 if none does. */
int os_home_pid(const char *path);
/* What --listen said when the home was made; false if nothing. */
bool os_home_listen(const char *path, char *out, size_t size);
/* Replaces one file, mode 0600, synced; also outside the home. Fault: IPX_IO (errno is set). */
IPX_MUST_USE enum ipx_err os_file_replace(const char *path, struct slice bytes);
/* A whole file of at most `max` bytes; the caller frees it. Conditions: IPX_NOT_FOUND, IPX_LIMIT.
 * Faults: IPX_IO, IPX_NO_MEMORY. */
IPX_MUST_USE enum ipx_err os_file_read(const char *path, size_t max, struct mem *mem,
                                       struct slice *ret);
/* One saved file (the shell, for NODE_ACTION_SAVE). */
IPX_MUST_USE enum ipx_err os_home_save(const char *path, enum node_save what, struct slice bytes);
