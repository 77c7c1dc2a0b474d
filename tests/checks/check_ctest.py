#!/usr/bin/env python3
"""Every test that ctest knows has a time limit, a name that begins with its folder, and a program that is there.

    check_ctest.py CTEST BUILD-FOLDER
"""
import json
import re
import subprocess
import sys

import source_tree

NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
TIME_LIMIT_MAX = 600  # seconds; the whole run has 20 minutes


def violations_of(test):
    name = test["name"]
    properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
    if not NAME.fullmatch(name):
        yield f"{name}: not of the form folder.name"
    limit = properties.get("TIMEOUT")
    if limit is None:
        yield f"{name}: no TIMEOUT"
    elif not 0 < limit <= TIME_LIMIT_MAX:
        yield f"{name}: TIMEOUT {limit} is not within 1..{TIME_LIMIT_MAX} s"
    if not test.get("command"):
        yield f"{name}: no program to run"


def check(ctest, build):
    """Returns the violations of the tests of a build folder, one line each."""
    listing = subprocess.run([ctest, "--show-only=json-v1"], cwd=build, check=True, capture_output=True, text=True).stdout
    return [violation for test in json.loads(listing)["tests"] for violation in violations_of(test)]


if __name__ == "__main__":
    _, CTEST, BUILD = sys.argv
    sys.exit(source_tree.report("ctest", check(CTEST, BUILD)))
