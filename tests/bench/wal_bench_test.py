#!/usr/bin/env python3
"""innkeep-wal-bench: that it measures what it says, leaves nothing behind, and says what is wrong with its arguments.

How fast anything is is not judged here: the machine may be busy.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

DONE, REFUSED, USAGE = 0, 1, 2
TIMEOUT_S = 120
QUICK = ["--rounds", "3", "--seconds", "0.1", "--segment", "1", "--ready", "2"]
arguments = None


class WalBench(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=arguments.scratch)
        self.addCleanup(self.folder.cleanup)

    def run_bench(self, *options, directory=None):
        return subprocess.run([arguments.wal_bench, "--directory", directory or self.folder.name, *options],
                              capture_output=True, text=True, timeout=TIMEOUT_S)

    def test_each_lane_is_measured_and_nothing_stays(self):
        done = self.run_bench("--size", "16", "--json", *QUICK)
        self.assertEqual(done.returncode, DONE, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([cell["depth"] for cell in report["cells"]], [1, 2, 4])
        for cell in report["cells"]:
            self.assertEqual(cell["frame_size"], 16384)
            self.assertLessEqual(cell["depth_highest"], cell["depth"])
            self.assertGreaterEqual(cell["segments"], 1)
            ratios = []
            for raw, log in zip(cell["raw"]["rounds_frames_per_second"], cell["log"]["rounds_frames_per_second"]):
                self.assertGreater(raw, 0)
                self.assertGreater(log, 0)
                ratios.append(log / raw)
            self.assertEqual(len(ratios), 3)
            self.assertAlmostEqual(cell["log_to_raw"], sorted(ratios)[1], places=5)
            for lane in (cell["raw"], cell["log"]):
                self.assertLessEqual(lane["p50_us"], lane["p99_us"])
                self.assertLessEqual(lane["p999_us"], lane["max_us"])
                self.assertAlmostEqual(lane["bytes_per_second"], lane["frames_per_second"] * 16384, delta=16384)
        self.assertEqual(report["lowest_log_to_raw"], min(cell["log_to_raw"] for cell in report["cells"]))
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_the_text_names_the_lowest(self):
        done = self.run_bench("--size", "4", "--depth", "2", *QUICK)
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertRegex(done.stdout, r"4 K +2 .* %")
        self.assertRegex(done.stdout, r"lowest: +[0-9.]+ %")

    def test_wrong_arguments_are_named(self):
        for options, complaint in ((["--size", "5"], "none of 4, 16, 64 and 256"), (["--depth", "3"], "none of 1, 2"),
                                   (["--record", "33"], "multiple of 8"), (["--rounds", "0"], "--rounds"),
                                   (["nonsense"], "nonsense")):
            done = self.run_bench(*options)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(complaint, done.stderr)

    def test_a_directory_that_is_missing_is_named(self):
        done = self.run_bench(*QUICK, directory=self.folder.name + "/missing")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("missing", done.stderr)

    def test_an_interrupt_leaves_nothing_behind(self):
        running = subprocess.Popen([arguments.wal_bench, "--directory", self.folder.name, "--rounds", "100", *QUICK[2:]],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + TIMEOUT_S
        while not os.listdir(self.folder.name) and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, complaint = running.communicate(timeout=TIMEOUT_S)
        self.assertEqual(running.returncode, REFUSED)
        self.assertIn("interrupted", complaint)
        self.assertEqual(os.listdir(self.folder.name), [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--wal-bench", required=True)
    parser.add_argument("--scratch", required=True)
    arguments, rest = parser.parse_known_args()
    os.makedirs(arguments.scratch, exist_ok=True)
    unittest.main(argv=[sys.argv[0], *rest])
