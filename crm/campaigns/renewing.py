"""A consent said again by the link of a mail that asked: the mailbox's own word, as at a sign-up.

Only while it still holds, only with the text in use now, only by whom that mail was sent to, and
not long ago. Silence renews nothing, and nor does looking at the page.
"""

from __future__ import annotations

from uuid import UUID

from crm import businesses, consent, customers
from crm.campaigns.actions import received_one
from crm.campaigns.composing import message_id
from crm.campaigns.model import DeliveryState, Received
from crm.consent import ASKED_BEFORE, Circumstances, Form, Method, Network, Notice, OptIn
from crm.customers import Customer
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict
from crm.events import Actor
from crm.ids import opaque
from crm.tokens import BadLink, Why

sql = Statements("campaigns")

_HANDED_OVER = frozenset({DeliveryState.sent, DeliveryState.uncertain})


class RenewalOver(Conflict):
    """This cannot be renewed by this mail any more. Sign up afresh, or sign in to say it there."""


async def asked(db: ReadDb, customer: Customer, delivery: Received) -> Notice | None:
    """Return the text with which a customer can say it again by this mail; None where she cannot.

    None too where there is no need: her consent ends not soon.
    """
    since = db.now - ASKED_BEFORE
    if delivery.state not in _HANDED_OVER or not delivery.done_at or delivery.done_at <= since:
        return None
    state = await consent.state(db, customer.id, delivery.purpose_id)
    if state is None or not state.asked_again(db.now):
        return None
    locale = customer.locale or (await businesses.get(db)).locale
    return (await consent.current_notices(db, locale)).get(delivery.purpose_id)


async def renew(db: Db, why: Why, notice_id: UUID, sha256: bytes, network: Network) -> bool:
    """Renew what this mail asked about, with exactly the text that was shown.

    False where other words are in use by now: she reads those first. RenewalOver where it cannot
    be renewed by this mail; a second press is no mistake, and renews nothing twice.
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
    opt_in = await _proof(db, why, customer, delivery)
    how = Circumstances(
        Method.renewal,
        form=Form("renewal", "/why"),
        opt_in=opt_in,
        request=str(why.campaign_id),
        network=network,
    )
    await consent.give(db, Actor.customer(customer.id), customer.id, notice.question, how)
    return True


async def _proof(db: Db, why: Why, customer: Customer, delivery: Received) -> OptIn:
    """Make the proof of her mailbox, which PostgreSQL refuses for any other customer or mail."""
    found = await db.maybe(
        sql.prove_renewal,
        UUID,
        proof_id=opaque(),
        customer_id=customer.id,
        campaign_id=why.campaign_id,
        since=db.now - ASKED_BEFORE,
    )
    if found is None or delivery.done_at is None:
        raise RenewalOver
    business = await businesses.get(db)
    sent_as = message_id(why.campaign_id, why.address_hash, business)
    return OptIn(found, "renewal_link", min(delivery.done_at, db.now), db.now, sent_as)
