"""Why somebody got a mail: the decision it rests on, the exact words, and what became of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import consent, customers
from crm.campaigns.actions import received_one
from crm.campaigns.invented import nobody
from crm.campaigns.model import Campaign, Received
from crm.campaigns.renewing import asked
from crm.consent import ConsentEvent, Notice, Purpose, Status
from crm.db import ReadDb, Statements
from crm.tokens import BadLink, Stop, Why, stop_token

sql = Statements("campaigns")


class Explanation(Struct, frozen=True, kw_only=True):
    """What can be said about one mail; None where it is not known, or not any more."""

    test: bool
    campaign_id: UUID
    campaign: Campaign | None
    purpose: Purpose | None
    # Empty where nobody with this address is known now.
    address: str
    # The language she chose, if she is known.
    locale: str
    delivery: Received | None
    warrant: ConsentEvent | None
    notice: Notice | None
    # The decisions about the purpose up to the warrant, and what came after it.
    before: list[ConsentEvent]
    after: list[ConsentEvent]
    # Whether the customer is still mailed for the purpose; None where that is not known.
    on: bool | None
    # When her consent ends, if it stands and ever does.
    ends_at: datetime | None
    # The text with which she can say it again by this link, where it is time to.
    asks: Notice | None
    # The token under which the mails can be stopped: for the purpose, or all of them.
    stop: str

    @property
    def sent_at(self) -> datetime | None:
        """When it was handed over."""
        return self.delivery.done_at if self.delivery else None


async def explain(db: ReadDb, why: Why) -> Explanation:
    """Explain one mail to whoever holds its link; says what it can when all else is gone."""
    if why.business_id != db.business_id:
        raise BadLink
    campaign = await db.maybe(sql.campaign, Campaign, campaign_id=why.campaign_id)
    purpose = await consent.purpose(db, campaign.purpose_id) if campaign else None
    customer = await customers.by_hash(db, why.address_hash)
    delivery = await received_one(db, why.campaign_id, customer.id) if customer else None
    decisions: list[ConsentEvent] = []
    on = ends_at = None
    if customer and purpose and delivery:
        history = await consent.history(db, customer.id)
        decisions = [each for each in history if each.purpose_id == purpose.id]
        checked = await consent.check(db, customer.id, purpose.id)
        on, ends_at = checked.authorises, checked.ends_at
    warrant = next((each for each in decisions if delivery and each.id == delivery.event_id), None)
    place = decisions.index(warrant) if warrant else len(decisions)
    return Explanation(
        test=why.address_hash == nobody(db.keys, db.business_id),
        campaign_id=why.campaign_id,
        campaign=campaign,
        purpose=purpose,
        address=customer.address if customer and delivery else "",
        locale=customer.locale if customer and delivery else "",
        delivery=delivery,
        warrant=warrant,
        notice=await _words(db, delivery),
        before=_asked(decisions[place + 1 :]),
        after=decisions[:place],
        on=on,
        ends_at=ends_at,
        asks=await asked(db, customer, delivery) if customer and delivery else None,
        stop=stop_token(
            db.keys, Stop(db.business_id, why.address_hash, purpose.code if purpose else None)
        ),
    )


async def _words(db: ReadDb, delivery: Received | None) -> Notice | None:
    if delivery is None or delivery.notice_id is None:
        return None
    return await consent.notice(db, delivery.notice_id)


def _asked(earlier: list[ConsentEvent]) -> list[ConsentEvent]:
    """Keep the request that led to the warrant: older decisions are another story."""
    return earlier[:1] if earlier and earlier[0].status is Status.requested else []
