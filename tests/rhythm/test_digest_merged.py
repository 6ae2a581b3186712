"""Two records that are merged get an issue once, singly or in a digest."""

from __future__ import annotations

from uuid import UUID

import pytest

from crm import campaigns
from crm.campaigns import jobs
from crm.db import Database
from crm.rhythm import Wanted
from tests import make
from tests.rhythm.test_digest import FRIDAY, HOUR, TUESDAY, gone, issue, made, offered
from tests.rhythm.test_digest_sets import merged, subjects, written
from tests.rhythm.test_obey import Shop, at, counted, ctx, opened, wishes, worked
from tests.smtpd import smtpd


async def third_record(database: Database, shop: Shop) -> UUID:
    """Return a record of hers that no campaign was for."""
    async with database.write(shop.business.id) as db:
        return (await make.customer(db)).id


@pytest.mark.parametrize("all_of_it", [True, False])
async def test_a_digest_waits_and_its_issues_went_singly(
    database: Database, *, all_of_it: bool
) -> None:
    """It is left out; one with something new to her goes."""
    now, friday = at(database, TUESDAY), at(database, FRIDAY)
    shop = await opened(now, 2)
    kept, other = shop.readers
    await offered(now, shop, kept)
    async with smtpd() as relay:
        await worked(now, shop, await issue(now, shop, "Rye"), relay)
        if not all_of_it:
            relay.fails_for("reader1@example.com", "rcpt", "550 5.1.1 No such mailbox")
        await worked(now, shop, await issue(now, shop, "Cake"), relay)
    async with smtpd() as relay:
        (digest,) = await made(friday, shop)
        await written(friday, shop, digest)
        await merged(friday, shop, kept, other)
        await jobs.send(ctx(friday, relay.port), str(shop.business.id), str(digest))
        assert len(relay.messages) == (not all_of_it)
    async with friday.read(shop.business.id) as db:
        counts = await campaigns.recount(db, digest)
        assert counts == await campaigns.counts(db, digest)
    assert counts.reasons == ({"merged": 1} if all_of_it else {})


@pytest.mark.parametrize("chain", [False, True])
async def test_an_issue_waits_and_went_in_a_digest(database: Database, *, chain: bool) -> None:
    """She pauses; what another of her records has in its digest does not come again singly."""
    now, friday = at(database, FRIDAY - 3 * HOUR), at(database, FRIDAY)
    shop = await opened(now, 2)
    kept, other = shop.readers
    await offered(now, shop, other)
    await wishes(now, shop, Wanted(None, FRIDAY + HOUR), kept)
    rye = await issue(now, shop, "Rye")
    async with smtpd() as relay:
        await worked(now, shop, rye, relay)
        (digest,) = await made(friday, shop)
        await gone(friday, shop, digest, relay)
        if chain:
            between = await third_record(friday, shop)
            await merged(friday, shop, between, other)
            other = between
        await merged(friday, shop, kept, other)
        assert (await counted(friday, shop, rye)).reasons == {"digest": 1, "merged": 1}
        await worked(at(database, FRIDAY + 2 * HOUR), shop, rye, relay)
    assert [subjects(each) for each in relay.messages] == [{"Rye"}]
