"""A list that waited until no yes counts any more: who leaves by it has left all the same."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from crm import consent, imports
from crm.businesses import Business
from crm.consent import Notice, Status, ageing
from crm.db import Database
from crm.imports import Import, PurposeOutOfUse, State, quarantine
from tests import make
from tests.imports.lists import HEADER, LEFT, SLUG, held, letter, recorded, report, row, take, tally

NORA, ADA, ZOE, BEA = (f"{name}@example.com" for name in ("nora", "ada", "zoe", "bea"))
LIST = (
    HEADER
    + row(NORA, "Nora")
    + row(ADA, left=LEFT)
    + row(ZOE, gone=LEFT)
    + row(BEA, asked="", confirmed="")
)


async def _waiting(database: Database, business_id: UUID, text: str = LIST) -> UUID:
    async with database.write(business_id) as db:
        return (await make.received(db, SLUG, text)).id


async def _worked(database: Database, business_id: UUID, import_id: UUID) -> Import:
    done = await imports.work_waiting(database, business_id, import_id)
    assert done is not None
    assert done.state is State.done
    return done


async def _other_words(database: Database, business_id: UUID, notice: Notice) -> Database:
    """Publish other words; return the books of a day when a yes to the present ones has ended."""
    async with database.write(business_id) as db:
        await make.other_words(db, notice.purpose_id, grace=timedelta(days=1))
        then = db.now + timedelta(days=2)
    return Database(database.connections, database.keys, database.wake, lambda: then)


async def test_by_words_that_ended_meanwhile_a_yes_is_unproven(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    waits = await _waiting(database, business.id)
    later = await _other_words(database, business.id, notice)

    done = await _worked(later, business.id, waits)

    assert tally(done) == (4, 0, 0, 0)
    assert recorded(done) == (0, 1, 2, 1)
    async with later.read(business.id) as db:
        apart = {each.line: each.why for each in await quarantine.quarantined(db, done.id)}
    assert apart.keys() == {2, 5}
    assert "Import it again" in apart[2]
    assert "no time of a sign-up" in apart[5]
    said = {each.line: each.reason for each in await report(database, business.id, done.id)}
    assert said == apart
    nora = await held(later, notice, business.id, NORA)
    assert (nora.name, nora.status, nora.allowed) == ("Nora", Status.unknown, False)
    assert (await held(later, notice, business.id, ADA)).status is Status.withdrawn
    assert (await held(later, notice, business.id, ZOE)).suppressed


async def test_imported_again_it_counts_by_the_new_words(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    text = HEADER + row(NORA) + row(ADA, left=LEFT)
    waits = await _waiting(database, business.id, text)
    later = await _other_words(database, business.id, notice)
    await _worked(later, business.id, waits)
    async with later.write(business.id) as db:
        await make.notice(db, notice.purpose_id)

    done = await take(later, business.id, text)

    assert recorded(done) == (1, 0, 0, 0)
    assert (await held(later, notice, business.id, NORA)).mailable
    assert (await held(later, notice, business.id, ADA)).status is Status.withdrawn


async def test_who_allowed_it_and_left_by_such_a_list_has_left(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    await take(database, business.id, HEADER + row(NORA) + row(ADA))
    waits = await _waiting(database, business.id)
    later = await _other_words(database, business.id, notice)

    await _worked(later, business.id, waits)

    assert (await held(later, notice, business.id, NORA)).status is Status.given
    assert (await held(later, notice, business.id, ADA)).status is Status.withdrawn


@pytest.mark.parametrize("known", [True, False])
async def test_for_a_purpose_retired_meanwhile_only_who_leaves_and_what_bounced_is_taken(
    database: Database, business: Business, *, known: bool
) -> None:
    """As a single decision: a no counts, and nothing is begun by a yes."""
    notice = await letter(database, business.id)
    if known:
        await take(database, business.id, HEADER + row(NORA) + row(ADA))
    waits = await _waiting(database, business.id)
    async with database.write(business.id) as db:
        await consent.retire(db, make.SYSTEM, notice.purpose_id)
    async with database.write(business.id) as db:
        await ageing.lapse(db)

    done = await _worked(database, business.id, waits)

    assert tally(done) == ((1, 1, 1, 1) if known else (2, 0, 0, 2))
    assert recorded(done) == (0, 1, 0, 1)
    said = {each.line: each.reason for each in await report(database, business.id, done.id)}
    assert said.keys() == {2, 5}
    assert all("retired" in reason for reason in said.values())
    nora = await held(database, notice, business.id, NORA)
    assert (nora.known, nora.status) == (known, Status.revoked if known else None)
    assert (await held(database, notice, business.id, ADA)).status is Status.withdrawn
    assert (await held(database, notice, business.id, ZOE)).suppressed


async def test_a_list_for_a_purpose_that_is_retired_already_is_refused(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await consent.retire(db, make.SYSTEM, notice.purpose_id)

    with pytest.raises(PurposeOutOfUse):
        await take(database, business.id, LIST)
