"""A consent that ends soon is asked about in a mail, and said again by her mailbox alone.

The link stands in every copy of that mail, and a mail is passed on: so its button has a mail of its
own sent to her, and only what comes back from there counts, as at a sign-up. Only while the consent
still holds, only with the text in use now, and not long after the mail that asked. Silence renews
nothing, and nor does looking at the page.
"""

from __future__ import annotations

from uuid import UUID

from crm import access, businesses, consent, customers
from crm.access import Choice, NewSignup
from crm.campaigns.actions import received_one
from crm.campaigns.model import DeliveryState, Received
from crm.consent import ASKED_BEFORE, Network, Notice
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.errors import Conflict
from crm.tokens import BadLink, Why

_HANDED_OVER = frozenset({DeliveryState.sent, DeliveryState.uncertain})
_AT_REST = frozenset({"frozen", "leaving"})
_PAGE = "/why"


class RenewalOver(Conflict):
    """This cannot be renewed by this mail any more. Sign up afresh, or sign in to say it there."""


async def asked(db: ReadDb, customer: Customer, delivery: Received) -> Notice | None:
    """Return the text with which a customer can say it again by this mail; None where she cannot.

    None too where there is no need: her consent ends not soon. And of a frozen record, or one that
    waits for its deletion: nothing is sent there, whoever has the mail.
    """
    since = db.now - ASKED_BEFORE
    if delivery.state not in _HANDED_OVER or not delivery.done_at or delivery.done_at <= since:
        return None
    state = await consent.state(db, customer.id, delivery.purpose_id)
    if state is None or not state.asked_again(db.now):
        return None
    if (await consent.check(db, customer.id, delivery.purpose_id)).reason in _AT_REST:
        return None
    return (await consent.current_notices(db, await _locale(db, customer))).get(delivery.purpose_id)


async def ask_again(
    db: Db, why: Why, notice_id: UUID, sha256: bytes, network: Network, *, asker: str
) -> bool:
    """Mail her what renews the consent that this mail asked about, with exactly the text shown.

    Whoever holds the link can press, and decides nothing by it. False where other words are in use
    by now: they are read first. RenewalOver where it cannot be renewed by this mail; where there is
    no need any more, nothing is sent.
    """
    if why.business_id != db.business_id:
        raise BadLink
    customer = await customers.by_hash(db, why.address_hash)
    delivery = await received_one(db, why.campaign_id, customer.id) if customer else None
    if customer is None or delivery is None:
        raise RenewalOver
    notice = await asked(db, customer, delivery)
    if notice is None:
        if (await consent.check(db, customer.id, delivery.purpose_id)).authorises:
            return True
        raise RenewalOver
    if (notice.id, notice.sha256) != (notice_id, sha256):
        return False
    wish = NewSignup(
        address=customers.parse(customer.address),
        name="",
        locale=await _locale(db, customer),
        choices=(Choice(delivery.purpose_id, notice.id),),
        page=_PAGE,
        network=network,
        again=True,
    )
    await access.start(db, wish, asker=asker)
    return True


async def _locale(db: ReadDb, customer: Customer) -> str:
    return customer.locale or (await businesses.get(db)).locale
