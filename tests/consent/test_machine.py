"""Whatever happens, in whatever order: what was sealed is proved, and nothing signed is denied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct

from crm import consent, ledger, privacy
from crm.consent import Method, Status, tally
from crm.consent.states import OWN_WORD
from crm.db import Database, Db, open_database, parse
from crm.errors import Refused
from crm.events import Actor
from crm.journal import CHECKPOINT, Journal
from crm.ledger import KeyKind, note
from tests import make
from tests.conftest import KEYS, Cluster
from tests.consent.conftest import imported
from tests.consent.counting import astray
from tests.consent.meddling import ANY, Meddling, about, meddle, undo, watched

PEOPLE = 5
WHO = st.integers(0, PEOPLE - 1)
WHICH = st.integers(0, 1)
OWN = st.sampled_from(sorted(OWN_WORD - {Method.renewal}))
IMPORTED = st.sampled_from([Status.given, Status.unknown, Status.withdrawn])
LEAVES = st.sampled_from([Method.portal, Method.one_click, Method.complaint, Method.staff])
SHOP = Actor.key(UUID(int=9), "Shop")
ALL = 1_000_000
PATIENT = settings(
    max_examples=6,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_RECORDS = parse(
    """-- name: records
-- What is held of every decision.
SELECT event_id
  FROM crm.consent_record
 WHERE business_id = :business_id
"""
)[0]


class Record(Struct, frozen=True):
    event_id: UUID


Step = Callable[[Db], Awaitable[object]]


class Consents(RuleBasedStateMachine):
    """One business with two newsletters and a handful of customers, some of them erased."""

    cluster: ClassVar[Cluster]

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.journal = Journal(Path(self.folder.name))
        self.loop = asyncio.Runner()
        self.opening = open_database(self.cluster.app_url, KEYS, size=6)
        self.database: Database = self.loop.run(self.opening.__aenter__())
        # Every head that anybody could have seen: size, root.
        self.heads: dict[int, bytes] = {}
        # Receipts in the hands of customers, each with the bundle it came in.
        self.receipts: dict[str, bytes] = {}
        self.settled: set[tuple[UUID, str]] = set()
        # What each said last, by place: True is yes, False no, and absent nothing that counts.
        self.allowed: dict[tuple[int, int], bool] = {}

    def teardown(self) -> None:
        self.loop.run(self.opening.__aexit__(None, None, None))
        self.loop.close()
        self.folder.cleanup()

    def do(self, step: Step) -> Any:
        """Do something in a transaction of its own; a refusal is an answer like another."""
        return self.loop.run(self._do(step))

    async def _do(self, step: Step) -> Any:
        with suppress(Refused):
            async with self.database.write(self.business.id) as db:
                return await step(db)

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            self.business = await make.business(self.database)
            async with self.database.write(self.business.id) as db:
                purposes = [await make.purpose(db) for _ in range(2)]
                self.texts = [await make.notice(db, each.id) for each in purposes]
                self.people = [(await make.customer(db)).id for _ in range(PEOPLE)]

        self.loop.run(begin())

    @rule(who=WHO, which=WHICH, way=OWN)
    def says_yes(self, who: int, which: int, way: Method) -> None:
        """Always counts: it is her own word."""
        assert self.do(self._yes(who, which, way)) is not None
        self.allowed[who, which] = True

    @rule(who=WHO, which=WHICH, way=LEAVES)
    def says_no(self, who: int, which: int, way: Method) -> None:
        """Always counts, whoever passes it on."""
        assert self.do(self._no(who, which, way)) is not None
        self.allowed[who, which] = False

    @rule(who=WHO, which=WHICH)
    def a_program_says_yes(self, who: int, which: int) -> None:
        """Counts where nobody said no."""
        customer, text = self.people[who], self.texts[which]

        async def give(db: Db) -> object:
            return await consent.give(db, SHOP, customer, text.question, make.ELSEWHERE)

        said_no = self.allowed.get((who, which)) is False
        assert (self.do(give) is None) is said_no
        self.allowed[who, which] = not said_no

    @rule(which=WHICH, rows=st.lists(st.tuples(WHO, IMPORTED), min_size=1, max_size=8))
    def a_list_is_imported(self, which: int, rows: list[tuple[int, Status]]) -> None:
        """Of one file a no decides; of what is known nothing gives way but to a withdrawal."""

        async def append(db: Db) -> object:
            new = [await imported(db, self.people[n], self.texts[which], s) for n, s in rows]
            return await consent.append_many(db, Actor.system(), new)

        assert self.do(append) is not None
        for who in {each for each, _ in rows}:
            said = {status for each, status in rows if each == who}
            if Status.withdrawn in said:
                self.allowed[who, which] = False
            elif Status.given in said:
                self.allowed.setdefault((who, which), True)

    @rule(who=WHO, which=WHICH, way=OWN)
    def both_at_once(self, who: int, which: int, way: Method) -> None:
        """Somebody else passes on a no while she says yes, and the sequencer is at work."""

        async def together() -> None:
            await asyncio.gather(
                self._do(self._yes(who, which, way)),
                self._do(self._no(who, which, Method.staff)),
                ledger.seal(self.database, self.business.id, self.journal, most=ALL),
            )

        self.loop.run(together())
        self.allowed[who, which] = self.do(self._state(who, which)) in consent.AUTHORISES

    @rule(who=WHO)
    def deletes_everything(self, who: int) -> None:
        """Another customer comes in her place."""
        gone = self.people[who]

        async def erase(db: Db) -> object:
            await privacy.erase(db, Actor.customer(gone), gone)
            return (await make.customer(db)).id

        self.people[who] = self.do(erase)
        for which in range(2):
            self.allowed.pop((who, which), None)

    @rule(kind=st.sampled_from(KeyKind))
    def a_key_is_rotated(self, kind: KeyKind) -> None:
        async def rotate(db: Db) -> object:
            return await ledger.rotate(db, Actor.system(), kind)

        if self.heads or kind is KeyKind.receipt:
            assert self.do(rotate) is not None

    @rule()
    def is_sealed(self) -> None:
        self.loop.run(ledger.seal(self.database, self.business.id, self.journal, most=ALL))

    @rule()
    def is_summed_up(self) -> None:
        self.do(lambda db: tally.sum_up(db, many=1))

    @rule(turns=st.integers(0, 400))
    def the_sequencer_stops_dead(self, turns: int) -> None:
        """At any point: before, within or after the transaction, the journal, the publishing."""

        async def killed() -> None:
            sealing = ledger.seal(self.database, self.business.id, self.journal, most=ALL)
            task = asyncio.ensure_future(sealing)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.loop.run(killed())

    @invariant()
    def nothing_signed_is_denied(self) -> None:
        self.loop.run(self._check_heads())

    @invariant()
    def every_decision_is_proved(self) -> None:
        self.loop.run(self._check_decisions())

    @invariant()
    def only_a_standing_yes_allows(self) -> None:
        for who, which in product(range(PEOPLE), range(2)):
            status = self.do(self._state(who, which))
            yes = self.allowed.get((who, which), False)
            assert (status in consent.AUTHORISES) is yes, (status, yes)

    @invariant()
    def what_is_tallied_is_there(self) -> None:
        assert self.do(astray) == []

    def _yes(self, who: int, which: int, way: Method) -> Step:
        customer, text = self.people[who], self.texts[which]

        async def give(db: Db) -> object:
            word = await make.own_word(db, customer, way)
            return await consent.give(db, Actor.customer(customer), customer, text.question, word)

        return give

    def _no(self, who: int, which: int, way: Method) -> Step:
        customer, text = self.people[who], self.texts[which]
        by = Actor.customer(customer) if way is Method.portal else Actor.system()
        return lambda db: consent.withdraw(db, by, customer, text.purpose_id, method=way)

    def _state(self, who: int, which: int) -> Step:
        async def state(db: Db) -> object:
            found = await consent.state(db, self.people[who], self.texts[which].purpose_id)
            return found.status if found else None

        return state

    async def _check_heads(self) -> None:
        """Every head that anybody could have seen begins every later one."""
        async with self.database.read(self.business.id) as db:
            seen = [each.note for each in await ledger.signed_heads(db)]
            seen += filter(None, [self.journal.read(self.business.id, CHECKPOINT)])
            verifiers = [each.verifier for each in await ledger.keys(db)]
            for each in seen:
                note.read(each).check(verifiers)
                head = ledger.checkpoint_of(each)
                assert self.heads.setdefault(head.size, head.root) == head.root
            present = await ledger.head(db)
            published = present.signed_size if present else 0
            sizes = sorted(size for size in self.heads if size <= published)
            for first, second in pairwise(sizes):
                path = await ledger.consistency(db, first, second)
                roots = self.heads[first], self.heads[second]
                ledger.check_consistency(first, second, path, *roots)
        assert present is None or present.stopped_why is None

    async def _check_decisions(self) -> None:
        """All receipts of whoever is a customer verify, and all that anybody ever fetched."""
        async with self.database.read(self.business.id) as db:
            known = {each.event_id for each in await db.many(_RECORDS, Record)}
            for customer in self.people:
                bundle = await consent.receipts(db, customer)
                self.receipts.update(
                    {each.receipt: consent.packed(bundle) for each in bundle.receipts if each.proof}
                )
                if bundle.receipts:
                    self._verify(consent.packed(bundle))
                    known -= {each.id for each in await consent.history(db, customer)}
        # Nothing is held of anybody else.
        assert not known
        for taken in list(dict.fromkeys(self.receipts.values()))[-3:]:
            self._verify(taken)

    def _verify(self, taken: bytes) -> None:
        verdict = consent.verify([taken])
        assert not verdict.failed, (verdict.failed, verdict.why)

    @precondition(lambda self: self.heads)
    @rule(how=st.sampled_from(ANY), chosen=st.integers(0, 1000))
    def somebody_tampers(self, how: Meddling, chosen: int) -> None:
        """Whatever it is, the monitor names it; and nothing once it is put right."""
        self.loop.run(self._tampered(how, chosen))

    async def _tampered(self, how: Meddling, chosen: int) -> None:
        await ledger.seal(self.database, self.business.id, self.journal, most=ALL)
        async with self.database.read(self.business.id) as db:
            records = sorted(each.event_id for each in await db.many(_RECORDS, Record))
        if not records:
            return
        event_id = records[chosen % len(records)]
        if (event_id, how.kind) in self.settled:
            # What an operator has settled is not told again.
            return
        self.settled.add((event_id, how.kind))
        root = await asyncpg.connect(self.cluster.superuser_url)
        try:
            assert await watched(self.database, self.business) == []
            before = await meddle(root, event_id, how)
            found = await watched(self.database, self.business)
            assert how.kind in about(found, event_id)
            await undo(root, before, how)
        finally:
            await root.close()
        await self._settle()
        assert await watched(self.database, self.business) == []

    async def _settle(self) -> None:
        async with self.database.write(self.business.id) as db:
            for alarm in await ledger.alarms(db):
                assert await ledger.settle(db, Actor.system(), alarm.id, why="It was us.")


def test_it_holds(shared_cluster: Cluster) -> None:
    Consents.cluster = shared_cluster
    run_state_machine_as_test(Consents, settings=PATIENT)
