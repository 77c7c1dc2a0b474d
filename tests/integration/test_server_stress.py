"""Clients that behave badly all at once, and whether those who behave well notice: nobody reads, everybody comes back at the
same moment, a stream of nonsense never ends, the server is stopped in the middle of it all."""
import signal
import socket
import struct
import threading
import time

import innkeep_client as ink
import server as srv
from innkeep_client import Status

NIGHTS = 900


def flood(server, message, clients, seconds, meanwhile=lambda: None):
    """Sends `message` over and over on so many connections, reads nothing."""
    sockets = []
    for _ in range(clients):
        connection = server.raw()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send_bytes(ink.message([ink.hello()], 1))
        connection.socket.setblocking(False)
        sockets.append(connection.socket)
    rest = [memoryview(message)] * clients
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for number, each in enumerate(sockets):
            try:
                rest[number] = rest[number][each.send(rest[number]):] or memoryview(message)
            except (BlockingIOError, ConnectionError):
                pass
        meanwhile()
        time.sleep(0.01)


class NobodyReads(srv.Case):
    def flooded(self, clients, *options, seconds=2, newcomers=False):
        server = self.serve("--stuck-timeout", "20s", *options, shards=1)
        reader = server.connect()
        hotel = srv.Hotel(reader, rooms=(5,) * 3)
        calendars = [ink.calendar(hotel.property, hotel.business_date, NIGHTS)] * 1500
        meet = (lambda: ink.Connection(server.address).close()) if newcomers else lambda: None
        flood(server, ink.message(calendars, 7), clients, seconds, meet)
        return server, reader

    def served_soon(self, connection):
        begun = time.monotonic()
        self.expect(connection.call(ink.lookup(1, ink.new_key())), Status.NO_SUCH_KEY)
        self.assertLess(time.monotonic() - begun, 10)

    def test_receive_buffers_that_are_all_taken_keep_nobody_from_being_served(self):
        server, reader = self.flooded(6, "--recv-buffers", "8")
        self.served_soon(reader)
        self.served_soon(server.connect())

    def test_replies_that_fill_the_pool_keep_nobody_from_being_served(self):
        server, reader = self.flooded(60, "--connections", "90", seconds=6, newcomers=True)
        self.served_soon(reader)
        self.served_soon(server.connect())


class Arrivals(srv.Case):
    def test_all_who_come_at_the_same_moment_are_let_in(self):
        server = self.serve("--connections", "1024", shards=1)
        server.pause()
        connections = [server.raw() for _ in range(900)]
        for connection in connections:
            connection.send_bytes(ink.message([ink.hello()], 1))
        server.resume()
        for connection in connections:
            self.assertEqual(connection.receive()[0], ink.Op.HELLO)

    def test_a_refused_stream_that_never_ends_is_ended(self):
        server = self.serve(shards=1)
        connection = server.raw(timeout=1)
        connection.send_bytes(b"no message at all..............." * 4)
        until = time.monotonic() + 15
        with self.assertRaises((ConnectionError, TimeoutError)):
            while time.monotonic() < until:
                connection.send_bytes(bytes(65536))
        self.assertLess(time.monotonic(), until)


class Stop(srv.Case):
    def load(self, server, hotels, seed, stop, acknowledged):
        random = srv.seeded(f"load {seed}")
        while not stop.is_set():
            try:
                with ink.Connection(server.address, shard=random.choice([ink.ANY_SHARD, 0, 1])) as connection:
                    for _ in range(random.randrange(1, 8)):
                        keys = [(random.choice(hotels), ink.new_key(random)) for _ in range(random.choice([1, 20, 300]))]
                        places = connection.submit([hotel.reserve(key, offset=random.randrange(NIGHTS)) for hotel, key in keys])
                        if random.random() < 0.1:
                            break
                        results = connection.collect(places)
                        acknowledged += [(hotel.property, key) for (hotel, key), result in zip(keys, results)
                                         if result.status == Status.OK]
            except (ink.ConnectionEnded, ConnectionError):
                time.sleep(0.02)

    def half(self, server, seed, stop):
        random = srv.seeded(f"half {seed}")
        data = ink.message([ink.hello()], 1) + ink.message([ink.lookup(1, ink.new_key())] * 50, 2)
        while not stop.is_set():
            try:
                with socket.create_connection(server.address) as line:
                    line.sendall(data[:random.randrange(len(data))])
                    if random.random() < 0.5:
                        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    time.sleep(random.random() * 0.02)
            except OSError:
                time.sleep(0.01)

    def test_what_was_acknowledged_before_a_stop_under_load_is_there_after_it(self):
        server = self.serve("--memory", "128M", "--recv-buffers", "8", "--frame-size", "128K", "--segment-size", "64K", shards=2)
        setup = server.connect()
        hotels = [srv.Hotel(setup, srv.property_of_shard(shard, 2), rooms=(30000,)) for shard in range(2)]
        stop, acknowledged = threading.Event(), []
        threads = [threading.Thread(target=self.load, args=(server, hotels, seed, stop, acknowledged)) for seed in range(6)]
        threads += [threading.Thread(target=self.half, args=(server, seed, stop)) for seed in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        try:
            server.stop(signal.SIGTERM, timeout=30)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        server.close_connections()
        server.start()
        with ink.Connection(server.address) as connection:
            self.assertGreater(len(acknowledged), 0)
            for begin in range(0, len(acknowledged), 1000):
                items = [ink.lookup(*each) for each in acknowledged[begin:begin + 1000]]
                for result in connection.call_many(items):
                    self.expect(result, Status.OK)

    def test_a_stop_does_not_wait_for_answers_that_nobody_takes(self):
        for _ in range(4):
            server = self.serve("--memory", "64M", "--drain-timeout", "1ms", shards=2)
            setup = server.connect(shard=0)
            hotel = srv.Hotel(setup, srv.property_of_shard(1, 2), rooms=(30000,))
            flood(server, ink.message([hotel.reserve() for _ in range(1400)], 9), 6, 0.4)
            server.stop(timeout=20)
            server.close_connections()


if __name__ == "__main__":
    srv.main()
