/* SPDX-License-Identifier: Apache-2.0 */
/* The argument table: every command and flag there is, and nothing that is not. */
#include "node/args.h"

#define SWITCH(n, l, h)                                                                            \
    {                                                                                              \
        .name = (n), .letter = (l), .type = ARG_SWITCH, .help = (h)                                \
    }
#define VALUE(n, l, t, v, h)                                                                       \
    {                                                                                              \
        .name = (n), .letter = (l), .type = (t), .value = (v), .help = (h)                         \
    }
#define REPEAT(n, l, t, v, h)                                                                      \
    {                                                                                              \
        .name = (n), .letter = (l), .type = (t), .value = (v), .help = (h), .may_repeat = true     \
    }

const struct arg_flag args_flags[FLAG_N] = {
    [FLAG_NONE] = {.name = "", .type = ARG_SWITCH, .help = ""},
    /* everywhere */
    [FLAG_HOME] = VALUE("home", 0, ARG_TEXT, "DIR",
                        "home of the node (else IPX_HOME, else the "
                        "user's own)"),
    [FLAG_JSON] = SWITCH("json", 0, "one JSON object a line, errors too"),
    [FLAG_QUIET] = SWITCH("quiet", 'q', "no progress and no hints on stderr"),
    [FLAG_VERBOSE] = SWITCH("verbose", 'v', "say more on stderr"),
    [FLAG_COLOR] = VALUE("color", 0, ARG_CHOICE, "auto|always|never", "colours on a terminal"),
    [FLAG_HELP] = SWITCH("help", 'h', "help of this command"),
    [FLAG_VERSION] = SWITCH("version", 0, "print the version"),
    /* mesh */
    [FLAG_LAB] = VALUE("lab", 0, ARG_LAB, "LAB", "the lab of the node"),
    [FLAG_ROOT_OUT] = VALUE("root-out", 0, ARG_TEXT, "FILE",
                            "write the mesh's root key there, "
                            "open: keep it off this machine"),
    [FLAG_ROLE] = VALUE("role", 0, ARG_CHOICE, "user|node|operator",
                        "what the ticket lets its "
                        "holder do (node)"),
    [FLAG_EXPIRES] = VALUE("expires", 0, ARG_TIME, "TIME", "life of the ticket (24h)"),
    [FLAG_OUTPUT] = VALUE("output", 'o', ARG_TEXT, "FILE", "write the ticket there, mode 0600"),
    [FLAG_LABEL] = REPEAT("label", 0, ARG_LABEL, "K=V", "a label; repeat for more"),
    [FLAG_ACCEPT] = VALUE("accept", 0, ARG_EXPR, "EXPR",
                          "whose tasks this node runs (job.lab == "
                          "lab)"),
    [FLAG_LISTEN] = REPEAT("listen", 0, ARG_ADDR, "[tls:]ADDR",
                           "address to listen on (every one, port 7433 or the next free); "
                           "with tls: for links within TLS beside it (port 443)"),
    [FLAG_NAME] = VALUE("name", 0, ARG_NAME, "NAME", "name of the node (from the host's name)"),
    [FLAG_FG] = SWITCH("fg", 0, "stay in the foreground, log to stderr"),
    [FLAG_WHERE] = REPEAT("where", 0, ARG_EXPR, "EXPR", "only where EXPR is true; repeat = and"),
    [FLAG_WHERE_FIELDS] = REPEAT("where", 0, ARG_FIELDS, "EXPR",
                                 "only where EXPR is true of the source's fields; repeat = and"),
    [FLAG_SORT] = VALUE("sort", 0, ARG_KEY, "name|lab|id|state|cores|free|mem|load|rtt|seen|addr",
                        "order of the rows, best first; -KEY: the reverse"),
    [FLAG_ADS] = VALUE("ads", 0, ARG_TEXT, "FILE", "ads as text; - is stdin"),
    /* run */
    [FLAG_PREFER] = VALUE("prefer", 0, ARG_EXPR, "EXPR", "larger is better"),
    [FLAG_ON] = VALUE("on", 0, ARG_TEXT, "NODE", "run there: NODE, or source:NAME"),
    [FLAG_CPU] = VALUE("cpu", 0, ARG_NUMBER, "N", "slots a task needs (1)"),
    [FLAG_MEM] = VALUE("mem", 0, ARG_SIZE, "SIZE", "memory a task needs"),
    [FLAG_TIME] = VALUE("time", 0, ARG_TIME, "TIME", "time limit of a task: ends it with 124"),
    [FLAG_RETRY] = VALUE("retry", 0, ARG_NUMBER, "N", "run a failed task again, at most N times"),
    [FLAG_LIMIT] = VALUE("limit", 0, ARG_NUMBER, "N", "at most N tasks at once"),
    [FLAG_ENV] = REPEAT("env", 0, ARG_ENV, "K[=V]", "a variable for the task; repeat for more"),
    [FLAG_NO_WAIT] = SWITCH("no-wait", 0, "fail with 120 where nothing matches now"),
    [FLAG_WAIT_MAX] = VALUE("wait-max", 0, ARG_TIME, "TIME",
                            "give up with 122 after waiting so "
                            "long for a place"),
    [FLAG_DETACH] = SWITCH("detach", 'd', "print the job's id and go"),
    [FLAG_KEEP_ORDER] = SWITCH("keep-order", 0, "output in the order of the items"),
    [FLAG_PURE] = SWITCH("pure", 0,
                         "the task has no effect but its output: it may run again "
                         "elsewhere at once"),
    [FLAG_DRY_RUN] = SWITCH("dry-run", 0, "print which nodes would be asked; run nothing"),
    [FLAG_STREAM] = VALUE("stream", 0, ARG_TEXT, "SOURCE", "a live source as the task's stdin"),
    [FLAG_RANGE] = VALUE("range", 0, ARG_RANGE, "A-B[:S]", "the items A, A+S, .. to B"),
    /* jobs */
    [FLAG_ALL] = SWITCH("all", 'a', "finished jobs and those of others too"),
    [FLAG_FOLLOW] = SWITCH("follow", 'f', "go on until the job ends"),
    [FLAG_FOLLOW_EVENTS] = SWITCH("follow", 'f', "go on with what happens, until Ctrl-C"),
    [FLAG_ORIGIN] = SWITCH("origin", 0, "where each one comes from"),
    [FLAG_MAN] = SWITCH("man", 0, "the manual page, as roff"),
    /* sources */
    [FLAG_KIND] = VALUE("kind", 0, ARG_TEXT, "KIND", "what it is: camera, weather .."),
    [FLAG_SCHEMA] = VALUE("schema", 0, ARG_TEXT, "TEXT", "what a frame is: frame/u16 .."),
    [FLAG_TOPIC] = VALUE("topic", 0, ARG_TEXT, "TEXT", "a name to find it by: astro/sky0"),
    [FLAG_RATE] = VALUE("rate", 0, ARG_RATE, "RATE", "frames a second, as told to others"),
    [FLAG_FRAME] = VALUE("frame", 0, ARG_TEXT, "lines|len|SIZE",
                         "how the bytes are cut into "
                         "frames (lines)"),
    [FLAG_RING] = VALUE("ring", 0, ARG_TEXT, "TIME|SIZE", "how much is kept for replay (64MiB)"),
    [FLAG_FILE] = VALUE("file", 0, ARG_TEXT, "PATH", "a growing file"),
    [FLAG_FROM] =
        VALUE("from", 0, ARG_TEXT, "all|last|new|seq:N|time:T|-TIME", "where to begin (new)"),
    [FLAG_POLICY] = VALUE("policy", 0, ARG_TEXT, "block|drop-old|sample:N",
                          "what a slow reader "
                          "gets (drop-old; block with --from all)"),
};

const enum flag_id args_global_flags[] = {FLAG_HOME,  FLAG_JSON, FLAG_QUIET,   FLAG_VERBOSE,
                                          FLAG_COLOR, FLAG_HELP, FLAG_VERSION, FLAG_NONE};

#define FLAGS(...)                                                                                 \
    (const enum flag_id[])                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define NO_FLAGS FLAGS(FLAG_NONE)

#define NEEDS_TEXT                                                                                 \
    "CMD is an argv, no shell. Unless told otherwise a task runs in the own lab, on a node with "  \
    "a "                                                                                           \
    "free slot, in a directory of its own."

const struct arg_command args_commands[COMMAND_N] = {
    [COMMAND_NEW] = {.name = "new",
                     .group = "MESH",
                     .words = "NAME",
                     .n_min = 1,
                     .n_max = 1,
                     .flags = FLAGS(FLAG_LAB, FLAG_ROOT_OUT, FLAG_NAME, FLAG_LISTEN, FLAG_ACCEPT,
                                    FLAG_LABEL, FLAG_FG, FLAG_NONE),
                     .help = "make a mesh, start its first node",
                     .more = "The lab is called like the mesh unless --lab says otherwise. The "
                             "root key is sealed with a passphrase that is asked on the terminal; "
                             "without a terminal --root-out says where it goes.",
                     .examples = "new sky\nnew sky --lab astro --root-out /media/usb/sky.root\n"},
    [COMMAND_INVITE] = {.name = "invite",
                        .group = "MESH",
                        .words = "",
                        .needs_node = true,
                        .flags = FLAGS(FLAG_ROLE, FLAG_EXPIRES, FLAG_LAB, FLAG_OUTPUT, FLAG_NONE),
                        .help = "print a ticket that admits one node",
                        .more = "Whoever holds the ticket may join once, until it expires. Without "
                                "--lab it is for the own lab. Works where the mesh was made.",
                        .examples = "invite --lab bio\ninvite --role user --expires 1h -o t.txt\n"},
    [COMMAND_JOIN] = {.name = "join",
                      .group = "MESH",
                      .words = "[FILE|TICKET|-]",
                      .n_max = 1,
                      .flags = FLAGS(FLAG_NAME, FLAG_LABEL, FLAG_ACCEPT, FLAG_LISTEN, FLAG_FG,
                                     FLAG_NONE),
                      .help = "become a member with a ticket, start the node",
                      .more = "The ticket is text, a file, - for stdin, or the file that "
                              "IPX_TICKET_FILE names. Where joining fails nothing is left behind.",
                      .examples = "join ipxt1q8k...\njoin ticket.txt --label battery=0.6\n"},
    [COMMAND_UP] = {.name = "up",
                    .group = "MESH",
                    .words = "",
                    .flags = FLAGS(FLAG_FG, FLAG_LISTEN, FLAG_ACCEPT, FLAG_NONE),
                    .help = "start the node of this home",
                    .examples = "up\nup --fg\n"},
    [COMMAND_DOWN] = {.name = "down",
                      .group = "MESH",
                      .words = "",
                      .needs_node = true,
                      .flags = NO_FLAGS,
                      .help = "stop the node; it stays a member"},
    [COMMAND_LEAVE] = {.name = "leave",
                       .group = "MESH",
                       .words = "",
                       .needs_node = true,
                       .flags = NO_FLAGS,
                       .help = "leave the mesh: tell the others, stop, remove the home"},
    [COMMAND_STATUS] = {.name = "status",
                        .group = "MESH",
                        .words = "",
                        .needs_node = true,
                        .flags = NO_FLAGS,
                        .help = "this node in a few lines"},
    [COMMAND_NODES] = {.name = "nodes",
                       .group = "MESH",
                       .words = "",
                       .needs_node = true,
                       .flags = FLAGS(FLAG_WHERE, FLAG_SORT, FLAG_NONE),
                       .help = "all nodes of the mesh",
                       .examples = "nodes --where 'cpu.cores >= 8 and lab == \"bio\"'\n"},
    [COMMAND_PEERS] = {.name = "peers",
                       .group = "MESH",
                       .words = "",
                       .needs_node = true,
                       .flags = NO_FLAGS,
                       .help = "how this node reaches the others"},
    [COMMAND_PING] = {.name = "ping",
                      .group = "MESH",
                      .words = "NODE",
                      .n_min = 1,
                      .n_max = 1,
                      .needs_node = true,
                      .flags = NO_FLAGS,
                      .help = "time to a node and back",
                      .examples = "ping bio/laptop\n"},
    [COMMAND_LABEL] = {.name = "label",
                       .group = "MESH",
                       .words = "[set K=V.. | unset K.. | NODE]",
                       .n_max = ARGS_MANY,
                       .needs_node = true,
                       .flags = NO_FLAGS,
                       .help = "show or change labels",
                       .more = "A value is typed as in the language: 1 is a number, v1 a version, "
                               "true a bool, 8GiB a size, [\"a\"] a set; anything else is a "
                               "string, and quotes force one.",
                       .examples = "label\nlabel set site.power=solar battery=0.6\n"
                                   "label unset battery\nlabel bio/laptop\n"},
    [COMMAND_MATCH] = {.name = "match",
                       .group = "MESH",
                       .words = "EXPR",
                       .n_min = 1,
                       .n_max = 1,
                       .flags = FLAGS(FLAG_ADS, FLAG_NONE),
                       .help = "try an expression on ads given as text; needs no mesh",
                       .more = "One line an ad: its name, then true, false, unknown or the value, "
                               "then why it is unknown. Ads come from --ads FILE or stdin; on a "
                               "terminal without --ads this machine's own labels are taken.",
                       .examples = "match 'cpu.cores >= 4'\n"
                                   "match --ads lab.txt 'any gpu (.mem >= 40GiB)'\n"},
    [COMMAND_POLICY] = {.name = "policy",
                        .group = "MESH",
                        .words = "[show | set accept=EXPR]",
                        .n_max = 2,
                        .needs_node = true,
                        .flags = NO_FLAGS,
                        .help = "whose tasks this node runs",
                        .examples = "policy\n"
                                    "policy set 'accept=job.lab in [\"bio\", \"astro\"]'\n"},
    [COMMAND_RUN] = {.name = "run",
                     .group = "RUN",
                     .words = "[--] CMD..",
                     .n_min = 1,
                     .n_max = ARGS_MANY,
                     .is_verbatim = true,
                     .needs_node = true,
                     .flags = FLAGS(FLAG_WHERE, FLAG_PREFER, FLAG_ON, FLAG_CPU, FLAG_MEM, FLAG_TIME,
                                    FLAG_RETRY, FLAG_ENV, FLAG_NO_WAIT, FLAG_WAIT_MAX, FLAG_DETACH,
                                    FLAG_PURE, FLAG_DRY_RUN, FLAG_STREAM, FLAG_NONE),
                     .help = "run one task, its stdin, stdout and stderr streamed",
                     .more = NEEDS_TEXT
                     " Ends with the task's own exit code; 124 time limit, 126 "
                     "and 127 it cannot be run or found, 128+n signal n; before the start "
                     "120 nothing matches, 121 refused by policy, 122 waited too long, "
                     "125 ipx itself failed, 4 no node is running.",
                     .examples = "run -- uname -a\nrun --on bio/laptop -- nproc\n"
                                 "run --where 'cpu.cores >= 8' --mem 4GiB -- ./fit data.txt\n"},
    [COMMAND_MAP] = {.name = "map",
                     .group = "RUN",
                     .words = "[--] CMD.. [::: ITEM.. | :::: FILE | -]",
                     .n_min = 1,
                     .n_max = ARGS_MANY,
                     .is_verbatim = true,
                     .needs_node = true,
                     .flags = FLAGS(FLAG_RANGE, FLAG_WHERE, FLAG_PREFER, FLAG_ON, FLAG_CPU,
                                    FLAG_MEM, FLAG_TIME, FLAG_RETRY, FLAG_LIMIT, FLAG_ENV,
                                    FLAG_NO_WAIT, FLAG_WAIT_MAX, FLAG_DETACH, FLAG_KEEP_ORDER,
                                    FLAG_PURE, FLAG_DRY_RUN, FLAG_STREAM, FLAG_NONE),
                     .help = "run CMD once for each item, over many nodes",
                     .more = NEEDS_TEXT
                     " In CMD {} is the item, {1} {2} .. its columns (separated "
                     "by TAB), {.} the item without its extension, {#} its number from 0; "
                     "without any of them the item is appended. Items are words behind "
                     ":::, the lines of a file behind ::::, a --range, or the lines of "
                     "stdin (-). Output is shown whole, a task at a time. Ends with the "
                     "number of failed tasks, at most 101.",
                     .examples = "map -- gzip -k {} ::: a.txt b.txt\n"
                                 "map --retry 2 -- ./fit {1} {2} :::: params.txt\n"
                                 "map --range 1-100 --keep-order -- echo {}\n"},
    [COMMAND_PS] = {.name = "ps",
                    .group = "JOBS",
                    .words = "",
                    .needs_node = true,
                    .flags = FLAGS(FLAG_ALL, FLAG_NONE),
                    .help = "jobs of this node"},
    [COMMAND_SHOW] = {.name = "show",
                      .group = "JOBS",
                      .words = "ID",
                      .n_min = 1,
                      .n_max = 1,
                      .needs_node = true,
                      .flags = NO_FLAGS,
                      .help = "one job and its tasks",
                      .examples = "show j4tq\n"},
    [COMMAND_WHY] = {.name = "why",
                     .group = "JOBS",
                     .words = "[ID]",
                     .n_max = 1,
                     .needs_node = true,
                     .flags = FLAGS(FLAG_WHERE, FLAG_NONE),
                     .help = "why a job waits, or whom an expression would match",
                     .examples = "why j9aa\nwhy --where 'any gpu (.mem >= 160GB)'\n"},
    [COMMAND_LOGS] = {.name = "logs",
                      .group = "JOBS",
                      .words = "ID[.N]",
                      .n_min = 1,
                      .n_max = 1,
                      .needs_node = true,
                      .flags = FLAGS(FLAG_FOLLOW, FLAG_NONE),
                      .help = "output of a job or of its task N",
                      .examples = "logs j4tq\nlogs -f j4tq.17\n"},
    [COMMAND_WAIT] = {.name = "wait",
                      .group = "JOBS",
                      .words = "ID..",
                      .n_min = 1,
                      .n_max = ARGS_MANY,
                      .needs_node = true,
                      .flags = NO_FLAGS,
                      .help = "wait until jobs have ended",
                      .examples = "wait j4tq\n"},
    [COMMAND_CANCEL] = {.name = "cancel",
                        .group = "JOBS",
                        .words = "ID..",
                        .n_min = 1,
                        .n_max = ARGS_MANY,
                        .needs_node = true,
                        .flags = NO_FLAGS,
                        .help = "stop jobs",
                        .examples = "cancel j4tq\n"},
    [COMMAND_PUBLISH] = {.name = "publish",
                         .group = "SOURCE",
                         .words = "NAME [-- CMD..]",
                         .n_min = 1,
                         .n_max = ARGS_MANY,
                         .is_verbatim = true,
                         .n_before = 1,
                         .needs_node = true,
                         .flags = FLAGS(FLAG_KIND, FLAG_SCHEMA, FLAG_TOPIC, FLAG_RATE, FLAG_FRAME,
                                        FLAG_RING, FLAG_LABEL, FLAG_FILE, FLAG_NONE),
                         .help = "publish live data from a command, a file or stdin",
                         .more = "A frame is a line, a u32 length (big-endian) and its bytes "
                                 "(--frame len), or a fixed number of bytes. CMD is started again "
                                 "when it ends. The source is there as long as publish runs.",
                         .examples = "publish cam0 --rate 25Hz --frame 64KiB -- ./grab-frames\n"
                                     "tail -f log | ipx-node publish log\n"
                                     "publish wx --file /var/log/wx.csv\n"},
    [COMMAND_SOURCES] = {.name = "sources",
                         .group = "SOURCE",
                         .words = "",
                         .needs_node = true,
                         .flags = FLAGS(FLAG_WHERE_FIELDS, FLAG_NONE),
                         .help = "live sources of the mesh",
                         .examples = "sources --where '.kind == \"camera\"'\n"},
    [COMMAND_TAP] = {.name = "tap",
                     .group = "SOURCE",
                     .words = "NAME",
                     .n_min = 1,
                     .n_max = 1,
                     .needs_node = true,
                     .flags = FLAGS(FLAG_FROM, FLAG_POLICY, FLAG_NONE),
                     .help = "read a live source",
                     .more = "A T is 2026-01-31T09:30:00Z, without the Z in local time, Unix "
                             "seconds, or -10min, by the source's clock. What a reader missed is "
                             "told on stderr, with --json as an object of its own. A name that "
                             "several nodes publish is typed lab/name@node.",
                     .examples = "tap wx --from all\ntap wx --from time:2026-01-31T09:30\n"
                                 "tap cam0 --policy sample:10 --json\n"},
    [COMMAND_CONFIG] = {.name = "config",
                        .group = "OPS",
                        .words = "[show]",
                        .n_max = 1,
                        .flags = FLAGS(FLAG_ORIGIN, FLAG_NONE),
                        .help = "the settings that count here",
                        .more = "Settings stand in node.conf in the home, in ~/.config/ipx and in "
                                "/etc/ipx: lines key = value, the keys are names of flags; those "
                                "below [map] count for map alone. What is typed goes first, then "
                                "the environment, then these files in this order.",
                        .examples = "config show --origin\n"},
    [COMMAND_DOCTOR] = {.name = "doctor",
                        .group = "OPS",
                        .words = "",
                        .flags = NO_FLAGS,
                        .help = "test what a node needs, and say what repairs it",
                        .more = "One line a test: ok, warn or broken, its name, the value found, "
                                "and where it is not ok the command that repairs it. Works without "
                                "a running node too. Ends with 1 if something is broken.",
                        .examples = "doctor\ndoctor --json\n"},
    [COMMAND_EVENTS] = {.name = "events",
                        .group = "OPS",
                        .words = "",
                        .needs_node = true,
                        .flags = FLAGS(FLAG_FOLLOW_EVENTS, FLAG_NONE),
                        .help = "what happened at this node last",
                        .more = "Members that come and go, links, admissions, labels, sources and "
                                "jobs, numbered since the node's start; about 150 are kept. With "
                                "-f it goes on, over a restart of the node too; what was missed is "
                                "told as a gap.",
                        .examples = "events\nevents -f --json\n"},
    [COMMAND_HELP] = {.name = "help",
                      .group = "OTHER",
                      .words = "[COMMAND]",
                      .n_max = 1,
                      .flags = FLAGS(FLAG_MAN, FLAG_NONE),
                      .help = "this help, or a command's"},
    [COMMAND_VERSION] = {.name = "version",
                         .group = "OTHER",
                         .words = "",
                         .flags = NO_FLAGS,
                         .help = "version of this program"},
};
