"""Who was no customer and had everything deleted is deleted again, and only until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from crm import mail, privacy
from crm.businesses import Business
from crm.db import Database, Db
from crm.journal import Entry, Forgotten, Journal
from crm.mail import Letter, LetterKind, Scope, Why
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy.requests.model import Proof, Way
from crm.restore.replaying import replay
from tests import make
from tests.conftest import KEYS, Cluster
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
