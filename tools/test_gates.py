#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that each gate of tools/check bites: a tree with one defect makes the gate fail and
name the defect, and the same tree without it passes.

usage: test_gates.py     (build/gcc must be built: its flags, its libraries, its programs)
"""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
GOOD = SPDX + '#include "base/good.h"\n\nint good(void)\n{\n    return 1;\n}\n'


def run(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


class Tree:
    """A small tree of its own under git, with our tools."""

    def __init__(self, files=()):
        self.path = tempfile.mkdtemp(prefix="gates-")
        shutil.copytree(HERE, self.at("tools"), ignore=shutil.ignore_patterns("__pycache__"))
        if os.path.exists(self.at("tools/tidy_exceptions")):
            os.remove(self.at("tools/tidy_exceptions"))
        shutil.copy(os.path.join(ROOT, ".clang-format"), self.path)
        run("git", "init", "-q", cwd=self.path)
        shutil.copy(os.path.join(ROOT, ".clang-tidy"), self.path)
        self.write(".git/info/exclude", "tools/*\n!tools/tidy_exceptions\nbuild\n")
        self.write("base/good.c", GOOD)
        self.write("base/good.h", SPDX + "#pragma once\nint good(void);\n")
        self.write("base/meson.build", "base_sources = files('good.c')\n")
        self.write("tests/unit/base_good.c", SPDX + '#include "base/good.h"\n')
        self.write("tests/unit/meson.build", "unit_tests = ['base_good']\n")
        self.write("README.md", "# A good tree\n")
        for name, text in dict(files).items():
            self.write(name, text)

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.at(name)), exist_ok=True)
        with open(self.at(name), "w", encoding="utf-8") as f:
            f.write(text)

    def check(self, *gates):
        return run("tools/check", *gates, cwd=self.path)

    def remove(self):
        shutil.rmtree(self.path)


class GateCase(unittest.TestCase):
    def tree(self, files=()):
        tree = Tree(files)
        self.addCleanup(tree.remove)
        return tree

    def bites(self, tree, gate, *said):
        rc, out = tree.check(gate)
        self.assertEqual(rc, 1, out)
        self.assertEqual(out.rstrip().split("\n")[-1], "0 passed, 1 failed", out)
        self.assertRegex(out, rf"FAIL +{gate}")
        for text in said:
            self.assertIn(text, out)

    def passes(self, tree, gate):
        rc, out = tree.check(gate)
        self.assertEqual((rc, out.rstrip().split("\n")[-1]), (0, "1 passed, 0 failed"), out)


class Check(GateCase):
    def test_unknown_gate_and_option(self):
        tree = self.tree()
        for argument in ("no-such-gate", "--no-such"):
            rc, out = tree.check(argument)
            self.assertNotEqual(rc, 0, out)

    def test_every_gate_is_tested_here(self):
        """What shows that each gate bites; a second run of a gate needs no second proof."""
        shown = {
            "format": Check, "spelling": Check, "shellcheck": Check, "tidy": Tidy, "layers": Layers,
            "purity": Purity, "gcc": Warnings, "clang": Warnings, "cppcheck": Analysis,
            "clang-tidy": Analysis, "docs": Documents, "golden": Documents, "scenario": Worlds,
            "simulation": Worlds, "same-trace": Worlds, "unit": Runners, "clang-unit": Runners,
            "san-build": Runners, "san-unit": Runners, "san-sim": Runners, "fuzz-replay": Runners,
            "fuzz": Runners, "gates": Check}
        with open(HERE + "/check", encoding="utf-8") as f:
            gates = set(re.findall(r"^ *(?:gate|long) ([a-z][a-z-]*) ", f.read(), re.M))
        self.assertEqual(gates, set(shown), "a gate without proof, or the reverse")

    def test_format(self):
        self.passes(self.tree(), "format")
        bad = GOOD.replace("    return", "  return")
        self.bites(self.tree({"base/good.c": bad}), "format", "good.c", "clang-format-violations")

    def test_spelling(self):
        word = "rec" + "ieve"
        folders = ("dht", "gossip", "exec", "node", "docs")
        self.passes(self.tree({f"{d}/x.c": SPDX for d in folders}), "spelling")
        self.bites(self.tree({"base/bad.c": SPDX + f"/* to {word} */\n"}), "spelling", word)

    def test_shellcheck(self):
        good = "#!/bin/sh\necho ok\n"
        tree = self.tree({".ci/run": good, "tools/quickstart": good})
        self.passes(tree, "shellcheck")
        tree.write("tools/quickstart", "#!/bin/sh\nx=$(date)\nrm -rf $x/*\n")
        self.bites(tree, "shellcheck", "quickstart")


class Tidy(GateCase):
    """Every rule of tidy.py, in one tree: each line here is one defect and what is said of it."""

    LINES = [
        ("int f(char *a, char *b) { strcpy(a, b); }", "use snprintf or a writer"),
        ("int f(char *a) { return strtok(a, a) != 0; }", "use a reader"),
        ("int f(char *a) { return atoi(a); }", "parse with a range check"),
        ("int f(void) { return rand(); }", "use struct rng"),
        ("void *f(void) { return alloca(1); }", "use a bounded array or struct mem"),
        ("void *f(void) { return cbor_load(0, 0, 0); }", "use struct cbor_reader"),
        ("int f(void) { return system(0); }", "start processes through the spawner"),
        ("void *f(void) { return malloc(1); }", "use struct mem"),
        ("long f(void) { return time(NULL); }", "time is a parameter"),
        ("int f(char *tag) { return memcmp(tag, tag, 16); }", "use crypt_equal"),
        ("int f(void); // says it", "comments are /* */ only"),
        ("/* */", "an empty comment"),
        ("/* FIX" + "ME later */", "unfinished"),
        ("/* not imple" + "mented */", "unfinished"),
        ("/* see /wo" + "rk/main */", "names a path outside the repository"),
        ("/* " + "x" * 98 + " */", "104 columns, at most 100"),
    ]

    def test_good_tree(self):
        self.passes(self.tree(), "tidy")

    def test_each_line(self):
        files = {f"base/bad{i}.c": SPDX + line + "\n" for i, (line, _) in enumerate(self.LINES)}
        rc, out = run("/usr/bin/python3", HERE + "/tidy.py", self.tree(files).path)
        self.assertEqual(rc, 1)
        for i, (_, said) in enumerate(self.LINES):
            self.assertRegex(out, rf"base/bad{i}\.c:\d+: .*{re.escape(said)}")

    def test_structure(self):
        long_function = "int f(void)\n{\n" + "    g();\n" * 69 + "}\n"
        rc, out = run("/usr/bin/python3", HERE + "/tidy.py", self.tree({
            "base/plain.c": "int x;\n",
            "base/dead.c": SPDX,
            "base/lone.h": SPDX + "#pragma once\n", "base/lone.c": SPDX,
            "base/twice.h": SPDX,
            "base/long.c": SPDX + "\n" * 499 + "int x;\n",
            "base/long.h": SPDX + "#pragma once\n" + "int x;\n" * 199,
            "base/function.c": SPDX + long_function,
            "tests/fuzz/fuzz_bare.c": SPDX,
            "docs/threats.md": "# T\n`base_good: nothing`\n",
            "docs/two.md": "# One\n\n# Two\n", "docs/none.md": "text\n",
        }).path)
        self.assertEqual(rc, 1)
        for said in ("base/plain.c:1: the first line is the SPDX line",
                     "base/dead.c: in no meson.build: a dead file",
                     "base/lone.h: no unit test", "base/twice.h: a header has #pragma once",
                     "base/long.c: 501 lines, at most 500", "base/long.h: 201 lines, at most 200",
                     "f has 72 lines, at most 70", "tests/fuzz/fuzz_bare.c: has no corpus",
                     "docs/threats.md: no test nothing",
                     "docs/two.md: 2 titles", "docs/none.md: 0 titles"):
            self.assertIn(said, out)

    def test_exceptions_only_shrink(self):
        long = {"base/good.c": GOOD + "\n" * 494 + "int x;\n"}
        for limit, said in ((502, None), (501, "exceptions only shrink")):
            rc, out = run("/usr/bin/python3", HERE + "/tidy.py", self.tree(
                dict(long, **{"tools/tidy_exceptions": f"file base/good.c {limit} # why\n"})).path)
            self.assertEqual(rc, 1 if said else 0, out)
            self.assertIn(said or "ok", out)
        self.bites(self.tree({"tools/tidy_exceptions": "file base/good.c 600 # why\n"}), "tidy",
                   "no longer needed")


class Layers(GateCase):
    def test_each_rule(self):
        self.passes(self.tree(), "layers")
        self.bites(self.tree({
            "base/up.c": '#include "dht/dht.h"\n',
            "dht/aside.c": '#include "gossip/gossip.h"\n',
            "node/past.c": '#include "dht/table.h"\n',
            "node/bare.c": '#include "good.h"\n',
            "node/pure.c": '#include "node/uv_loop.h"\n',
            "base/one.h": '#include "base/two.h"\n', "base/two.h": '#include "base/one.h"\n',
        }), "layers", "base/up.c: base must not include dht", "dht/aside.c: dht must not include",
            "node/past.c: dht/table.h is not a face of dht", "node/bare.c: includes good.h",
            "node/pure.c: a pure file includes node/uv_loop.h",
            "include cycle: base/one.h -> base/two.h -> base/one.h")


class Purity(GateCase):
    CALLS = ["time", "clock_gettime", "gettimeofday", "open", "read", "socket", "fopen", "printf",
             "getenv", "getrandom", "randombytes_buf", "malloc", "free", "rand", "pthread_create",
             "uv_now", "setlocale"]

    def library(self, folder, sources):
        objects = []
        for name, text in sources.items():
            with open(f"{folder}/{name}.c", "w", encoding="utf-8") as f:
                f.write(text)
            objects.append(f"{folder}/{name}.c.o")
            subprocess.run(["gcc", "-fno-builtin", "-fPIC", "-c", f"{folder}/{name}.c", "-o",
                            objects[-1]], check=True)
        subprocess.run(["ar", "rcsT", f"{folder}/lib.a", *objects], check=True)
        return run(HERE + "/purity.sh", f"{folder}/lib.a")

    def test_symbols_and_variables(self):
        with tempfile.TemporaryDirectory() as folder:
            good = {"mem": "void *malloc(); void *m(void) { return malloc(1); }",
                    "list": "const char *const names[] = {\"a\"}; int f(void) { return 1; }"}
            rc, out = self.library(folder, good)
            self.assertEqual((rc, out), (0, "purity: ok\n"))
            bad = {f"x_{c}": f"int {c}(); int x_{c}(void) {{ return {c}(); }}" for c in self.CALLS}
            bad["y"] = "static int hidden; int y(void) { return hidden++; }"
            bad["z"] = "int z_set = 1; int z(void) { return 1; }"
            rc, out = self.library(folder, bad)
            self.assertEqual(rc, 1)
            for call in self.CALLS:
                self.assertIn(f"uses {call},", out)
            self.assertIn("has the variable hidden", out)
            self.assertIn("has the variable z_set", out)
        self.assertEqual(run(HERE + "/purity.sh", "/nowhere.a")[0], 1)


class Warnings(GateCase):
    """The flags with which base/sm.c is really compiled refuse each of these."""

    CASES = {
        "conversion": "char f(int x);\nchar f(int x)\n{\n    return x;\n}\n",
        "shadow": "int x;\nint f(int x);\nint f(int x)\n{\n    return x;\n}\n",
        "missing-prototypes": "int f(void)\n{\n    return 1;\n}\n",
        "unused-variable": "int f(void);\nint f(void)\n{\n    int x;\n    return 1;\n}\n",
        "vla": "int f(int n);\nint f(int n)\n{\n    char a[n];\n    return a[0] = 1;\n}\n",
        "switch-enum": "enum e { A, B };\nint f(enum e e);\nint f(enum e e)\n{\n    switch (e) {\n"
                       "    case A:\n        return 1;\n    default:\n        return 2;\n"
                       "    }\n}\n",
        "cast-qual": "char *f(const char *p);\nchar *f(const char *p)\n{\n"
                     "    return (char *)p;\n}\n",
        "strict-prototypes": "int f();\n",
        "unused-result": '#include "base/base.h"\nIPX_MUST_USE int g(void);\n'
                         "void f(void);\nvoid f(void)\n{\n    g();\n}\n",
    }

    def test_each_under_both_compilers(self):
        with open(ROOT + "/build/gcc/compile_commands.json", encoding="utf-8") as f:
            command = next(c["command"] for c in json.load(f) if c["file"].endswith("base/sm.c"))
        words = shlex.split(command.removeprefix("ccache "))
        flags = words[1:words.index("-MD")] + ["-c", "-o", "/dev/null"]
        for compiler in ("gcc", "clang"):
            for name, text in dict(self.CASES, good="int f(void);\n").items():
                with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
                    f.write(text)
                    f.flush()
                    rc, out = run(compiler, *flags, f.name, cwd=ROOT + "/build/gcc")
                self.assertEqual(rc != 0, name != "good", f"{compiler} {name}: {out}")
                if name != "good":
                    self.assertIn("-W", out)


class Analysis(GateCase):
    """tools/analyse on a file with each defect, as a build compiles it."""

    TIDY = {
        "readability-braces-around-statements":
            "    if (n > 1)\n        while (n > 2)\n            n -= (n > 3\n"
            "                      ? 2\n                      : 1);\n",
        "bugprone-suspicious-semicolon": "    if (n > 1);\n    {\n        n = 2;\n    }\n",
        "misc-no-recursion": "    n = n > 0 ? f(n - 1) : n;\n",
        "clang-analyzer-core.DivideZero": "    if (n == 0) {\n        n = 3 / n;\n    }\n",
        "clang-analyzer-core.NullDereference":
            "    int *p = n > 1 ? &n : 0;\n    if (p == 0) {\n        n = *p;\n    }\n",
        "clang-analyzer-deadcode.DeadStores": "    int k = n;\n    k = 3;\n",
    }
    CPPCHECK = {
        "arrayIndexOutOfBounds": "    int a[3] = {1, 2, 3};\n    n = a[3];\n",
        "nullPointer": "    int *p = 0;\n    n = *p;\n",
        "zerodiv": "    int k = 0;\n    n = n / k;\n",
    }

    def code(self, body):
        return SPDX + "int f(int n);\nint f(int n)\n{\n" + body + "    return n;\n}\n"

    def each(self, gate, bodies):
        tree = self.tree({f"base/bad{i}.c": self.code(b) for i, b in enumerate(bodies.values())})
        names = ["base/good.c"] + [f"base/bad{i}.c" for i in range(len(bodies))]

        def compiled(files):
            tree.write("build/gcc/compile_commands.json", json.dumps(
                [{"directory": tree.at("build/gcc"), "file": "../../" + n,
                  "command": f"gcc -I../.. -c ../../{n}"} for n in files]))
        compiled(names[:1])
        self.passes(tree, gate)
        compiled(names)
        rc, out = run("tools/analyse", gate, "build/gcc", cwd=tree.path)
        self.assertNotEqual(rc, 0)
        for i, name in enumerate(bodies):
            self.assertRegex(out, rf"base/bad{i}\.c:.*\[{name}")
        self.bites(tree, gate, "base/bad")
        compiled([])
        self.bites(tree, gate)

    def test_clang_tidy(self):
        self.each("clang-tidy", self.TIDY)

    def test_cppcheck(self):
        self.each("cppcheck", self.CPPCHECK)


class Documents(GateCase):
    """Gates that compare what the tree says with what its programs and its bytes say."""

    def copies(self, *patterns):
        files = {}
        for pattern in patterns:
            for path in glob.glob(os.path.join(ROOT, pattern)):
                with open(path, encoding="utf-8") as f:
                    files[os.path.relpath(path, ROOT)] = f.read()
        return self.tree(files)

    def edit(self, tree, name, old, new):
        with open(tree.at(name), encoding="utf-8") as f:
            text = f.read()
        self.assertIn(old, text)
        tree.write(name, text.replace(old, new, 1))

    def docs_tree(self):
        tree = self.copies("docs/*.md", "docs/wire/*.md", "tests/tools/print_states.c")
        os.makedirs(tree.at("build/gcc/tests/tools"))
        os.symlink(ROOT + "/build/gcc/tests/tools/print_states",
                   tree.at("build/gcc/tests/tools/print_states"))
        for folder in ("dht", "gossip", "exec", "node"):
            os.makedirs(tree.at(folder))
        return tree

    def test_docs(self):
        tree = self.docs_tree()
        self.passes(tree, "docs")
        self.edit(tree, "docs/states.md", "| ", "| not ")
        self.bites(tree, "docs", "out of date: docs/states.md;")
        tree = self.docs_tree()
        self.edit(tree, "docs/wire/gossip.md", "\n\n", "\n\nOne more sentence.\n\n")
        self.bites(tree, "docs", "out of date: docs/wire.md;")
        tree = self.docs_tree()
        tree.write("dht/new.c", SPDX + "const struct sm_table dht_new_table = {0};\n")
        self.bites(tree, "docs", "dht/new.c: dht_new_table is not in tests/tools/print_states.c")

    def test_golden(self):
        def tests():
            return self.copies("tests/system/test_golden.py", "tests/unit/*.c")
        self.passes(tests(), "golden")
        # a map {1: 7}, written with a length that is not the shortest
        for planted, said in (("b80101" + "07", "not canonical"), ("a10107" + "00", "bytes after"),
                              ("a1613107", "is not an instance of"), ("a101", "premature end")):
            tree = tests()
            with open(tree.at("tests/unit/dht_wire.c"), "a", encoding="utf-8") as f:
                f.write(f'static const char golden_more[] = "{planted}";\n')
            self.bites(tree, "golden", said)
        tree = tests()
        tree.write("tests/unit/dht_wire.c", SPDX)
        self.bites(tree, "golden", "dht_wire: fewer golden items than before")


class Worlds(GateCase):
    """The scenarios and the simulation, linked with one function of a core replaced by a bug."""

    FAULTS = {
        "deaf": "int __wrap_gossip_recv(void);\nint __wrap_gossip_recv(void) { return 0; }\n",
        "hidden": "#include <stdint.h>\nuint64_t __real_rng_below(void *r, uint64_t n);\n"
                  "uint64_t __wrap_rng_below(void *r, uint64_t n);\n"
                  "uint64_t __wrap_rng_below(void *r, uint64_t n)\n{\n"
                  "    static uint64_t calls;\n"
                  "    return (__real_rng_below(r, n) + calls++ / 64) % n;\n}\n",
    }

    def program(self, tree, target, fault=None, wrapped=None):
        """The program as build/gcc links it, and with a fault; returns its path."""
        rc, out = run("ninja", "-C", "build/gcc", "-t", "commands", target)
        self.assertEqual(rc, 0, out)
        words = shlex.split(out.strip().split("\n")[-1].removeprefix("ccache "))
        made = tree.at((fault or "sound") + "_" + os.path.basename(target))
        words[words.index("-o") + 1] = made
        if fault:
            tree.write(fault + ".c", self.FAULTS[fault])
            words += [tree.at(fault + ".c"), f"-Wl,--wrap={wrapped}"]
        rc, out = run(*words, cwd=ROOT + "/build/gcc")
        self.assertEqual(rc, 0, out)
        return made

    def world(self, tree, suite, program, *arguments):
        """A tree with one test in the suite."""
        tree.write("meson.build", "project('w', 'c')\ntest('it', find_program('" + program + "'), "
                   f"args: {list(arguments)}, suite: '{suite}')\n")
        shutil.rmtree(tree.at("build"), ignore_errors=True)
        rc, out = run("meson", "setup", "build/gcc", cwd=tree.path)
        self.assertEqual(rc, 0, out)

    def test_same_trace(self):
        """Programs that print what `sim` prints: the traces of two compilers, equal or not."""
        lines = "#!/bin/sh\nfor s in 40 41 42; do echo \"seed $s: ok trace {}$s\"; done\n"
        tree = self.tree()
        for build in ("gcc", "clang"):
            for program in ("sim", "sim_large"):
                name = f"build/{build}/tests/sim/{program}"
                tree.write(name, lines.format("a"))
                os.chmod(tree.at(name), 0o755)
        self.passes(tree, "same-trace")
        tree.write("build/clang/tests/sim/sim_large", lines.format("b"))
        self.bites(tree, "same-trace", "trace a40", "trace b40")
        tree.write("build/gcc/tests/sim/sim", "#!/bin/sh\nexit 0\n")
        self.bites(tree, "same-trace")

    def test_scenario(self):
        tree = self.tree()
        trace = ROOT + "/tests/scenario/crash.trace"
        self.world(tree, "scenario", self.program(tree, "tests/scenario/scenario_crash"), trace)
        self.passes(tree, "scenario")
        shutil.copy(trace, tree.at("crash.trace"))
        with open(tree.at("crash.trace"), "a", encoding="utf-8") as f:
            f.write("  n1 exec done x12\n")
        self.world(tree, "scenario", tree.at("sound_scenario_crash"), tree.at("crash.trace"))
        self.bites(tree, "scenario", "run_tests: failed: it")
        self.world(tree, "scenario", self.program(
            tree, "tests/scenario/scenario_crash", "deaf", "gossip_recv"), trace)
        self.bites(tree, "scenario", "run_tests: failed: it")

    def test_simulation(self):
        tree = self.tree()
        twice = ("--nodes", "3", "--seed", "7", "--twice")
        self.world(tree, "sim", self.program(tree, "tests/sim/sim"), *twice)
        self.passes(tree, "simulation")
        self.world(tree, "sim", self.program(tree, "tests/sim/sim", "hidden", "rng_below"), *twice)
        self.bites(tree, "simulation", "seed 7: two runs differ")
        self.world(tree, "sim", self.program(tree, "tests/sim/sim", "deaf", "gossip_recv"), *twice)
        self.bites(tree, "simulation", "FAIL", "not all know all")


MESON = """project('gates', 'c')
criterion = dependency('criterion')
plain = get_option('plain_tests')
foreach t : @TESTS@
  by_criterion = t.startswith('criterion')
  exe = executable(t, t + '.c', dependencies: by_criterion ? [criterion] : [],
                   c_args: by_criterion ? [] : ['-DIPX_TEST_PLAIN'])
  test(t, exe, suite: 'unit')
endforeach
"""
PROGRAM = SPDX + '#include "tests/harness.h"\n\n'
LEAK = "static void *volatile kept;\n\nTEST(a, leaks)\n{\n    kept = malloc(77);\n" \
       "    kept = NULL;\n}\n"
PROGRAMS = {
    "criterion_leak": LEAK, "plain_leak": LEAK,
    "overflow": "static volatile int big = 0x7fffffff;\n\nTEST(a, overflows)\n{\n"
                "    big = big + 1;\n}\n",
    "overrun": "static volatile int at = 8;\n\nTEST(a, overruns)\n{\n    char *p = malloc(8);\n"
               "    p[at] = 1;\n    free(p);\n}\n",
    "fine": "TEST(a, fine)\n{\n    CHECK_EQ(1, 1);\n}\n",
}
SILENT = "int main(void)\n{\n    return 0;\n}\n"
NOTHING = '#include <stdio.h>\nint main(void)\n{\n    fputs("[====] Synthesis: Tested: 0 |\\n"' \
          ", stderr);\n    return 0;\n}\n"


class Runners(GateCase):
    def project(self, programs):
        tree = self.tree({"meson.build": MESON.replace("@TESTS@", str(sorted(programs)))})
        tree.write("meson_options.txt", "option('plain_tests', type: 'boolean', value: false)\n")
        shutil.copy(ROOT + "/tests/harness.h", tree.at("tests/harness.h"))
        for name, text in programs.items():
            tree.write(name + ".c", text)
        return tree

    def failed(self, out):
        return set(re.search(r"run_tests: failed:(.*)", out).group(1).split())

    def test_sanitizers(self):
        tree = self.project({n: PROGRAM + t for n, t in PROGRAMS.items()})
        rc, out = tree.check("gcc", "unit")
        self.assertEqual(rc, 0, "without sanitizers nothing is seen: " + out)
        rc, out = tree.check("san-build", "san-unit")
        self.assertIn("1 passed, 1 failed", out)
        self.assertEqual(self.failed(out),
                         {"criterion_leak", "plain_leak", "overflow", "overrun"}, out)

    def test_a_run_of_no_test(self):
        for text, said in ((SILENT, "0 of them say"), (NOTHING, "0 of them say")):
            tree = self.project({"a": text})
            rc, out = tree.check("gcc", "unit")
            self.assertIn("1 passed, 1 failed", out)
            self.assertIn(said, out)
        tree = self.project({})
        self.assertIn("1 passed, 1 failed", tree.check("gcc", "unit")[1])

    def test_fuzz(self):
        head = SPDX + "#include <stdint.h>\n#include <stdlib.h>\n\n" \
            "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)\n{\n"
        crash = "    if (size > 1 && data[0] == 'I' && data[1] == 'P') {\n        abort();\n    }\n"
        tree = self.tree({
            "meson.build": "project('f', 'c')\nadd_project_arguments('-fsanitize=fuzzer-no-link', "
                           "language: 'c')\nsubdir('tests/fuzz')\n",
            "meson_options.txt": "option('fuzzing', type: 'boolean', value: false)\n"
                                 "option('plain_tests', type: 'boolean', value: false)\n",
            "tests/fuzz/meson.build": "fuzz_targets = [\n  'bad',\n  'good',\n]\nexes = []\n"
                                      "foreach n : fuzz_targets\nexes += executable('fuzz_' + n, "
                                      "'fuzz_' + n + '.c', link_args: '-fsanitize=fuzzer')\n"
                                      "endforeach\nalias_target('fuzz', exes)\n",
            "tests/fuzz/fuzz_bad.c": head + crash + "    return 0;\n}\n",
            "tests/fuzz/fuzz_good.c": head + "    return data == NULL && size > 0;\n}\n",
            "tests/fuzz/corpus/bad/x": "IQ", "tests/fuzz/corpus/good/x": "a"})
        rc, out = run("tools/fuzz", "--seconds", "1", "good", cwd=tree.path)
        self.assertEqual(rc, 0, out)
        rc, out = run("tools/fuzz", "--seconds", "5", cwd=tree.path)
        self.assertEqual(rc, 1, out)
        self.assertIn("fuzz: bad FAILED", out)
        self.assertRegex(out, "replay: build/fuzz/tests/fuzz/fuzz_bad build/fuzz/findings/bad-")
        self.assertIn("fuzz: good: ", out)
        self.assertTrue(os.listdir(tree.at("build/fuzz/findings")))
        self.assertEqual(os.listdir(tree.at("tests/fuzz/corpus/bad")), ["x"])
        self.assertEqual(run("tools/fuzz", "nothing", cwd=tree.path)[0], 2)

    def test_fuzz_reaches_every_decoder(self):
        tree = self.tree({"node/parts.h": SPDX + "void admission_recv(void);\n",
                          "base/x.h": SPDX + "int x_decode(int a);\n",
                          "log": "COVERED_FUNC: hits: 3 edges: 1/2 x_decode /x.c:1\n"})
        reach = ("/usr/bin/python3", "tools/fuzz_reach.py")
        self.assertEqual(run(*reach, "log", cwd=tree.path)[0], 0)
        tree.write("dht/y.h", SPDX + "int y_parse(int a);\nvoid dht_tick(void);\n")
        rc, out = run(*reach, "log", cwd=tree.path)
        self.assertEqual(rc, 1)
        for name in ("y_parse", "dht_tick"):
            self.assertIn(f"dht/y.h: no fuzz target reaches {name}", out)
        tree.write("log", "COVERED_FUNC: hits: 3 edges: 1/2 admission_recv /x.c:1\n")
        self.assertIn("no longer needed", run(*reach, "log", cwd=tree.path)[1])
        tree.write("log", "no coverage\n")
        self.assertNotEqual(run(*reach, "log", cwd=tree.path)[0], 0)

    def test_system(self):
        tree = self.tree({"t.sh": "#!/bin/sh\nip -o link | grep -c . | grep -qx 1 && exit 3\n"})
        rc, out = run("sh", "-c", "chmod +x t.sh && exec tools/system ./t.sh", cwd=tree.path)
        self.assertEqual(rc, 3, "the test's own status, in a namespace with loopback alone: " + out)


if __name__ == "__main__":
    unittest.main()
