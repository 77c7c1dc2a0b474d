#!/usr/bin/env python3
"""The server's command line and its directories: what it says when it is ready, why it refuses to start, how it
stops."""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import xxhash

import innkeep_client as ink
from innkeep_client import State, Status
from server import (BIN, LIBC, SMALL, TEST_DIR, Case, Hotel, Server, StartFailed, checksums, main, seeded, tool,
                    tool_json)

BLOCK = 4096
NOBODY = 65534
FLIPS = 6
META = struct.Struct("<8sII16sQQ")
IO_URING_SETUP = 425  # the same number on every architecture
ENOSYS = 38


def frames_of(path):
    """(offset, size, index, durable index, payload size) of each frame of a segment, by FORMAT.md's frame header."""
    data = path.read_bytes()
    at = 2 * BLOCK
    while data[at:at + 4] == b"IFRM":
        size, payload_size = struct.unpack_from("<II", data, at + 8)
        index, = struct.unpack_from("<Q", data, at + 40)
        durable, = struct.unpack_from("<Q", data, at + 72)
        yield at, size, index, durable, payload_size
        at += size


def segments_of(data, shard=0):
    return sorted((data / f"shard-{shard:03}").glob("*.wal"))


def flip(path, offset, bit=0):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def forbid_io_uring():
    """In a child before exec: a seccomp filter under which io_uring_setup does not exist."""
    instructions = [(0x20, 0, 0, 0),  # load the system call's number
                    (0x15, 0, 1, IO_URING_SETUP), (0x06, 0, 0, 0x00050000 | ENOSYS), (0x06, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("<HBBI", *each) for each in instructions)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(buffer)))
    if LIBC.prctl(38, 1, 0, 0, 0) != 0 or LIBC.prctl(22, 2, header, 0, 0) != 0:
        os._exit(99)


class Commands(Case):
    def folder(self):
        return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="innkeep.", dir=TEST_DIR)))

    def expect_refusal(self, *words, code=1, listen="127.0.0.1:0", start_options=(), **named):
        """A start that has to fail with this exit code, soon and without a ready line, saying these words on stderr."""
        server = Server(**named)
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        with self.assertRaises(StartFailed) as caught:
            server.start(*start_options, listen=listen)
        said = caught.exception.stderr
        self.assertEqual(caught.exception.code, code, said)
        for word in words:
            self.assertRegex(said, re.compile(word, re.IGNORECASE))
        server.check_stderr()
        return said


class CommandLine(Commands):
    def test_the_ready_line_is_all_that_stdout_ever_says(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen([BIN / "innkeepd", "--data", self.folder() / "d", "--listen", f"127.0.0.1:{port}",
                                    "--shards", "2",
                                    *SMALL], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertRegex(line, rf"\Ainnkeepd ready listen=127\.0\.0\.1:{port} shards=2 lsn=\d+,\d+\n\Z")
        with ink.Connection(("127.0.0.1", port)) as client:
            Hotel(client)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate(timeout=60)[0], "")
        self.assertEqual(process.returncode, 0)

    def test_the_lsns_of_the_ready_line_are_where_the_log_goes_on(self):
        server = self.serve(shards=3)
        self.assertEqual(len(server.lsns), 3)
        client = server.connect()
        newest = [client.call(ink.barrier_of_shard(shard)).lsn for shard in range(3)]
        server.restart()
        for before, after in zip(newest, server.lsns):
            self.assertGreaterEqual(after, before)
        client = server.connect()
        for shard in range(3):
            self.assertGreater(client.call(ink.barrier_of_shard(shard)).lsn, newest[shard])

    def test_port_0_picks_a_free_one_for_each(self):
        first, second = self.serve(), self.serve()
        self.assertNotIn(0, (first.address[1], second.address[1]))
        self.assertNotEqual(first.address, second.address)

    def test_wrong_usage_exits_2(self):
        folder = self.folder()
        for arguments in ([], ["--data"], ["--data", folder / "d", "--bogus"], ["--data", folder / "d", "surplus"],
                          ["--data", folder / "d", "--shards", "0"], ["--data", folder / "d", "--shards", "many"],
                          ["--data", folder / "d", "--listen", "nowhere"], ["--data", folder / "d", "--memory", "lots"],
                          ["--data", folder / "d", "--listen", "127.0.0.1:70000"]):
            done = tool("innkeepd", *arguments, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn("innkeepd", done.stderr)
        self.assertEqual(list(folder.iterdir()), [])

    def test_help_and_version_exit_0(self):
        for option in ("--help", "--version", "--usage"):
            self.assertEqual(tool("innkeepd", option).returncode, 0)

    def test_a_port_in_use_is_said_and_harms_nobody(self):
        server = self.serve()
        self.expect_refusal(str(server.address[1]), "in use", listen="%s:%d" % server.address)
        Hotel(server.connect())

    def test_an_address_that_others_can_reach_needs_the_unsafe_option(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:7433"):
            folder = self.folder()
            self.expect_refusal("--unsafe-listen-beyond-loopback", code=2, listen=address, data=folder / "d")
            self.assertEqual(list(folder.iterdir()), [])
        server = Server()
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        server.start("--unsafe-listen-beyond-loopback", listen="0.0.0.0:0")
        server.address = "127.0.0.1", server.address[1]
        Hotel(server.connect())

    def test_a_unix_socket_and_the_other_loopback_serve_as_well(self):
        path = f"{self.folder()}/socket"
        for address in (f"unix:{path}", "[::1]:0", f"unix:{path}"):
            server = Server()
            self.addCleanup(server.clean_up)
            self.addCleanup(server.check_stderr)
            try:
                server.start(listen=address)
            except StartFailed as failed:
                if address.startswith("["):
                    print(f"no IPv6 here: {failed}")
                    continue
                raise
            Hotel(server.connect())
            server.kill()  # the socket's file stays, and the next server may take it over

    def test_a_kernel_without_io_uring_is_said(self):
        self.expect_refusal("io_uring", in_child=forbid_io_uring)


class Directories(Commands):
    def made(self, *options, **named):
        """A stopped server whose directory is complete."""
        server = Server(*options, **named)
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        server.start()
        with ink.Connection(server.address) as client:
            Hotel(client)
        server.stop()
        return server

    def test_a_directory_that_may_not_be_written_is_refused(self):
        folder = self.folder()
        os.chmod(folder, 0o555)
        wrapper = []
        if os.geteuid() == 0:
            wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            if not shutil.which("setpriv") or subprocess.run([*wrapper, BIN / "innkeepd", "--version"],
                                                             capture_output=True, check=False).returncode != 0:
                self.skipTest("root may write everywhere, and nobody may not run the server from here")
        self.expect_refusal("permission denied", re.escape(str(folder)), data=folder / "d", wrapper=wrapper)
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_foreign_directory_is_refused_and_left_alone(self):
        folder = self.folder()
        (folder / "letter.txt").write_text("dear innkeeper")
        before = checksums(folder)
        self.expect_refusal("not an Innkeep data directory", "letter.txt", data=folder)
        self.assertEqual(checksums(folder).keys() - {"lock"}, before.keys())
        self.assertEqual(checksums(folder)["letter.txt"], before["letter.txt"])

    def test_a_file_or_nothing_at_all_is_no_directory(self):
        file = self.folder() / "file"
        file.write_text("")
        self.expect_refusal(re.escape(str(file)), data=file)
        self.expect_refusal("/proc/nothing", data="/proc/nothing/data")

    def rewrite_meta(self, data, **changes):
        """meta with these fields changed, under a right checksum."""
        names = ["magic", "version", "shards", "uuid", "segment_size", "time"]
        fields = dict(zip(names, META.unpack((data / "meta").read_bytes()[:META.size])))
        body = META.pack(*{**fields, **changes}.values())
        (data / "meta").write_bytes(body + xxhash.xxh3_128_intdigest(body).to_bytes(16, "little"))

    def expect_refused_untouched(self, server, *words, **named):
        before = checksums(server.data)
        said = self.expect_refusal(*words, data=server.data, **named)
        self.assertEqual(checksums(server.data), before)
        return said

    def test_a_newer_format_is_refused_by_its_number(self):
        server = self.made()
        self.rewrite_meta(server.data, version=1)  # as it was: the checksum written here is the right one
        server.start()
        server.stop()
        self.rewrite_meta(server.data, version=7)
        self.expect_refused_untouched(server, "version 7|format 7", "newer")

    def test_a_damaged_meta_is_refused(self):
        server = self.made()
        meta = (server.data / "meta").read_bytes()
        random = seeded(self.id())
        for content in (b"", meta[:63], meta + b"\0", bytes(64)):
            (server.data / "meta").write_bytes(content)
            self.expect_refused_untouched(server, "meta")
        for _ in range(4):
            (server.data / "meta").write_bytes(meta)
            flip(server.data / "meta", random.randrange(64), random.randrange(8))
            self.expect_refused_untouched(server, "meta")
        (server.data / "meta").unlink()
        self.expect_refused_untouched(server, "meta")
        (server.data / "meta").write_bytes(meta)
        server.start()
        server.stop()

    def test_another_shard_count_is_refused_and_none_takes_what_is_there(self):
        server = self.made(shards=2)
        for shards in (1, 3, 64):
            self.expect_refused_untouched(server, "2 shards", str(shards), shards=shards)
        with Server(data=server.data, shards=None) as again:
            self.assertEqual(again.shards, 2)

    def test_a_half_written_directory_is_made_afresh(self):
        data = self.folder() / "d"
        (data / "shard-000").mkdir(parents=True)
        (data / "creating").write_bytes(b"")
        (data / "meta.tmp").write_bytes(b"half")
        (data / "shard-000" / "0000000000000001.tmp").write_bytes(bytes(5000))
        with Server(data=data) as server:
            Hotel(server.connect())
            self.assertFalse((data / "creating").exists())

    def test_a_kill_at_any_moment_of_the_first_start_leaves_a_directory_that_starts(self):
        random = seeded(self.id())
        for _ in range(12):
            data = self.folder() / "d"
            process = subprocess.Popen([BIN / "innkeepd", "--data", data, "--listen", "127.0.0.1:0", "--shards", "2",
                                        *SMALL],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.random() * 0.15)
            process.kill()
            process.wait()
            with Server(data=data) as server:
                Hotel(server.connect())

    def test_a_directory_has_one_server_at_a_time(self):
        server = self.serve()
        client = server.connect()
        Hotel(client)
        self.expect_refusal("in use|lock|another", data=server.data)
        self.expect_refusal("in use|lock|another", data=server.data, listen=server.listen())
        self.assertEqual(client.call(ink.barrier(1)).status, Status.OK)

    def test_a_file_system_without_o_direct_is_refused(self):
        folder = self.folder()
        if os.geteuid() != 0:
            self.skipTest("only root can mount a file system without O_DIRECT")
        mounted = subprocess.run(["mount", "-t", "ramfs", "ramfs", folder], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"ramfs cannot be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        self.expect_refusal("O_DIRECT", data=folder / "d")

    def test_limits_can_grow_and_cannot_shrink(self):
        small = ["--reservations", 500, "--outcomes", 500, "--leases", 20, "--properties", 20, "--room-types", 50]
        server = self.made(*small, shards=1)
        larger = ["--reservations", 900, "--outcomes", 900, "--leases", 30, "--properties", 30, "--room-types", 70]
        server.start(*larger)
        status = server.status()
        self.assertEqual((status.reservations_max, status.outcomes_max, status.leases_max, status.properties_max,
                          status.room_types_max), (900, 900, 30, 30, 70))
        self.assertEqual(status.properties, 1)
        server.stop()
        for index in range(0, len(larger), 2):
            shrunk = [*larger[:index], larger[index], small[index + 1], *larger[index + 2:]]
            said = self.expect_refusal(larger[index][2:], data=server.data, shards=None, start_options=map(str, shrunk))
            self.assertIn(str(larger[index + 1]), said)
        with Server(data=server.data, shards=None, defaults=False) as again:  # nothing named: what there is
            self.assertEqual(again.status().reservations_max, 900)


    def test_the_command_line_that_made_a_directory_starts_it_again(self):
        # Limits that need more than --memory gives: whatever the first start makes of that, the second has to agree.
        options = ["--memory", "16M", "--reservations", 300000, "--outcomes", 300000]
        server = Server(*options)
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        try:
            server.start()
        except StartFailed as refused:
            self.assertEqual(refused.code, 1)
            self.assertIn("--memory", refused.stderr)
            return
        server.restart()
        self.assertEqual(server.status().reservations_max, 300000)


class Damage(Commands):
    def setUp(self):
        """A killed server whose every booking was a frame of its own, with the noop behind the last one on disk."""
        self.server = Server(shards=1)
        self.addCleanup(self.server.clean_up)
        self.addCleanup(self.server.check_stderr)
        self.server.start()
        client = self.server.connect()
        self.hotel = Hotel(client, 1, (50,))
        self.keys = [ink.new_key() for _ in range(12)]
        self.first = {key: client.call(self.hotel.reserve(key, offset=night)) for night, key in enumerate(self.keys)}
        time.sleep(0.3)
        self.server.kill()
        self.segment, = segments_of(self.server.data)

    def expect_everything(self):
        with ink.Connection(self.server.address) as client:
            for key, first in self.first.items():
                self.expect(client.call(ink.lookup(1, key)), Status.OK, original_lsn=first.lsn, state=State.CONFIRMED)

    def test_a_flipped_bit_in_an_acknowledged_frame_stops_the_start_and_changes_nothing(self):
        random = seeded(self.id())
        frames = list(frames_of(self.segment))
        known = frames[-1][3]  # up to here the last frame on disk testifies
        candidates = [frame for frame in frames if frame[2] <= known]
        self.assertGreater(len(candidates), 10)
        for attempt in range(FLIPS):
            offset, _, index, _, payload_size = random.choice(candidates)
            place = offset + random.randrange(128 + payload_size if attempt else 1), random.randrange(8)
            flip(self.segment, *place)
            before = checksums(self.server.data)
            self.expect_refusal("shard 0", "damage", re.escape(self.segment.name),
                                rf"offset (0x0*{offset:x}|{offset})\b",
                                rf"frame {index}\b", data=self.server.data, shards=None)
            self.assertEqual(checksums(self.server.data), before)
            (verdict,), code = tool_json("innkeep-wal", "verify", self.server.data, "--json")
            self.assertEqual((code, verdict["verdict"]), (3, "damaged"))
            flip(self.segment, *place)
        self.server.start()
        self.expect_everything()
        self.server.stop()

    def test_a_missing_segment_stops_the_start(self):
        for _ in range(2):
            self.server.start()
            with ink.Connection(self.server.address) as client:
                client.call(self.hotel.reserve())
                time.sleep(0.3)
            self.server.kill()
        for segment in segments_of(self.server.data)[:-1]:  # for the last one there can be no witness
            elsewhere = self.server.data.parent / segment.name
            segment.rename(elsewhere)
            before = checksums(self.server.data)
            self.expect_refusal("shard 0", "damage|missing", data=self.server.data, shards=None)
            self.assertEqual(checksums(self.server.data), before)
            elsewhere.rename(segment)

    def test_a_torn_tail_is_set_aside_and_reported_and_nothing_acknowledged_goes_with_it(self):
        random = seeded(self.id())
        for attempt in range(4):
            segment = segments_of(self.server.data)[-1]
            frames = list(frames_of(segment))
            end = frames[-1][0] + frames[-1][1] if frames else 2 * BLOCK
            torn = random.randbytes(random.randrange(1, 3 * BLOCK))
            if attempt % 2:  # the beginning of a frame that crossed the crash
                with open(segments_of(self.server.data)[0], "rb") as file:
                    file.seek(2 * BLOCK)
                    torn = file.read(random.randrange(8, 200))
            with open(segment, "r+b") as file:
                file.seek(end)
                file.write(torn)
            (verdict,), code = tool_json("innkeep-wal", "verify", self.server.data, "--json")
            self.assertEqual(code, 1, verdict)
            said_before = len(self.server.stderr())
            self.server.start()
            said = self.server.stderr()[said_before:]
            self.assertRegex(said, "(?i)shard 0.*torn tail")
            self.assertIn(segment.name, said)
            for first, last in re.findall(r"frames (\d+) to (\d+)", said):
                self.assertLessEqual(int(first), int(last), said)
            self.expect_everything()
            with ink.Connection(self.server.address) as client:
                client.call(self.hotel.reserve(offset=100 + attempt))
                time.sleep(0.2)
            self.server.kill()
            sequence = segment.name.partition(".")[0]
            aside, = self.server.data.glob(f"shard-000/torn-{sequence}-*.bin")
            self.assertEqual(int(aside.stem.rpartition("-")[2], 16), end)
            self.assertEqual(aside.read_bytes()[:len(torn.rstrip(b"\0"))], torn.rstrip(b"\0"))
        self.assertEqual(tool("innkeep-wal", "verify", self.server.data).returncode, 0)


class Stopping(Case):
    def stop_under_load(self, number):
        """Signals the server in the middle of the load; returns it stopped, and [(connection, [(item, its place or
        None)])]."""
        server = self.serve("--reservations", 40000, "--outcomes", 40000, "--memory", "96M")
        clients = [server.connect(shard=index % 2) for index in range(6)]
        hotels = [Hotel(clients[0], property, (30000,)) for property in (1, 2)]
        sent = [(client, []) for client in clients]
        timer = threading.Timer(seeded(self.id()).uniform(0.02, 0.1), server.process.send_signal, [number])
        timer.start()
        # Before the signal and after it, until every connection is closed by the server.
        open_ones = list(sent)
        while open_ones and len(sent[0][1]) < 5000:
            for client, pairs in list(open_ones):
                items = [hotels[index % 2].reserve(offset=index % 300) for index in range(20)]
                try:
                    pairs += zip(items, client.submit(items))
                    client.take_available()
                except (ink.ConnectionEnded, OSError):
                    open_ones.remove((client, pairs))
        timer.join()
        for client in clients:
            client.drain()
        self.assertEqual(server.process.wait(timeout=60), 0, server.stderr())
        server.forget_process()
        return server, sent

    def check_stop(self, number):
        server, sent = self.stop_under_load(number)
        server.start()
        client = server.connect()
        accepted = refused = unanswered = 0
        for old, pairs in sent:
            found = client.call_many([ink.lookup(int.from_bytes(item[8:16], "little"), item[16:32]) for item,
                                      _ in pairs])
            for (_, place), now in zip(pairs, found):
                result = old.result_of(place)
                if result is None:
                    unanswered += 1  # sent to a server that had closed already; accepted would be answered
                    self.expect(now, Status.NO_SUCH_KEY)
                elif result.status == Status.OK:
                    accepted += 1
                    self.expect(now, Status.OK, original_lsn=result.lsn)
                else:
                    refused += 1
                    self.expect(result, Status.SHUTTING_DOWN)
                    self.expect(now, Status.NO_SUCH_KEY)
        self.assertGreater(accepted, 0)
        print(f"{accepted} accepted, {refused} refused, {unanswered} never read", flush=True)
        server.close_connections()
        server.stop()
        self.assertEqual(tool("innkeep-wal", "verify", server.data).returncode, 0)
        server.start()

    def test_sigterm_completes_what_was_accepted_and_exits_0(self):
        self.check_stop(signal.SIGTERM)

    def test_sigint_does_so_too(self):
        self.check_stop(signal.SIGINT)

    def test_a_stop_waits_for_nobody_who_is_silent_or_does_not_read(self):
        server = self.serve("--drain-timeout", "1s")
        idle = [server.connect() for _ in range(20)]
        half = server.raw()
        half.send_bytes(b"half a message")
        deaf = server.raw()
        deaf.send_bytes(ink.message([ink.hello()], 1) + ink.message([ink.calendar(1, 0, 1)] * 2000, 2))
        started = time.monotonic()
        server.stop(timeout=30)
        self.assertLess(time.monotonic() - started, 15)
        for connection in idle:
            self.assertRaises(ink.ConnectionEnded, connection.receive)
        server.start()

    def test_a_stopped_server_has_nothing_torn_in_its_log(self):
        server = self.serve()
        for _ in range(3):
            Hotel(server.connect(), int(time.time_ns()))
            server.close_connections()
            server.stop()
            (verdict,), code = tool_json("innkeep-wal", "verify", server.data, "--json")
            self.assertEqual((code, verdict["verdict"]), (0, "clean"))
            server.start()


if __name__ == "__main__":
    main()
