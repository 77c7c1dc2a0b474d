#!/usr/bin/env python3
"""Every test that ctest knows has a time limit (its own TIMEOUT, or the build's) and a name that begins with its
folder.

    check_ctest.py CTEST BUILD-FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys

import source_tree

NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
TIME_LIMIT_MAX = 600  # seconds; the whole run has 20 minutes


def default_limit(build):
    """The limit of a test that sets none, in seconds; None if there is no such limit."""
    configuration = pathlib.Path(build) / "DartConfiguration.tcl"
    if not configuration.exists():
        return None
    match = re.search(r"^TimeOut: *(\d+)$", configuration.read_text(encoding="utf-8"), re.MULTILINE)
    return float(match.group(1)) if match else None


def violations_of(test, default):
    name = test["name"]
    properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
    if not NAME.fullmatch(name):
        yield f"{name}: not of the form folder.name"
    limit = properties.get("TIMEOUT", default)
    if limit is None:
        yield f"{name}: no TIMEOUT, and the build has none either"
    elif not 0 < limit <= TIME_LIMIT_MAX:
        yield f"{name}: TIMEOUT {limit} is not within 1..{TIME_LIMIT_MAX} s"


def check(ctest, build):
    """Returns the violations of the tests of a build folder, one line each."""
    listing = subprocess.run([ctest, "--show-only=json-v1"], cwd=build, check=True, capture_output=True, text=True).stdout
    default = default_limit(build)
    return [violation for test in json.loads(listing)["tests"] for violation in violations_of(test, default)]


if __name__ == "__main__":
    _, CTEST, BUILD = sys.argv
    sys.exit(source_tree.report("ctest", check(CTEST, BUILD)))
