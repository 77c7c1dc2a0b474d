"""Starts, kills and watches real servers for the integration tests.

Programs are looked for in INNKEEP_BIN (default build/dev/bin). Data goes into throw-away directories below
INNKEEP_TEST_DIR, which has to lie on a file system with O_DIRECT (default: the system's temporary directory). A server
that a test forgets is killed with the test's process. Reports of sanitizers and broken contracts on a server's stderr
fail the test that started it.

Randomised tests draw from `seeded(name)`; all seeds follow from INNKEEP_SEED, which `main` prints with the command that
reruns it.
"""
import ctypes
import hashlib
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import innkeep_client as ink

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("INNKEEP_BIN", SOURCE / "build/dev/bin"))
TEST_DIR = os.environ.get("INNKEEP_TEST_DIR") or tempfile.gettempdir()
SEED = int(os.environ.get("INNKEEP_SEED") or random.SystemRandom().getrandbits(62))
READY = re.compile(r"innkeepd ready listen=(\S+) shards=(\d+) lsn=(\d+(?:,\d+)*)\n")
TROUBLE = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|broken contract")
SMALL = ["--memory", "32M", "--segment-size", "1M"]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def seeded(name):
    """A generator of its own for each purpose, all of them from the one seed."""
    return random.Random(f"{SEED}:{name}")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def tool(name, *arguments, timeout=120, **named):
    """Runs one of Innkeep's programs to its end."""
    return subprocess.run([BIN / name, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **named)


def tool_json(name, *arguments):
    """The objects that a program prints as JSON, and its exit code."""
    done = tool(name, *arguments)
    if TROUBLE.search(done.stderr):
        raise AssertionError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.returncode


def checksums(folder):
    """Of all that a write would change: names, bytes, sizes and times of modification."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(folder))] = (path.stat().st_mtime_ns, content)
    return found


class StartFailed(Exception):
    def __init__(self, code, stderr):
        super().__init__(f"innkeepd ended with {code} before it was ready:\n{stderr}")
        self.code = code
        self.stderr = stderr


class Server:
    """One innkeepd and its data directory; start, kill, stop and start again on the same data.

    `options` come behind the small defaults, so they win; `in_child` is called in the new process just before it
    becomes innkeepd."""

    def __init__(self, *options, shards=2, data=None, defaults=True, wrapper=(), in_child=None):
        self.folder = None
        if data is None:
            self.folder = tempfile.mkdtemp(prefix="innkeep.", dir=TEST_DIR)
            data = pathlib.Path(self.folder) / "data"
        self.data = pathlib.Path(data)
        self.options = [*(SMALL if defaults else []), *map(str, options)]
        if shards is not None:
            self.options += ["--shards", str(shards)]
        self.wrapper = list(wrapper)
        self.in_child = in_child
        self.process = None
        self.output = tempfile.TemporaryFile("w+", dir=TEST_DIR)
        self.address = None
        self.shards = None
        self.lsns = None
        self.ready_line = None
        self.connections = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process:
                self.close_connections()
                self.stop()
            if kind is None:
                self.check_stderr()
        finally:
            self.clean_up()

    def start(self, *more_options, listen="127.0.0.1:0", timeout=60):
        """Starts and waits for the ready line; StartFailed if the process ends before it comes."""
        command = [*self.wrapper, BIN / "innkeepd", "--data", self.data, "--listen", listen, *self.options,
                   *more_options]
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=self.output,
                                        stdin=subprocess.DEVNULL, preexec_fn=self._before_exec)
        line = self._read_line(timeout)
        match = READY.fullmatch(line)
        if not match:
            code = self.process.wait(timeout=60)
            self.forget_process()
            raise StartFailed(code, self.stderr())
        self.ready_line = line
        where = match.group(1)
        if where.startswith("unix:"):
            self.address = where[len("unix:"):]
        else:
            host, port = where.rsplit(":", 1)
            self.address = host.strip("[]"), int(port)
        self.shards = int(match.group(2))
        self.lsns = [int(lsn) for lsn in match.group(3).split(",")]
        return self

    def _before_exec(self):
        die_with_parent()
        if self.in_child:
            self.in_child()

    def _read_line(self, timeout):
        until = time.monotonic() + timeout
        line = b""
        descriptor = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            if not select.select([descriptor], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"innkeepd is not ready after {timeout} s:\n{self.stderr()}")
            piece = os.read(descriptor, 4096)
            if not piece:
                break
            line += piece
        return line.decode()

    def forget_process(self):
        self.process.stdout.close()
        self.process = None

    def send_signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """SIGSTOP, and waits until every thread has stopped: the signal returns before they do."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        until = time.monotonic() + 30
        while any(task.joinpath("stat").read_text().rpartition(")")[2].split()[0] not in "Tt"
                  for task in tasks.iterdir()):
            if time.monotonic() > until:
                raise TimeoutError("innkeepd does not stop on SIGSTOP")
            time.sleep(0.001)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL, as a crash of the process."""
        self.process.kill()
        self.process.wait(timeout=60)
        self.forget_process()

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Asks it to stop, expects it to exit 0."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=timeout)
        self.forget_process()
        if code != 0:
            raise AssertionError(f"innkeepd exits with {code}:\n{self.stderr()}")

    def restart(self, *more_options):
        self.kill()
        return self.start(*more_options)

    def stderr(self):
        self.output.flush()
        with open(f"/proc/self/fd/{self.output.fileno()}", encoding="utf-8", errors="replace") as file:
            return file.read()

    def check_stderr(self):
        text = self.stderr()
        if TROUBLE.search(text):
            raise AssertionError(f"innkeepd reports trouble:\n{text}")

    def close_connections(self):
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def clean_up(self):
        self.close_connections()
        if self.process:
            self.process.kill()
            self.process.wait(timeout=60)
            self.forget_process()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        self.output.close()

    def connect(self, shard=ink.ANY_SHARD, timeout=30):
        """A connection after its HELLO, closed with the server."""
        connection = ink.Connection(self.address, shard=shard, timeout=timeout)
        self.connections.append(connection)
        return connection

    def raw(self, timeout=30):
        connection = ink.RawConnection(self.address, timeout=timeout)
        self.connections.append(connection)
        return connection

    def listen(self):
        return self.address if isinstance(self.address, str) else "%s:%d" % self.address

    def status(self, shard=0, with_hash=False):
        with ink.Connection(self.address) as connection:
            return connection.call(ink.status(shard, with_hash))

    def state_hash(self):
        """Of all shards: the sum of theirs modulo 2^128."""
        hashes = [int.from_bytes(self.status(shard, True).state_hash, "little") for shard in range(self.shards)]
        return sum(hashes) % 2**128

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024


class Hotel:
    """A property made on a server, with room types of so many rooms; its business date is today's day number by
    default."""

    def __init__(self, connection, property=1, rooms=(10,), business_date=None):
        self.property = property
        self.business_date = ink.today() if business_date is None else business_date
        items = [ink.property_create(property, ink.new_key(), self.business_date)]
        items += [ink.room_type_create(property, ink.new_key(), number, count) for number, count in enumerate(rooms, 1)]
        for result in connection.call_many(items):
            if result.status != ink.Status.OK:
                raise AssertionError(result)

    def reserve(self, key=None, room_type=1, offset=0, nights=1, **named):
        return ink.reserve(self.property, key or ink.new_key(), room_type, self.business_date + offset, nights, **named)


def property_of_shard(shard, shards, from_number=1):
    """The smallest property number from `from_number` on that belongs to this shard."""
    number = from_number
    while ink.shard_of(number, shards) != shard:
        number += 1
    return number


class Case(unittest.TestCase):
    """A test with the helpers that all of them use."""

    maxDiff = None

    def serve(self, *options, **named):
        """A server for the length of this test."""
        server = Server(*options, **named)
        self.enterContext(server)
        return server

    def expect(self, result, status, **fields):
        self.assertEqual(result.status, status, result)
        for name, value in fields.items():
            self.assertEqual(getattr(result, name), value, f"{name} of {result}")
        return result

    def eventually(self, condition, what, timeout=20, pause=0.02):
        until = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > until:
                self.fail(f"{what}: not within {timeout} s")
            time.sleep(pause)


def main(module="__main__"):
    """unittest.main, with the seed and the way to run it again. Exits 77 where every test was skipped, as ctest is
    told."""
    name = pathlib.Path(sys.modules[module].__file__).name
    print(f"seed {SEED}; again: INNKEEP_BIN={BIN} INNKEEP_SEED={SEED} /usr/bin/python3 tests/integration/{name}",
          file=sys.stderr, flush=True)
    result = unittest.main(module=module, verbosity=2, exit=False).result
    all_skipped = result.testsRun > 0 and len(result.skipped) == result.testsRun
    sys.exit(1 if not result.wasSuccessful() else 77 if all_skipped else 0)
