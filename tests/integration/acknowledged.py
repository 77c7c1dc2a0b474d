"""What a client was told, kept to be held against the server after a fault."""
from innkeep_client import Op, Status
import innkeep_client as ink

MUTATIONS = frozenset((Op.PROPERTY_CREATE, Op.ROOM_TYPE_CREATE, Op.ROOMS_SET, Op.RESERVE, Op.CONFIRM, Op.RELEASE, Op.CANCEL))
AT_ONCE = 4000  # commands sent again before their answers are read


class Acknowledged:
    """A client's journal: each command with the answer it got."""

    def __init__(self, case):
        self.case = case
        self.answers = []  # (item, result) of mutations with an outcome, in the order of the answers
        self.newest_lsn = {}  # shard -> the largest LSN told
        self.places = set()  # (shard, lsn) told: each of them once, for ever
        self.tokens = {}  # (property, resource) -> the newest token told
        self.refused = []  # items answered DISK_FULL, OVERLOADED or SHUTTING_DOWN: never logged

    def take(self, item, result):
        kind = ink.kind_of(item)
        if result.status >= 64:
            self.refused.append(item)
            return result
        place = result.shard, result.lsn
        if kind < Op.LOOKUP and not result.replayed:
            self.case.assertNotIn(place, self.places, "an acknowledged LSN was used again")
            self.places.add(place)
            self.newest_lsn[result.shard] = max(self.newest_lsn.get(result.shard, 0), result.lsn)
        if kind in MUTATIONS and result.status < 20:
            self.answers.append((item, result))
        if kind == Op.LEASE_ACQUIRE and result.status == Status.OK:
            self.tokens[int.from_bytes(item[8:16], "little"), int.from_bytes(item[32:40], "little")] = result.token
        return result

    def call(self, client, item, timeout=10):
        return self.take(item, client.call(item, timeout))

    def expect_all_of_it(self, server):
        """A server that was started again has every LSN, outcome and token that was told, and nothing that was refused."""
        for shard, lsn in self.newest_lsn.items():
            self.case.assertGreaterEqual(server.lsns[shard], lsn, "an acknowledged LSN is beyond the log")
        with ink.Connection(server.address) as client:
            for begin in range(0, len(self.answers), AT_ONCE):
                self._expect_again(client, self.answers[begin:begin + AT_ONCE])
            for (property, resource), token in self.tokens.items():
                self.case.assertGreaterEqual(client.call(ink.lease_show(property, resource)).token, token)
            self._expect_nothing_refused(client)

    def _expect_again(self, client, answers):
        for (_, told), again in zip(answers, client.call_many([item for item, _ in answers])):
            self.case.assertTrue(again.replayed, f"{told} became {again}")
            self.case.assertEqual(again.answer, told.answer)
            self.case.assertEqual(again.original_lsn, told.original_lsn if told.replayed else told.lsn)

    def _expect_nothing_refused(self, client):
        taken = {item[16:32] for item, _ in self.answers}
        names = [(int.from_bytes(item[8:16], "little"), item[16:32]) for item in self.refused if ink.kind_of(item) == Op.RESERVE]
        for found in client.call_many([ink.lookup(*name) for name in names if name[1] not in taken]):
            self.case.assertEqual(found.status, Status.NO_SUCH_KEY, "a command that was refused took effect")
