#!/usr/bin/env python3
"""Data directories kept as text, so that every format version there ever was stays readable in the tests for ever.

    INNKEEP_BIN=build/release/bin /usr/bin/python3 tests/integration/golden_directories.py NAME

makes two with the programs of today, NAME-log of a server that takes no snapshots, so that all of its log is there, and NAME-snapshots
of one that does: golden/NAME-log.hex, the files, and golden/NAME-log.json, what was read from them; the other likewise.
To be run once whenever a version of a format, a record kind or a snapshot layout is added, under a new name; what is there is never
made anew.

NAME.hex: `file PATH SIZE`, then a line `OFFSET BYTES` (both hexadecimal) for each 64 bytes of that file that are not all zero."""
import json
import pathlib
import sys
import tempfile
import time

import innkeep_client as ink
from innkeep_client import Status
from server import Hotel, Server, TEST_DIR, property_of_shard, tool, tool_json

FOLDER = pathlib.Path(__file__).resolve().parent / "golden"
LINE = 64
SECOND = 10**9
LIMITS = ("--memory", "8M", "--segment-size", "64K", "--horizon", 20, "--properties", 4, "--room-types", 8,
          "--reservations", 40, "--outcomes", 40, "--leases", 6)


# ---- As text ---------------------------------------------------------------------------------------------------------


def pack(data):
    """The text of a data directory; what a start makes again is left out."""
    lines = ["# A data directory of Innkeep, see golden_directories.py; never to be changed."]
    for path in sorted(data.rglob("*")):
        if not path.is_file() or path.suffix == ".ready" or path.name == "lock":
            continue
        content = path.read_bytes()
        lines.append(f"file {path.relative_to(data)} {len(content)}")
        for offset in range(0, len(content), LINE):
            piece = content[offset:offset + LINE]
            if any(piece):
                lines.append(f"{offset:x} {piece.rstrip(bytes(1)).hex()}")
    return "\n".join(lines) + "\n"


def unpack(text, data):
    """The directory of a text."""
    file = None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("file "):
            _, name, size = line.split()
            path = data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(int(size)))
            file = path
            continue
        offset, content = line.split()
        with open(file, "r+b") as out:
            out.seek(int(offset, 16))
            out.write(bytes.fromhex(content))


def names():
    return sorted(path.stem for path in FOLDER.glob("*.hex"))


# ---- What is read from one -------------------------------------------------------------------------------------------


def read(data):
    """All that has to stay true of a directory."""
    (replayed,), code = tool_json("innkeep-wal", "replay", data, "--json")
    if code != 0:
        raise AssertionError(replayed)
    records, code = tool_json("innkeep-wal", "dump", data, "--json")
    if code != 0:
        raise AssertionError(f"dump exits with {code}")
    shards = [{name: shard[name] for name in ("shard", "lsn", "log_time", "state_hash")} for shard in
              replayed["shards"]]
    return {"state_hash": replayed["state_hash"], "shards": shards, "records": records}


# ---- Making one ------------------------------------------------------------------------------------------------------


def expect(result, status=Status.OK):
    if result.status != status:
        raise AssertionError(result)
    return result


def story_tell(client, number):
    """Every kind of command, most of what can come of one, and enough frames for a second segment."""
    hotel = Hotel(client, number, (2, 1))
    call = client.call
    date, key = hotel.business_date, ink.new_key
    expect(call(ink.rooms_set(number, key(), 1, date + 5, date + 9, 3)))
    booked, held, released, expired = key(), key(), key(), key()
    expect(call(hotel.reserve(booked, nights=2)))
    expect(call(hotel.reserve(booked, nights=2)))
    expect(call(hotel.reserve(booked, nights=3)), Status.KEY_REUSED)
    expect(call(hotel.reserve(nights=2)))
    expect(call(hotel.reserve(nights=3)), Status.SOLD_OUT)
    expect(call(hotel.reserve(held, offset=5, hold=3600 * SECOND)))
    expect(call(ink.confirm(number, key(), held)))
    expect(call(ink.cancel(number, key(), held)))
    expect(call(hotel.reserve(released, room_type=2, hold=3600 * SECOND)))
    expect(call(ink.release(number, key(), released)))
    expect(call(hotel.reserve(expired, room_type=2, offset=3, hold=SECOND // 10)))
    expect(call(hotel.reserve(offset=10, hold=3600 * SECOND)))
    lease = expect(call(ink.lease_acquire(number, key(), 7, 3600 * SECOND)))
    expect(call(ink.lease_renew(number, 7, lease.token, 1800 * SECOND)))
    expect(call(hotel.reserve(offset=6, fence=(7, lease.token))))
    gone = expect(call(ink.lease_acquire(number, key(), 8, 3600 * SECOND)))
    expect(call(ink.lease_release(number, 8, gone.token)))
    expect(call(hotel.reserve(offset=6, fence=(8, gone.token))), Status.LEASE_RELEASED)
    time.sleep(0.15)
    expect(call(ink.confirm(number, key(), expired)), Status.HOLD_EXPIRED)
    time.sleep(2.5)  # until the server has a latency to log
    expect(call(hotel.reserve(offset=12)))
    expect(call(ink.barrier(number)))
    return hotel


def kill(server):
    """Once the noop behind the last command is on disk."""
    time.sleep(0.3)
    server.kill()


def make(folder, with_snapshots):
    """The whole life of a directory: served, stopped, served again and killed, restored, served, stopped, served and killed."""
    options = (*LIMITS, *(() if with_snapshots else ("--snapshot-every", 0)))
    server = Server(*options, data=folder / "first", defaults=False)
    server.start()
    numbers = [property_of_shard(shard, 2) for shard in range(2)]
    with ink.Connection(server.address) as client:
        hotels = [story_tell(client, number) for number in numbers]
    server.stop()
    server.start()
    with ink.Connection(server.address) as client:
        for hotel in hotels:
            expect(client.call(hotel.reserve(offset=8)))
    kill(server)
    done = tool("innkeep-wal", "restore", folder / "first", folder / "second")
    if done.returncode != 0:
        raise AssertionError(done)
    server = Server(*options, data=folder / "second", defaults=False)
    server.start()
    with ink.Connection(server.address) as client:
        for hotel in hotels:
            expect(client.call(hotel.reserve(offset=9)))
            expect(client.call(ink.lease_acquire(hotel.property, ink.new_key(), 9, 600 * SECOND)))
    server.stop()
    server.start()
    with ink.Connection(server.address) as client:
        for hotel in hotels:
            expect(client.call(hotel.reserve(offset=7)))
    kill(server)
    server.check_stderr()
    return folder / "second"


def main():
    if len(sys.argv) != 2 or "/" in sys.argv[1]:
        sys.exit(__doc__)
    name = sys.argv[1]
    for kind in ("log", "snapshots"):
        one = FOLDER / f"{name}-{kind}"
        if one.with_suffix(".hex").exists():
            sys.exit(f"{one.name} is there already, and what is there is never made anew: choose another name")
        with tempfile.TemporaryDirectory(prefix="innkeep.", dir=TEST_DIR) as folder:
            data = make(pathlib.Path(folder), kind == "snapshots")
            one.with_suffix(".hex").write_text(pack(data))
            one.with_suffix(".json").write_text(json.dumps(read(data), indent=1) + "\n")
        print(f"made {one}.hex and .json")


if __name__ == "__main__":
    main()
