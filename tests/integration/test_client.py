#!/usr/bin/env python3
"""The judge is judged: the tests' client refuses what a server must not say. Needs no server of Innkeep's."""
import socket
import struct
import threading
import time
import unittest

import innkeep_client as ink
from innkeep_client import Op, Status
from server import main

HELLO_BODY = struct.pack(ink.HELLO_BODY[1], 1, 2, 0, 1, 131072, 4096, 4096, 1000, 600 * ink.SECOND, bytes(16),
                         time.time_ns())


def result(item=0, status=0, shard=0, lsn=1, body=b"", reserved=0, size=None):
    return struct.pack("<IHHHHIQQQ", 40 + len(body) if size is None else size, status, 0, item, shard, reserved, lsn, 0,
                       1) + body


def reply(results, correlation, operation=Op.BARRIER, flags=ink.FLAG_REPLY, **named):
    return ink.message(results, correlation, operation, flags=flags, **named)


class Judged(unittest.TestCase):
    def client(self):
        """A connection to a server that shakes hands and then says nothing."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply([result(body=HELLO_BODY)], 1, Op.HELLO))
                connection.settimeout(10)
                try:
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)
        client = ink.Connection(listener.getsockname(), timeout=10)
        self.addCleanup(client.close)
        return client

    def ask(self, *answers, items=3, requests=1):
        """Asks `requests` times for `items` barriers, and gets `answers`."""
        client = self.client()
        client.have += b"".join(answers)  # as if received already: they are looked at when something is waited for
        places = []
        for _ in range(requests):
            places += client.submit([ink.barrier(1)] * items)
        return client.collect(places, timeout=5)

    def test_what_the_document_allows_is_taken(self):
        self.ask(reply([result(0), result(1), result(2)], 2))
        self.ask(reply([result(0)], 2), reply([result(1), result(2)], 2))
        self.ask(reply([result(1, shard=1)], 2), reply([result(0), result(2)], 2))
        self.ask(reply([result(0, shard=1)], 3), reply([result(0)], 2), items=1, requests=2)

    def test_results_of_a_shard_out_of_order_are_refused(self):
        for answers, items, requests in (([reply([result(1), result(0), result(2)], 2)], 3, 1),
                                         ([reply([result(2)], 2), reply([result(0), result(1)], 2)], 3, 1),
                                         ([reply([result(0)], 3), reply([result(0)], 2)], 1, 2)):
            self.assertRaisesRegex(ink.ProtocolError, "came after", self.ask, *answers, items=items, requests=requests)

    def test_answers_to_nothing_and_answers_given_twice_are_refused(self):
        for answer in (reply([result(0)], 9), reply([result(0), result(0)], 2), reply([result(3)], 2),
                       reply([result(0)], 2, Op.LOOKUP)):
            self.assertRaises(ink.ProtocolError, self.ask, answer)

    def test_messages_that_break_the_rules_are_refused(self):
        good = reply([result(0), result(1), result(2)], 2)
        bad_checksum = bytes([good[0] ^ 1]) + good[1:]
        for answer in (bad_checksum, reply([result(0)], 2, flags=0), reply([result(0)], 2, flags=3),
                       reply([result(0)], 2, magic=1),
                       reply([result(0)], 2, version=2), reply([result(0)], 2, items_count=2),
                       reply([result(0)] * 2, 2, items_count=1),
                       reply([result(0, reserved=1)], 2), reply([result(0, size=44)], 2),
                       reply([result(0, size=32)], 2), reply([result(0, status=63)], 2),
                       reply([result(0, body=bytes(8), status=Status.OVERLOADED, lsn=0)], 2),
                       reply([result(0, status=Status.ZERO_KEY, lsn=5)], 2), reply([result(0)], 2, size=131080)):
            self.assertRaises(ink.ProtocolError, self.ask, answer)

    def test_a_last_message_ends_the_connection_with_its_status(self):
        with self.assertRaises(ink.ConnectionEnded) as caught:
            self.ask(reply([result(status=Status.BAD_CHECKSUM, lsn=0)], 2, Op.NONE))
        self.assertEqual((caught.exception.status, caught.exception.correlation), (Status.BAD_CHECKSUM, 2))


if __name__ == "__main__":
    main()
