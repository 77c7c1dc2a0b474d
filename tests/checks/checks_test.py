#!/usr/bin/env python3
"""A check that cannot fail proves nothing: each is run on a small tree that breaks it, and on one that does not.

    CC=gcc AR=ar NM=nm CTEST=ctest CLANG_FORMAT=clang-format checks_test.py
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import check_ctest
import check_format
import check_includes
import check_purity
import check_tree

# In two parts, so that the check does not find it here.
ADDRESS = "https:" + "//example.org"


class InTemporaryTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, path, text, mode=0o644):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def assert_one(self, violations, *words):
        self.assertEqual(len(violations), 1, violations)
        for word in words:
            self.assertIn(word, violations[0])


class Includes(InTemporaryTree):
    def setUp(self):
        super().setUp()
        for path in ("engine/base/units.h", "engine/lease.h", "wal/log.h", "net/protocol.h", "net/include/innkeep/innkeep.h",
                     "tools/arguments.h"):
            self.write(path, "#include <stdint.h>\n")

    def include(self, path, what):
        self.write(path, f"/* A file. */\n#include {what}\n")
        return check_includes.check(self.root)

    def test_each_layer_may_include_those_below(self):
        allowed = [
            ("engine/lease.c", '"engine/base/units.h"'), ("wal/log.c", '"engine/base/units.h"'),
            ("wal/reader.c", '"wal/log.h"'), ("net/a.c", '"engine/lease.h"'), ("net/b.c", '"wal/log.h"'),
            ("net/client/c.c", '"net/protocol.h"'), ("net/client/d.c", "<innkeep/innkeep.h>"),
            ("tools/e.c", '"net/protocol.h"'), ("bench/f.c", '"tools/arguments.h"'), ("tests/g.cc", '"wal/log.h"'),
            ("engine/h.c", "<string.h>"), ("engine/base/contract_stderr.c", "<stdio.h>"), ("wal/i.c", "<sys/uio.h>"),
        ]
        for path, what in allowed:
            with self.subTest(path=path, what=what):
                self.assertEqual(self.include(path, what), [])

    def test_no_layer_may_include_those_above(self):
        forbidden = [
            ("engine/lease.c", '"wal/log.h"'), ("engine/lease.c", '"net/protocol.h"'), ("engine/base/x.c", '"engine/lease.h"'),
            ("wal/log.c", '"engine/lease.h"'), ("wal/log.c", '"net/protocol.h"'), ("wal/log.c", "<innkeep/innkeep.h>"),
            ("net/server/a.c", '"tools/arguments.h"'), ("tools/a.c", '"tests/helper.h"'),
        ]
        self.write("tests/helper.h", "")
        for path, what in forbidden:
            with self.subTest(path=path, what=what):
                self.assert_one(self.include(path, what), f"{path}:2", what)
                (self.root / path).unlink()

    def test_a_path_that_is_not_from_the_root_is_refused(self):
        for what in ('"../engine/lease.h"', '"./lease.h"', '"lease.h"', '"/usr/include/stdio.h"', '"engine/../wal/log.h"'):
            with self.subTest(what=what):
                self.assert_one(self.include("engine/x.c", what), "engine/x.c:2")

    def test_an_include_hidden_behind_a_macro_is_refused(self):
        self.assert_one(self.include("engine/x.c", "SOME_HEADER"), "preprocessor")

    def test_the_engine_may_not_include_the_world(self):
        for what in ("<stdio.h>", "<stdlib.h>", "<time.h>", "<pthread.h>", "<sys/socket.h>", "<math.h>", "<errno.h>"):
            with self.subTest(what=what):
                self.assert_one(self.include("engine/x.c", what), "pure")

    def test_the_log_and_the_server_reach_the_kernel_through_its_door_alone(self):
        for path in ("wal/x.c", "net/x.c", "net/server/x.c"):
            for what in ("<unistd.h>", "<sys/socket.h>", "<liburing.h>", "<time.h>", "<netinet/in.h>"):
                with self.subTest(path=path, what=what):
                    self.assert_one(self.include(path, what), "door")
            self.assertEqual(self.include(path, "<sys/uio.h>"), [])
        for path in ("wal/io_sockets.c", "net/client/x.c", "tools/x.c"):
            with self.subTest(path=path):
                self.assertEqual(self.include(path, "<sys/socket.h>"), [])

    def test_an_installed_header_may_include_standard_headers_alone(self):
        path = "net/include/innkeep/client.h"
        for what in ("<stdint.h>", "<innkeep/innkeep.h>"):
            self.assertEqual(self.include(path, what), [])
        for what in ('"engine/lease.h"', "<liburing.h>", "<sys/uio.h>", "<innkeep/missing.h>"):
            with self.subTest(what=what):
                self.assert_one(self.include(path, what), path)

    def test_what_lies_in_the_build_folder_does_not_count(self):
        self.assertEqual(self.include("build/release/x.c", '"../x.h"'), [])


class Purity(InTemporaryTree):
    def archive_of(self, source, *flags):
        self.write("sample.c", source)
        compiled, archive = self.root / "sample.o", self.root / "libsample.a"
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-fno-builtin", *flags, "-c", "-o", str(compiled),
                        str(self.root / "sample.c")], check=True)
        subprocess.run([os.environ.get("AR", "ar"), "rcs", str(archive), str(compiled)], check=True)
        return check_purity.check(os.environ.get("NM", "nm"), str(archive))

    def test_an_archive_that_only_moves_bytes_is_pure(self):
        self.assertEqual(self.archive_of(
            "#include <string.h>\nvoid contract_broken(void);\nstatic int helper(int x) { return x + 1; }\n"
            "int f(char *to, const char *from) { if (!to) contract_broken(); memcpy(to, from, 9000); return helper(1); }\n"), [])

    def test_an_archive_that_reaches_the_world_is_not(self):
        for call, symbol in (("malloc(1)", "malloc"), ("free(0)", "free"), ("time(0)", "time"), ("rand()", "rand"),
                             ("printf(\"x\")", "printf"), ("pthread_self()", "pthread_self"), ("abort()", "abort"),
                             ("socket(0, 0, 0)", "socket"), ("getenv(\"x\")", "getenv"), ("clock_gettime(0, 0)", "clock_gettime")):
            with self.subTest(call=call):
                self.assertEqual(self.archive_of(f"int f(void);\nint f(void) {{ {call}; return 0; }}\n", "-w"), [symbol])

    def test_instrumentation_is_not_held_against_it(self):
        self.assertEqual(self.archive_of("int f(const int *x); int f(const int *x) { return x[1] + 1; }\n", "-fsanitize=address,undefined"), [])
        self.assertEqual(self.archive_of("int f(int x); int f(int x) { return x; }\n", "--coverage"), [])

    def test_an_empty_archive_is_an_error_and_not_pure(self):
        with self.assertRaises(SystemExit):
            self.archive_of("typedef int nothing;\n")


class Tree(InTemporaryTree):
    def violations(self):
        return check_tree.check(self.root)[0]

    def test_a_tidy_tree_passes(self):
        self.write("tools/run", "#!/usr/bin/env bash\ntrue\n", 0o755)
        self.write("engine/a.c", "/* See " + ADDRESS + "/paper */\n" + "int x;\n" * 799)
        self.assertEqual(check_tree.check(self.root), ([], []))

    def test_a_script_that_does_not_parse_is_found(self):
        self.write("tools/run", "#!/usr/bin/env bash\nif true; then\n", 0o755)
        self.assert_one(self.violations(), "tools/run", "syntax error")

    def test_a_script_without_its_run_bit_is_found(self):
        self.write("tools/run", "#!/usr/bin/env bash\ntrue\n")
        self.assert_one(self.violations(), "run bit")

    def test_a_web_address_in_something_that_runs_is_found(self):
        self.write("tools/CMakeLists.txt", "FetchContent_Declare(x URL " + ADDRESS + "/x.tgz)\n")
        self.assert_one(self.violations(), "web address")

    def test_a_loopback_address_in_a_script_is_fine(self):
        self.write("tools/run", "#!/usr/bin/env bash\necho http://127.0.0.1:9090/metrics\n", 0o755)
        self.assertEqual(self.violations(), [])

    def test_bytes_that_are_not_clean_text_are_found(self):
        self.write("a.md", "no end")
        self.assert_one(self.violations(), "newline")
        (self.root / "a.md").write_bytes(b"windows\r\n")
        self.assert_one(self.violations(), "carriage")

    def test_a_large_file_is_found(self):
        self.write("table.txt", "x\n" * 500_001)
        self.assert_one(self.violations(), "1000002 bytes")

    def test_a_function_past_seventy_lines_is_found(self):
        self.write("engine/a.c", "int f(void)\n{\n" + "    g();\n" * 70 + "}\n")
        self.assertEqual(self.violations(), [])
        self.write("engine/a.c", "struct x {\n" + "    int y;\n" * 90 + "};\n\nint f(void)\n{\n" + "    g();\n" * 71 + "}\n")
        self.assert_one(self.violations(), "engine/a.c:95", "int f(void)", "71")

    def test_a_long_source_is_warned_of(self):
        self.write("engine/a.c", "int x;\n" * 801)
        violations, warnings = check_tree.check(self.root)
        self.assertEqual(violations, [])
        self.assert_one(warnings, "engine/a.c", "801")


class Format(InTemporaryTree):
    def setUp(self):
        super().setUp()
        self.clang_format = shutil.which(os.environ.get("CLANG_FORMAT") or "clang-format")
        if not self.clang_format:
            self.skipTest("clang-format is not installed")
        self.write(".clang-format", "BasedOnStyle: LLVM\n")

    def test_a_formatted_file_passes(self):
        self.write("a.c", "int f(void) { return 1; }\n")
        self.assertEqual(check_format.check(self.root, self.clang_format), [])

    def test_an_unformatted_file_is_found(self):
        self.write("a.c", "int f( void ) { return 1; }\n")
        self.assertTrue(check_format.check(self.root, self.clang_format))

    def test_a_style_that_cannot_be_read_is_not_taken_for_a_pass(self):
        self.write(".clang-format", "NoSuchKey: [\n")
        self.write("a.c", "int f(void) { return 1; }\n")
        self.assertTrue(check_format.check(self.root, self.clang_format))


class Ctest(InTemporaryTree):
    def check(self, text):
        self.write("CTestTestfile.cmake", text)
        return check_ctest.check(os.environ.get("CTEST", "ctest"), self.root)

    def test_a_test_with_a_limit_and_a_folder_passes(self):
        self.assertEqual(self.check('add_test(engine.lease "true")\nset_tests_properties(engine.lease PROPERTIES TIMEOUT "60")\n'), [])

    def test_a_test_without_a_limit_is_found(self):
        self.assert_one(self.check('add_test(engine.lease "true")\n'), "engine.lease: no TIMEOUT")
        self.write("DartConfiguration.tcl", "TimeOut: 120\n")
        self.assertEqual(self.check('add_test(engine.lease "true")\n'), [])

    def test_a_limit_beyond_the_whole_run_is_found(self):
        self.assert_one(self.check('add_test(a.b "true")\nset_tests_properties(a.b PROPERTIES TIMEOUT "5000")\n'), "5000")

    def test_a_name_without_its_folder_is_found(self):
        self.assert_one(self.check('add_test(lease "true")\nset_tests_properties(lease PROPERTIES TIMEOUT "60")\n'), "folder.name")


if __name__ == "__main__":
    unittest.main()
