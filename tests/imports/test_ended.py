"""Whose consent has ended, and not by her: a list fills what she lacks, and revives nothing."""

from __future__ import annotations

from uuid import UUID

from crm import consent, customers, mail
from crm.businesses import Business
from crm.consent import Status
from crm.consent.ageing import lapse
from crm.customers import NewTag
from crm.db import Database, Db
from crm.events import Actor
from tests.imports import lists
from tests.imports.lists import HEADER, declared, held, letter, report, row, take, tally

_BY = Actor.system()
_SENTENCE = "Not mailable: what this customer allowed has ended, and only she can allow it again."
_OLD = {"asked": "2015-01-02 03:04:05", "confirmed": "2015-01-02 03:05:05"}
_TEXT = (HEADER.strip() + ",City,Town\n") + (
    row("old@example.com", "Olga", tags="vip,friends,bakes", **_OLD).strip() + ",Oslo,Voss\n"
)


async def _declare(db: Db, tag: str, attribute: str = "", purpose_id: UUID | None = None) -> None:
    new = NewTag(label=tag, purpose="To greet her.", retention="P1Y", purpose_id=purpose_id)
    await customers.declare_tag(db, _BY, tag, new)
    if attribute:
        await declared(db, attribute, purpose_id)


async def _known(database: Database, business: Business) -> tuple[set[str], set[object]]:
    async with database.read(business.id) as db:
        her = await customers.by_address(db, "old@example.com")
        assert her is not None
        tags = {each.name for each in await customers.tags_of(db, her.id)}
        return tags, {each.value for each in await customers.values(db, her.id)}


async def test_it_works(database: Database, business: Business) -> None:
    """What is for a purpose that she does not allow now stays out."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await _declare(db, "vip")
    await take(database, business.id, _TEXT)
    async with database.write(business.id) as db:
        assert await lapse(db) == 1
        await _declare(db, "friends", "city")
        await _declare(db, "bakes", "town", notice.purpose_id)
    before = await held(database, notice, business.id, "old@example.com")

    second = await take(database, business.id, _TEXT)
    third = await take(database, business.id, _TEXT)

    assert await _known(database, business) == ({"vip", "friends"}, {"Oslo"})
    after = await held(database, notice, business.id, "old@example.com")
    assert before == after
    assert (after.status, after.mailable) == (Status.expired, False)
    assert {each.reason for each in await report(database, business.id, second.id)} == {
        _SENTENCE,
        "The value of town was left out: it is for a purpose that is not allowed.",
        "The tag bakes was left out: it is for a purpose that is not allowed.",
    }
    assert (tally(second), tally(third)) == ((0, 1, 0, 0), (0, 0, 1, 0))
    assert (second.given, third.given) == (0, 0)


async def test_who_left_or_is_silenced_since_gets_nothing(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    await take(database, business.id, _TEXT)
    async with database.write(business.id) as db:
        assert await lapse(db) == 1
        await _declare(db, "vip", "city")
        hashed = lists.hash_of(db, "old@example.com")
        await mail.suppress(db, _BY, hashed, mail.Scope.all, mail.Why.bounced)

    silenced = await take(database, business.id, _TEXT)
    async with database.write(business.id) as db:
        her = await customers.by_address(db, "old@example.com")
        assert her is not None
        await consent.withdraw(db, _BY, her.id, notice.purpose_id, method=consent.Method.portal)
    left = await take(database, business.id, _TEXT)

    assert await _known(database, business) == (set(), set())
    reasons = [
        [each.reason for each in await report(database, business.id, done.id) if each.line == 2]
        for done in (silenced, left)
    ]
    assert ["suppressed" in reasons[0][0], "has left" in reasons[1][0]] == [True, True]
    assert (tally(silenced), tally(left)) == ((0, 0, 1, 0), (0, 0, 1, 0))
