"""A journal that hangs, as a shared directory does when its server is gone: nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from msgspec import Struct

from crm import above, consent, ledger, mail, privacy
from crm.businesses import Business
from crm.consent import Method
from crm.db import Database, open_database
from crm.journal import Directory, Erased, Journal, JournalAway, Keeper, Suppressed, Watch, jobs
from crm.mail import Scope, Why
from tests import make
from tests.conftest import KEYS, Cluster

READERS = 20


class _Hanging(Directory):
    """A directory on a server that can go away: whoever asks then, waits until it is back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answers = Event()
        self.answers.set()
        self.asked = 0

    @contextmanager
    def locked(self, folder: str) -> Iterator[None]:
        self.asked += 1
        self.answers.wait()
        with super().locked(folder):
            yield

    def names(self, folder: str) -> list[str]:
        self.answers.wait()
        return super().names(folder)


class Hung(Struct):
    """A database, its journal, and what looks at both."""

    database: Database
    store: _Hanging
    watch: Watch


@pytest.fixture
async def hung(shared_cluster: Cluster, tmp_path: Path) -> AsyncIterator[Hung]:
    store = _Hanging(tmp_path / "journal")
    keeper = Keeper(Journal(store))
    async with open_database(shared_cluster.app_url, KEYS, size=4, keep=keeper) as database:
        watch = ledger.journal_watch(database, keeper)
        await watch.look()
        yield Hung(database, store, watch)
        store.answers.set()


async def _owed(hung: Hung, business: Business) -> int:
    marks = await above.journal_marks(hung.database)
    return next(each.owed for each in marks if each.business_id == business.id)


async def test_leaving_waits_for_it_once(hung: Hung, business: Business) -> None:
    """Twenty leave at once: the store is asked by the first, and the others are taken at once."""
    database = hung.database
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        readers = await make.audience(db, notice, READERS)
        await mail.suppress(db, make.SYSTEM, b"a" * 16, Scope.all, Why.bounced)

    async def leave(number: int) -> None:
        async with database.write(business.id) as db:
            await consent.withdraw(
                db, make.SYSTEM, readers[number], notice.purpose_id, method=Method.one_click
            )

    hung.store.answers.clear()
    before = hung.store.asked
    await asyncio.gather(*map(leave, range(READERS)))
    assert hung.store.asked == before + 1
    assert await _owed(hung, business) == READERS
    # What may be refused is, at once; what was seen before stands, though connections are new.
    with pytest.raises(JournalAway):
        async with database.write(business.id) as db:
            await privacy.erase(db, make.SYSTEM, readers[0])
    database.connections.opened += 1
    assert not await hung.watch.stops()
    assert hung.store.asked == before + 1


async def test_it_is_asked_again_when_it_has_rested(
    hung: Hung, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was owed stands in the journal before what came when it was back."""
    monkeypatch.setattr("crm.journal.keeper._REST", 0.0)
    async with hung.database.write(business.id) as db:
        nora = await make.customer(db)
        await mail.suppress(db, make.SYSTEM, b"a" * 16, Scope.all, Why.bounced)
    hung.store.answers.clear()
    async with hung.database.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, b"b" * 16, Scope.all, Why.bounced)
    assert await _owed(hung, business) == 1
    hung.store.answers.set()
    async with hung.database.write(business.id) as db:
        await privacy.erase(db, make.SYSTEM, nora.id)
    assert await _owed(hung, business) == 0
    *_, last = hung.watch.keeper.journal.log(business.id).since(0)
    first, *rest = last.entries
    assert first == Suppressed([((b"b" * 16).hex(), "all", "bounced")])
    assert any(isinstance(each, Erased) for each in rest)
    await jobs.pay({"database": hung.database, "watch": hung.watch})
    assert list(hung.watch.keeper.journal.log(business.id).since(last.n)) == []


async def test_a_store_that_refuses_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks whether it is back, and is refused, keeps nobody else from asking."""
    keeper, answers = Keeper(Journal(tmp_path)), Event()
    with pytest.raises(TimeoutError):
        await keeper.do(answers.wait, 0.05)
    answers.set()
    assert keeper.rests
    later = monotonic() + 60
    monkeypatch.setattr("crm.journal.keeper.monotonic", lambda: later)
    assert not keeper.rests
    with pytest.raises(FileNotFoundError):
        await keeper.do((tmp_path / "nowhere").read_bytes)
    assert not keeper.rests
