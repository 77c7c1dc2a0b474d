#!/usr/bin/env python3
"""Who may include whom: the layers of ARCHITECTURE.md, held mechanically.

Paths are always from the root, so an include line alone says which layer it reaches into; the first folder of the including
file says which layers it may reach. The engine may name only system headers that bring no world with them (the purity check
proves the same of the compiled archive). The log and the server reach the kernel through wal/io.h alone, so that they run
unchanged on a simulated world. The installed client headers may name standard headers and each other alone, for they must
compile where nothing of this tree is.

    check_includes.py ROOT
"""
import pathlib
import re
import sys

import source_tree

# Folder -> what its files may include, as path prefixes. The longest matching folder counts; tests may include anything.
MAY_INCLUDE = {
    "engine/base/": ("engine/base/",),
    "engine/": ("engine/",),
    "wal/": ("wal/", "engine/base/"),
    "net/": ("net/", "wal/", "engine/"),
    "tools/": ("tools/", "bench/", "net/", "wal/", "engine/"),
    "bench/": ("bench/", "tools/", "net/", "wal/", "engine/"),
    "tests/": ("",),
}
PUBLIC = "net/include/innkeep/"

# Where the kernel is only reached through wal/io.h, but for the files that implement it; and what leads around it.
BEHIND_THE_DOOR = re.compile(r"(wal/(?!io[_.])|net/server/|net/[^/]*$)")
AROUND_THE_DOOR = re.compile(
    r"(unistd|fcntl|dirent|poll|liburing|netdb|time|sys/(socket|un|stat|file|epoll|eventfd|ioctl|random|time|syscall|sendfile))\.h"
    r"|(netinet|arpa|linux)/.*")

# Headers of the language that reach neither the heap nor the world; string.h for mem* and str*.
PURE_HEADERS = {"assert.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "string.h", "xxhash.h"}
# How a broken contract is reported is the one file of engine/ that is not part of the pure archive.
NOT_PURE = {"engine/base/contract_stderr.c"}

STANDARD_HEADERS = {
    "assert.h", "complex.h", "ctype.h", "errno.h", "fenv.h", "float.h", "inttypes.h", "iso646.h", "limits.h", "locale.h",
    "math.h", "setjmp.h", "signal.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
    "stdio.h", "stdlib.h", "stdnoreturn.h", "string.h", "tgmath.h", "threads.h", "time.h", "uchar.h", "wchar.h", "wctype.h",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>|(\S+))')


def rule_of(path):
    """The folder of MAY_INCLUDE that governs this file, or None."""
    folders = [folder for folder in MAY_INCLUDE if path.startswith(folder)]
    return max(folders, key=len, default=None)


def quoted_problem(root, path, name):
    if name.startswith((".", "/")) or "/./" in name or "/../" in name:
        return "a relative or absolute path; name it from the root"
    if path.startswith(PUBLIC):
        return "an installed header may include standard headers and <innkeep/...> alone"
    if not (root / name).is_file():
        return "no such file from the root"
    rule = rule_of(path)
    if rule is not None and not name.startswith(MAY_INCLUDE[rule]):
        return f"{rule} may not include {name.rsplit('/', 1)[0]}/"
    return None


def angled_problem(root, path, name):
    if path.startswith(PUBLIC):
        own = name.startswith("innkeep/") and (root / "net/include" / name).is_file()
        return None if own or name in STANDARD_HEADERS else "not a standard header"
    if path.startswith("engine/") and path not in NOT_PURE and name not in PURE_HEADERS:
        return "the engine is pure: this header belongs to the world"
    if BEHIND_THE_DOOR.match(path) and AROUND_THE_DOOR.fullmatch(name):
        return "a way around wal/io.h, the one door to the kernel"
    if path.startswith("wal/") and name.startswith("innkeep/"):
        return "wal/ may not include the client library"
    if "/" in name and (root / name).is_file():
        return "a file of this project; use quotes"
    return None


def violations_in(root, path):
    text = (root / path).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, angled, computed = match.groups()
        if computed is not None:
            problem = "an include that only the preprocessor can resolve"
        elif quoted is not None:
            problem = quoted_problem(root, path, quoted)
        else:
            problem = angled_problem(root, path, angled)
        if problem:
            yield f"{path}:{number}: {line.strip()}: {problem}"


def check(root):
    """Returns the violations below root, one line each."""
    root = pathlib.Path(root)
    found = []
    for path in source_tree.files(root):
        if source_tree.is_code(path):
            found.extend(violations_in(root, path.as_posix()))
    return found


if __name__ == "__main__":
    sys.exit(source_tree.report("includes", check(sys.argv[1])))
