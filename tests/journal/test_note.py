"""What must outlive the database is on disk outside of it before it is committed."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from crm import above, campaigns, consent, customers, ledger, mail, privacy, staff
from crm.businesses import Business
from crm.consent import Method
from crm.db import Database, Db
from crm.events import Actor
from crm.journal import (
    Campaign,
    Ending,
    Entry,
    Erased,
    Journal,
    JournalAway,
    Keeper,
    Lifted,
    PutBack,
    Restricted,
    Suppressed,
    Watch,
    Withdrawn,
    jobs,
)
from crm.mail import Scope, Why
from crm.privacy import Fingerprint
from crm.staff import NewKey
from tests import make
from tests.conftest import Cluster
from tests.journal.conftest import consented, opened


def _entries(kept: Journal, business: Business, since: int = 0) -> list[Entry]:
    return [entry for each in kept.log(business.id).since(since) for entry in each.entries]


async def _mark(database: Database, business: Business) -> tuple[int, int]:
    found = {each.business_id: each for each in await above.journal_marks(database)}
    return found[business.id].number, found[business.id].owed


async def test_everything_that_stops_mail_is_noted(
    kept: Database, business: Business, journal: Journal
) -> None:
    async with kept.write(business.id) as db:
        nora = await make.customer(db, address="nora.lindqvist@example.com")
        given = await consented(db, nora.id)
        started = await make.campaign(db, given.purpose_id)
        await campaigns.start(db, make.SYSTEM, started.id)
        fingerprint = db.keys.address_hash(business.id, customers.fold(nora.address))
        other = db.keys.address_hash(business.id, "other@example.com")
        await consent.withdraw(db, make.SYSTEM, nora.id, given.purpose_id, method=Method.one_click)
        await mail.suppress(db, make.SYSTEM, other, Scope.all, Why.bounced)
        await mail.suppress(db, make.SYSTEM, other, Scope.all, Why.bounced)
        await customers.restrict(db, make.SYSTEM, nora.id)
    async with kept.write(business.id) as db:
        await mail.lift(db, other)
        await privacy.erase(db, Actor.customer(nora.id), nora.id, fingerprint=Fingerprint.drop)
    her = fingerprint.hex()
    found = _entries(journal, business)
    assert found[0] == Campaign(started.id, "started")
    assert isinstance(found[1], Withdrawn)
    (ended,) = found[1].decisions
    assert (ended.customer_id, ended.purpose_id) == (nora.id, given.purpose_id)
    assert (ended.status, ended.method, ended.address) == ("withdrawn", "one_click", her)
    assert found[2:] == [
        Suppressed([(other.hex(), "all", "bounced")]),
        Restricted(nora.id, frozen=True, address=her),
        Lifted(other.hex()),
        Erased(nora.id, her, dropped=True, by="customer"),
    ]
    assert await _mark(kept, business) == (2, 0)
    assert journal.log(business.id).tail().open == {}
    text = b"".join(path.read_bytes() for path in _files(journal, business))
    assert b"nora" not in text.lower()


def _files(kept: Journal, business: Business) -> list[Path]:
    return sorted((make.place_of(kept) / str(business.id)).glob("entries-*"))


async def test_what_is_not_committed_is_not_counted(
    kept: Database, business: Business, journal: Journal
) -> None:
    async def fails() -> None:
        async with kept.write(business.id) as db:
            await mail.suppress(db, make.SYSTEM, b"h" * 16, Scope.all, Why.bounced)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert _entries(journal, business) == []
    assert await _mark(kept, business) == (0, 0)


async def test_of_two_at_once_each_has_a_number(
    kept: Database, business: Business, journal: Journal
) -> None:
    async def silence(number: int) -> None:
        async with kept.write(business.id) as db:
            await mail.suppress(db, make.SYSTEM, bytes([number] * 16), Scope.all, Why.bounced)

    await asyncio.gather(*(silence(number) for number in range(20)))
    written = list(journal.log(business.id).since(0))
    # In the order of the commits: each knows the one before as committed.
    assert [(each.n, each.after) for each in written] == [(n + 1, n) for n in range(20)]
    assert await _mark(kept, business) == (20, 0)


Away = Callable[[Journal, Business], None]


def _in_the_way(kept: Journal, business: Business) -> None:
    """No directory can be made where a file is: nobody is above that, root neither."""
    shutil.rmtree(make.place_of(kept), ignore_errors=True)
    make.place_of(kept).write_text("")


def _vanished(kept: Journal, business: Business) -> None:
    shutil.rmtree(make.place_of(kept) / str(business.id))


def _older(kept: Journal, business: Business) -> None:
    """An older state was put back: all but the last entry."""
    (path,) = _files(kept, business)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:-3]) + b"\n")


def _full(kept: Journal, business: Business) -> None:
    """No file may grow beyond this one: writing to it fails as it does where no room is left."""
    (path,) = _files(kept, business)
    # Larger than whatever else is written meanwhile.
    path.write_bytes(path.read_bytes() + b"~" * 1_000_000 + b"\n")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))


@pytest.fixture
def room() -> Iterator[None]:
    """Files may grow again when the test is over."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("away", [_in_the_way, _vanished, _older, _full])
async def test_without_a_journal_leaving_is_taken_and_the_rest_refused(
    kept: Database, business: Business, journal: Journal, away: Away
) -> None:
    async with kept.write(business.id) as db:
        nora, zoe = await make.customer(db), await make.customer(db, address="zoe@example.com")
        given = await consented(db, nora.id)
        draft = await make.campaign(db, given.purpose_id)
        frozen = await make.customer(db, address="frozen@example.com")
        await customers.restrict(db, make.SYSTEM, frozen.id)
        new = NewKey(name="Shop", scopes=[], reason="to answer")
        key, _ = await staff.add_key(db, make.SYSTEM, new)
    for number in range(2):
        async with kept.write(business.id) as db:
            await mail.suppress(db, make.SYSTEM, bytes([number] * 16), Scope.all, Why.bounced)
    away(journal, business)
    async with kept.write(business.id) as db:
        await consent.withdraw(db, make.SYSTEM, nora.id, given.purpose_id, method=Method.one_click)
        await staff.revoke_key(db, make.SYSTEM, key.id)

    async def erase(db: Db) -> None:
        await privacy.erase(db, make.SYSTEM, zoe.id)

    async def start(db: Db) -> None:
        await campaigns.start(db, make.SYSTEM, draft.id)

    async def free(db: Db) -> None:
        await customers.unrestrict(db, make.SYSTEM, frozen.id)

    async def plan(db: Db) -> None:
        await privacy.plan(db, zoe, Fingerprint.keep)

    for refused in (erase, start, free, plan):
        with pytest.raises(JournalAway):
            await _do(kept, business, refused)
    async with kept.read(business.id) as read:
        state = await consent.state(read, nora.id, given.purpose_id)
        assert state is not None
        assert state.status == "withdrawn"
        assert (await customers.get(read, zoe.id)).address == "zoe@example.com"
        assert (await campaigns.get(read, draft.id)).state == "draft"
        assert (await customers.get(read, frozen.id)).restricted_at is not None
    assert await _mark(kept, business) == (3, 2)
    # The job tries, and what is owed stays owed.
    await jobs.pay({"database": kept, "watch": _watch(kept)})
    assert await _mark(kept, business) == (3, 2)


def _watch(kept: Database) -> Watch:
    assert isinstance(kept.keep, Keeper)
    return ledger.journal_watch(kept, kept.keep)


async def _do(kept: Database, business: Business, act: Callable[[Db], Awaitable[Any]]) -> None:
    async with kept.write(business.id) as db:
        await act(db)


async def test_what_is_owed_is_written_when_the_journal_is_back(
    kept: Database, business: Business, journal: Journal, tmp_path: Path
) -> None:
    async with kept.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, b"a" * 16, Scope.all, Why.bounced)
    place = make.place_of(journal)
    place.rename(tmp_path / "elsewhere")
    place.write_text("")
    async with kept.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, b"b" * 16, Scope.all, Why.complained)
    assert await _mark(kept, business) == (1, 1)
    place.unlink()
    (tmp_path / "elsewhere").rename(place)
    await jobs.pay({"database": kept, "watch": _watch(kept)})
    assert await _mark(kept, business) == (2, 0)
    assert journal.log(business.id).tail().open == {}
    assert _entries(journal, business, 1) == [
        Suppressed([((b"b" * 16).hex(), "all", "complained")])
    ]
    assert [line.owed for line in journal.log(business.id).since(0)] == [0, 1]


async def test_a_commit_that_was_refused_is_told_when_the_journal_is_back(
    kept: Database, business: Business, journal: Journal, tmp_path: Path
) -> None:
    """Before the next line, so that no restore replays it."""
    place, keeper = make.place_of(journal), kept.keep
    assert isinstance(keeper, Keeper)
    transaction = kept.write(business.id)
    db = await transaction.begin()
    db.note(Restricted(uuid4(), frozen=False))
    told = await keeper(db)
    assert told is not None
    await transaction.roll_back()
    place.rename(tmp_path / "elsewhere")
    place.write_text("")
    await told(False)  # noqa: FBT003  (an answer)
    place.unlink()
    (tmp_path / "elsewhere").rename(place)
    assert list(journal.log(business.id).tail().open) == [1]
    async with kept.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, b"b" * 16, Scope.all, Why.complained)
    assert journal.log(business.id).settled(0) == {1: Ending.refused}
    assert journal.log(business.id).tail().open == {}


async def test_a_database_that_was_put_back_takes_nothing(
    kept: Database, business: Business, journal: Journal, root: asyncpg.Connection
) -> None:
    async with kept.write(business.id) as db:
        nora = await make.customer(db)
        given = await consented(db, nora.id)
    for number in range(2):
        async with kept.write(business.id) as db:
            await mail.suppress(db, make.SYSTEM, bytes([number] * 16), Scope.all, Why.bounced)
    await root.execute("UPDATE crm.journal_mark SET number = 1 WHERE business_id = $1", business.id)
    with pytest.raises(PutBack):
        async with kept.write(business.id) as db:
            await consent.withdraw(
                db, make.SYSTEM, nora.id, given.purpose_id, method=Method.one_click
            )
    async with kept.read(business.id) as db:
        state = await consent.state(db, nora.id, given.purpose_id)
    assert state is not None
    assert state.status == "given"


async def test_a_campaign_that_sends_says_so(own_cluster: Cluster, journal: Journal) -> None:
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            purpose = await make.purpose(db)
            sending, resting = [await make.campaign(db, purpose.id) for _ in range(2)]
        conn = await asyncpg.connect(own_cluster.superuser_url)
        await conn.execute(
            "UPDATE crm.campaign SET state = 'sending' WHERE campaign_id = $1", sending.id
        )
        await conn.close()
        await jobs.beat({"database": database})
        assert _entries(journal, business) == [Campaign(sending.id, "sending")]
        assert resting.id != sending.id
