#!/usr/bin/env python3
"""Every C and C++ file is as clang-format leaves it. Exit 77 (skipped) where clang-format is not installed.

    check_format.py ROOT [CLANG-FORMAT]
"""
import pathlib
import shutil
import subprocess
import sys

import source_tree

SKIPPED = 77


def check(root, clang_format):
    """Returns clang-format's complaints about the files below root, one line each."""
    root = pathlib.Path(root)
    paths = [str(path) for path in source_tree.files(root) if source_tree.is_code(path)]
    if not paths:
        return []
    run = subprocess.run([clang_format, "--style=file", "--dry-run", "-Werror", *paths],
                         cwd=root, capture_output=True, text=True, check=False)
    complaints = [line for line in run.stderr.splitlines() if ": error:" in line]
    if run.returncode != 0 and not complaints:
        complaints = [run.stderr.strip() or "clang-format failed"]
    return complaints


if __name__ == "__main__":
    CLANG_FORMAT = sys.argv[2] if len(sys.argv) > 2 else shutil.which("clang-format")
    if not CLANG_FORMAT or not shutil.which(CLANG_FORMAT):
        print("format: skipped, clang-format is not installed (tools/setup --lint)")
        sys.exit(SKIPPED)
    sys.exit(source_tree.report("format", check(sys.argv[1], CLANG_FORMAT)))
