#!/usr/bin/env python3
"""The tree as a whole: scripts parse and can be run, nothing names a place on the net to download from, text is text.

Fails for a shell script that bash cannot parse, a script without its run bit, a web address in anything that runs, CRLF or a
missing last newline, a file over 1 MB, and a function past seventy lines. Warns of a source file past 800 lines, which usually
holds two concepts.

    check_tree.py ROOT
"""
import os
import pathlib
import re
import subprocess
import sys

import source_tree

LINES_MAX = 800
FUNCTION_LINES_MAX = 70
BYTES_MAX = 1_000_000
LAYERS = ("engine/", "wal/", "net/", "tools/", "bench/")

# Packages come from wherever the machine's own configuration says.
WEB_ADDRESS = re.compile(r"\b(?:https?|ftp|git)://(?!127\.|localhost\b)\S+")


def is_script(text):
    return text.startswith("#!")


def is_shell(text):
    return is_script(text) and re.match(r"#!\s*\S*(?:/| )(?:env +)?(?:ba)?sh\b", text) is not None


def runs(path, text):
    """True for what is executed when the project is set up, built or tested."""
    return is_script(text) or path.name == "CMakeLists.txt" or path.suffix in {".cmake", ".sh"}


def text_violations(path, text):
    if "\r" in text:
        yield f"{path}: carriage returns"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at its end"
    for number, line in enumerate(text.splitlines(), start=1):
        if runs(path, text) and WEB_ADDRESS.search(line):
            yield f"{path}:{number}: a web address in something that runs"


def script_violations(root, path, text):
    if is_script(text) and path.suffix != ".py" and not os.access(root / path, os.X_OK):
        yield f"{path}: a script without its run bit"
    if is_shell(text) or path.suffix == ".sh":
        parsed = subprocess.run(["bash", "-n", str(root / path)], capture_output=True, text=True, check=False)
        if parsed.returncode != 0:
            yield f"{path}: {parsed.stderr.strip()}"


def function_violations(path, text):
    """A function's body lies between braces in the first column: .clang-format sees to that."""
    lines = text.splitlines()
    opened = None
    for number, line in enumerate(lines, start=1):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            length = number - opened - 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{opened}: {lines[opened - 2].strip()}: a function of {length} lines"
            opened = None


def check(root):
    """Returns the violations and the warnings below root, one line each."""
    root = pathlib.Path(root)
    violations, warnings = [], []
    for path in source_tree.files(root):
        content = (root / path).read_bytes()
        if len(content) > BYTES_MAX:
            violations.append(f"{path}: {len(content)} bytes")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            continue  # bytes kept for a test
        violations.extend(text_violations(path, text))
        violations.extend(script_violations(root, path, text))
        if source_tree.is_code(path):
            violations.extend(function_violations(path, text))
        lines = text.count("\n")
        if lines > LINES_MAX and source_tree.is_code(path) and path.as_posix().startswith(LAYERS):
            warnings.append(f"{path}: {lines} lines; does it hold two concepts?")
    return violations, warnings


if __name__ == "__main__":
    VIOLATIONS, WARNINGS = check(sys.argv[1])
    for warning in WARNINGS:
        print("warning:", warning)
    sys.exit(source_tree.report("tree", VIOLATIONS))
