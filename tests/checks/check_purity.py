#!/usr/bin/env python3
"""The engine's archive reaches nothing but memory: no clock, file, socket, thread, heap, lock or random number.

Reads the archive's undefined symbols with nm and holds them against an allow-list, so that a new dependency has to be argued for
here. What instrumented builds add (sanitizers, gcov) is allowed by prefix, for it is not the engine's own doing.

    check_purity.py NM ARCHIVE
"""
import re
import subprocess
import sys

import source_tree

ALLOWED = {
    # Bytes and strings in the caller's memory.
    "memchr", "memcmp", "memcpy", "memmove", "memset", "bcmp", "strcmp", "strlen", "strncmp", "strnlen",
    # The same, as _FORTIFY_SOURCE spells them.
    "__memcpy_chk", "__memmove_chk", "__memset_chk", "__strlen_chk",
    # How a broken contract ends the process, and how the compiler's own contract does.
    "contract_broken", "__stack_chk_fail",
    # The linker's.
    "_GLOBAL_OFFSET_TABLE_",
}
ALLOWED_PATTERNS = [
    re.compile(r"__(asan|ubsan|tsan|sanitizer|gcov|llvm_profile)_\w+"),
    re.compile(r"__(popcount|clz|ctz|ffs|parity|bswap)[dst]i2"),  # libgcc: bit counting
    re.compile(r"__(u?div|u?mod|u?divmod|mul|ashl|ashr|lshr)ti[34]"),  # libgcc: 128-bit integers
]


def undefined_symbols(nm, archive):
    """The symbols that the archive uses and does not define itself."""
    listing = subprocess.run([nm, "--format=posix", archive], check=True, capture_output=True, text=True).stdout
    used, defined = set(), set()
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) < 2 or len(fields[1]) != 1:
            continue  # the name of a member
        (used if fields[1] in "Uw" else defined).add(fields[0])
    if not defined:
        raise SystemExit(f"{archive}: no symbols; is it the engine?")
    return used - defined


def check(nm, archive):
    """Returns the symbols that the allow-list does not hold."""
    return sorted(
        symbol for symbol in undefined_symbols(nm, archive)
        if symbol not in ALLOWED and not any(pattern.fullmatch(symbol) for pattern in ALLOWED_PATTERNS)
    )


if __name__ == "__main__":
    _, NM, ARCHIVE = sys.argv
    sys.exit(source_tree.report("purity", [f"{ARCHIVE} reaches {symbol}" for symbol in check(NM, ARCHIVE)]))
