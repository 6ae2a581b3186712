"""Who was no customer and had everything deleted is deleted again, and only until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from crm import consent, mail, privacy
from crm.businesses import Business
from crm.db import Database, Db
from crm.events import Actor
from crm.journal import Entry, Forgotten, Journal, Suppressed
from crm.mail import Letter, LetterKind, Scope, Why
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy.requests.model import Proof, Way
from crm.restore.replaying import replay
from tests import make
from tests.conftest import KEYS, Cluster
from tests.imports import lists
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, places_of, put_back, replayed

BY = make.SYSTEM
ADDRESS = "Marked-Zoe@Example.com"


def _hash(business_id: UUID) -> bytes:
    return KEYS.address_hash(business_id, ADDRESS.lower())


async def _asks(db: Db, kind: RequestKind) -> UUID:
    new = NewRequest(kind=kind, address=ADDRESS, name="Marked", words="I was marked in May.")
    return (await requests.receive(db, BY, new, way=Way.mail, proof=Proof.mailbox)).id


async def _answered(db: Db) -> UUID:
    """Answer a question of hers, in a letter."""
    asked = await _asks(db, RequestKind.access)
    await requests.answer(db, BY, asked, "Nothing.")
    return asked


async def _deleted(db: Db) -> tuple[list[Entry], datetime]:
    """Delete what is kept, as she asks; return what the journal has of it, and of when."""
    await privacy.fulfil(db, BY, await _asks(db, RequestKind.erasure), "All is deleted.", told=True)
    return list(db.noted), db.now


@pytest.mark.parametrize("silenced", [False, True])
async def test_she_is_deleted_again(
    own_cluster: Cluster, journal: Journal, redis_url: str, *, silenced: bool
) -> None:
    """Her questions, her name and the letters to her, also where she was mailed nothing before."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            await _answered(db)
            if silenced:
                await mail.suppress(db, BY, _hash(business.id), Scope.marketing, Why.left)
    async with backed_up(own_cluster) as backup:
        async with (
            opened(own_cluster, journal) as database,
            database.write(business.id) as db,
        ):
            await _deleted(db)
        async with put_back(backup, journal) as (database, watch):
            there = await places_of(backup, journal, redis_url, "marked")
            assert {"privacy_request", "service_message"} <= there
            done = await replayed(backup, watch.keeper, business.id)
            assert done.lost.entries["forgotten"] == 1
            assert await places_of(backup, journal, redis_url, "marked") == set()
            async with database.read(business.id) as read:
                assert await mail.suppressed(read, _hash(business.id)) is not None


async def test_what_came_later_stays(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        before = await _answered(db)
        noted, at = await _deleted(db)
    assert Forgotten(_hash(business.id).hex()) in noted
    async with database.write(business.id) as db:
        later = await _asks(db, RequestKind.access)
        letter = Letter(
            kind=LetterKind.notice,
            address=ADDRESS,
            address_hash=_hash(business.id),
            subject="Later",
            text="Words",
            html="<p>Words</p>",
            locale="en",
        )
        await mail.post_letter(db, letter)
    async with database.write(business.id) as db:
        for each in noted:
            await replay(db, each, at, unless_since=at + timedelta(minutes=1))
        assert (await requests.get(db, before)).words == ""
        assert (await requests.get(db, later)).words == "I was marked in May."
        assert len(await mail.actions.claim_letters(db, 10)) == 1


async def _replayed(
    database: Database, business: Business, entries: list[Entry], at: datetime, *, certain: bool
) -> None:
    since = None if certain else at + timedelta(minutes=1)
    async with database.write(business.id) as db:
        for each in entries:
            await replay(db, each, at, unless_since=since)


def _line(business_id: UUID) -> list[Entry]:
    """What the journal has of it where nothing was mailed to her before."""
    fingerprint = _hash(business_id).hex()
    silenced = Suppressed([(fingerprint, Scope.marketing, Why.erased)])
    return [silenced, Forgotten(fingerprint)]


async def _says_yes(database: Database, business: Business) -> UUID:
    """Make her a customer who allows the letter by her own word."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        her = (await make.customer(db, address=ADDRESS)).id
        word = await make.own_word(db, her)
        await consent.give(db, Actor.customer(her), her, notice.question, word)
    return her


async def _why(database: Database, business: Business) -> Why | None:
    async with database.read(business.id) as db:
        found = await mail.suppressed(db, _hash(business.id))
        return found.reason if found else None


async def test_what_is_noted_is_what_these_tests_replay(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        noted, _ = await _deleted(db)
    assert noted == _line(business.id)


@pytest.mark.parametrize("certain", [True, False])
async def test_a_yes_of_hers_since_stands(
    database: Database, business: Business, *, certain: bool
) -> None:
    """The transaction of the line failed, and she signed up before it was looked at again."""
    her = await _says_yes(database, business)
    async with database.read(business.id) as read:
        at = read.now - timedelta(days=2)

    await _replayed(database, business, _line(business.id), at, certain=certain)

    assert await _why(database, business) is None
    async with database.read(business.id) as read:
        [allowed] = await consent.allowed(read, her)
        assert allowed.authorises


async def test_a_yes_from_before_the_line_does_not(database: Database, business: Business) -> None:
    """A backup knows a customer by an address that she had left before the other one asked."""
    await _says_yes(database, business)
    async with database.read(business.id) as read:
        at = read.now + timedelta(days=2)

    await _replayed(database, business, _line(business.id), at, certain=True)

    assert await _why(database, business) is Why.erased


@pytest.mark.parametrize("there", [True, False])
async def test_without_a_word_of_hers_nothing_is_mailed_there(
    database: Database, business: Business, *, there: bool
) -> None:
    """Nobody has the address, or somebody by a list that would not have brought her back."""
    if there:
        await lists.letter(database, business.id)
        await lists.take(database, business.id, lists.HEADER + lists.row(ADDRESS))
    async with database.read(business.id) as read:
        at = read.now - timedelta(days=2)

    await _replayed(database, business, _line(business.id), at, certain=False)

    assert await _why(database, business) is Why.erased
