"""The review: who would get it and who not, by reason, and the parts are the whole."""

from __future__ import annotations

from crm import campaigns, consent, customers, mail
from crm.businesses import Business
from crm.campaigns import Review
from crm.consent import Circumstances, Method
from crm.db import Database
from crm.events import Actor
from tests import make
from tests.campaigns.site import drafted

SYSTEM = Actor.system()


async def test_each_reason_is_counted(database: Database, business: Business) -> None:
    """One customer for each reason there can be before a start, and one who gets it."""
    campaign, notice, ids = await drafted(database, business, 5)
    _, left, frozen, blocked, erased = ids
    async with database.write(business.id) as db:
        await consent.withdraw(
            db, Actor.customer(left), left, campaign.purpose_id, method=Method.portal
        )
        await customers.restrict(db, SYSTEM, frozen)
        address = (await customers.get(db, blocked)).address
        fingerprint = db.keys.address_hash(business.id, address)
        await mail.suppress(db, SYSTEM, fingerprint, mail.Scope.marketing, mail.Why.bounced)
        await customers.forget(db, erased)
        new = customers.NewCustomer(address="asked@example.com")
        asked = await customers.add(db, SYSTEM, new, source=customers.Source.sign_up)
        by, form = Actor.customer(asked.id), Circumstances(Method.web_form)
        await consent.request(db, by, asked.id, notice.question, form)
    async with database.read(business.id) as db:
        review = await campaigns.review(db, campaign.id)

    assert review == Review(
        1, {"withdrawn": 1, "frozen": 1, "suppressed": 1, "erased": 1, "no_consent": 1}
    )
    assert review.audience == 6


async def test_another_purpose_and_another_business_do_not_count(
    database: Database, business: Business, other_business: Business
) -> None:
    """The audience is that of the campaign's own purpose."""
    campaign, _, _ = await drafted(database, business, 2)
    await drafted(database, other_business, 3)
    async with database.write(business.id) as db:
        elsewhere = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, elsewhere, 4, prefix="elsewhere")
        review = await campaigns.review(db, campaign.id)

    assert (review.will_get, review.audience) == (2, 2)
