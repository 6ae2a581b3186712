"""What a backup brings back that was over by then: nothing of it goes on by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from crm import access, campaigns, customers, imports, mail, privacy, restore, staff
from crm.access import Choice, NewSignup
from crm.businesses import Business
from crm.campaigns import State, jobs
from crm.consent import Network
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor, ActorKind
from crm.journal import Journal
from crm.privacy import NewRequest, RequestKind, requests, restriction
from crm.privacy.erasure import certifying
from crm.privacy.requests.model import Way
from crm.staff import Member, NewKey, Scope
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import MARKED, backed_up, places_of, put_back, replayed
from tests.rhythm import test_digest as digests
from tests.rhythm.test_obey import at, ctx
from tests.rhythm.test_obey import opened as shop_opened

LIST = "email,name\nlist@example.com,Marked Lisa\n"


class Back(Struct):
    """A business whose database was put back, and who was erased after the backup."""

    business: Business
    backup: Cluster
    otto: Customer
    vera: Customer
    erased_at: datetime
    # Whose number the backup does not know: her address it does.
    mia: Customer
    # Revoked after the backup, as the first member was disabled; the second was for a while.
    key: UUID
    members: list[Member]


async def _before(database: Database, business: Business) -> tuple[Customer, Customer]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        otto = await make.customer(db, address="otto@example.com")
        vera = await make.customer(db, address="vera@example.com")
        new = NewSignup(
            address=customers.parse(MARKED),
            name="Marked Mia",
            locale="en",
            choices=(Choice(notice.purpose_id, notice.id),),
            page="https://corner-bakery.example/marked",
            network=Network("192.0.2.44", "Browser/1"),
        )
        await access.start(db, new)
        asks = NewRequest(kind=RequestKind.access, address=MARKED, name="Marked", words="marked")
        await requests.receive(db, make.SYSTEM, asks, way=Way.letter, proof=None)
        await make.signed_in(db, vera.id)
        await customers.restrict(db, make.SYSTEM, vera.id)
        await restriction.announce(db, make.SYSTEM, vera.id)
        await make.received(db, purpose.slug, LIST)
    return otto, vera


@pytest.fixture
async def back(own_cluster: Cluster, journal: Journal) -> AsyncIterator[Back]:
    """Erased after the backup: Otto by a member of staff, and Mia, who had confirmed meanwhile."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        otto, vera = await _before(database, business)
        async with database.write(business.id) as db:
            members = [await make.owner(db) for _ in range(3)]
            new = NewKey(name="Shop", scopes=list(Scope), reason="to answer")
            key, _ = await staff.add_key(db, make.SYSTEM, new)
    async with backed_up(own_cluster) as backup:
        conn = await asyncpg.connect(backup.superuser_url)
        await conn.execute(
            "INSERT INTO crm.session (business_id, token_hash, member_id, created_at, seen_at,"
            " expires_at) SELECT business_id, sha256(member_id::text::bytea), member_id, now(),"
            " now(), now() + interval '1 hour' FROM crm.member"
        )
        await conn.close()
        async with opened(own_cluster, journal) as database:
            async with database.write(business.id) as db:
                erased = await privacy.erase(db, members[2].actor, otto.id)
                await staff.revoke_key(db, make.SYSTEM, key.id)
                for each in members[:2]:
                    await staff.disable(db, make.SYSTEM, each.id)
                await staff.enable(db, make.SYSTEM, members[1].id)
            async with database.write(business.id) as db:
                mia = await make.customer(db, address=MARKED)
                await privacy.erase(db, Actor.customer(mia.id), mia.id)
        yield Back(business, backup, otto, vera, erased.erased_at, mia, key.id, members)


async def test_who_is_known_by_her_address_only_is_forgotten(
    back: Back, journal: Journal, redis_url: str
) -> None:
    """Her sign-up, the letter that answered it, and what she asked by letter."""
    async with put_back(back.backup, journal) as (database, watch):
        there = await places_of(back.backup, journal, redis_url, "marked")
        assert {"signup", "service_message", "privacy_request"} <= there
        await replayed(back.backup, watch.keeper, back.business.id)
        assert await places_of(back.backup, journal, redis_url, "marked") == set()
        async with database.read(back.business.id) as read:
            fingerprint = KEYS.address_hash(back.business.id, MARKED.lower())
            kept = await mail.suppressed(read, fingerprint)
        assert kept is not None
        assert kept.reason is mail.Why.erased


async def test_an_erasure_keeps_its_day_and_who_had_it_done(back: Back, journal: Journal) -> None:
    async with put_back(back.backup, journal) as (database, watch):
        await replayed(back.backup, watch.keeper, back.business.id)
        async with database.read(back.business.id) as read:
            signed = (await certifying.certificate(read, back.otto.id)).certificate
            tombstone = (await customers.of_ids(read, [back.otto.id]))[back.otto.id]
        (line,) = [
            each.at
            for each in journal.log(back.business.id).since(0)
            if any(getattr(one, "customer_id", None) == back.otto.id for one in each.entries)
        ]
        assert tombstone.erased_at == signed.erased_at == line == back.erased_at
        assert signed.asked_by is ActorKind.member
        # Also where the link to it is all that is left of her.
        async with database.read(back.business.id) as read:
            hers = (await certifying.certificate(read, back.mia.id)).certificate
        assert hers.asked_by is ActorKind.customer
        assert {each.table for each in hers.stores} >= {"signup", "service_message"}


async def test_whoever_was_shut_out_stays_out(back: Back, journal: Journal) -> None:
    async with put_back(back.backup, journal) as (database, watch):
        await replayed(back.backup, watch.keeper, back.business.id)
        async with database.read(back.business.id) as read:
            disabled = [(await staff.member(read, each.id)).disabled_at for each in back.members]
            (key,) = await staff.api_keys(read)
        assert [each is not None for each in disabled] == [True, False, False]
        assert key.revoked_at is not None


async def test_nothing_that_waited_goes_on(back: Back, journal: Journal) -> None:
    """Nobody stays signed in, no list is taken in, and no freeze ends that she may have kept."""
    async with put_back(back.backup, journal) as (database, watch):
        done = await replayed(back.backup, watch.keeper, back.business.id)
        # One confirmation, and what tells Vera that her freeze ends.
        assert done.stopped == restore.Stopped(letters=2, lists=1, ends_of_freezes=1)
        conn = await asyncpg.connect(back.backup.superuser_url)
        for table in ("portal_session", "portal_link", "session", "import_file", "restriction_end"):
            assert await conn.fetchval(f"SELECT count(*) FROM crm.{table}") == 0, table  # noqa: S608
        await conn.close()
        async with database.read(back.business.id) as read:
            (failed,) = await imports.page(read)
            assert (failed.state, "Give it again" in failed.problem) == ("failed", True)
            assert (await customers.get(read, back.vera.id)).restricted_at is not None


async def test_a_digest_that_may_have_gone_is_held(database: Database) -> None:
    """Of the week that was over nobody knows; the one that is under way comes in its time."""
    friday = datetime(2030, 6, 7, 9, tzinfo=UTC)
    now = at(database, digests.TUESDAY)
    later = at(database, friday + timedelta(minutes=5))
    shop = await shop_opened(now, 2)
    await digests.offered(now, shop, *shop.readers)
    await digests.issue(now, shop, "Rye")
    held = await campaigns.hold_restored(later, shop.business.id, [])
    (digest,) = [each for each in held if each.subject == digests.PLAN.subject]
    assert await campaigns.hold_restored(later, shop.business.id, []) == []
    assert await digests.made(later, shop) == []
    async with later.read(shop.business.id) as db:
        assert (await campaigns.get(db, digest.id)).state is State.held
        (plan,) = await campaigns.digest_plans(db)
        assert plan.due_at == friday + timedelta(days=7)
    await jobs.sweep_digests(ctx(later, 1))
    async with later.write(shop.business.id) as db:
        # Staff look at it, and let it go.
        assert (await campaigns.start(db, make.SYSTEM, digest.id)).state is State.starting
