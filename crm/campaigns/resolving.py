"""What became of deliveries of which nobody knows: somebody says so, and the name stays on it."""

from __future__ import annotations

from uuid import UUID

from crm import consent, events
from crm.campaigns.model import DeliveryState, NothingUncertain, OtherNumber
from crm.db import Db, Statements
from crm.events import Actor, ActorKind, Kind

sql = Statements("campaigns")


async def resolve(
    db: Db, by: Actor, campaign_id: UUID, customer_id: UUID, state: DeliveryState
) -> None:
    """Say what became of an uncertain delivery; the name of who says so stays on it."""
    if state not in {DeliveryState.sent, DeliveryState.failed} or by.kind is not ActorKind.member:
        raise NothingUncertain
    keys = {"campaign_id": campaign_id, "customer_id": customer_id}
    await db.maybe(sql.lock_lease_of, int, **keys)
    done = await db.maybe(sql.resolve_delivery, UUID, **keys, state=state, resolved_by=by.id)
    if done is None:
        raise NothingUncertain
    await db.run(sql.count_resolved, **keys, state=state)
    await events.record(
        db, by, Kind.delivery_resolved, customer_id=customer_id, ref=campaign_id, reason=state
    )
    _give_places(db, [customer_id], state)


async def resolve_all(
    db: Db, by: Actor, campaign_id: UUID, state: DeliveryState, *, number: int
) -> None:
    """Say what became of all that is uncertain, if it is still this number; one event for all.

    The name of who says so stays on each. Refuses with OtherNumber, and nothing is resolved.
    """
    if state not in {DeliveryState.sent, DeliveryState.failed} or by.kind is not ActorKind.member:
        raise NothingUncertain
    # Ranges first, then deliveries: the order of a claim and of a withdrawal.
    uncertain = sum(await db.many(sql.lock_uncertain_leases, int, campaign_id=campaign_id))
    if not uncertain:
        raise NothingUncertain
    if uncertain != number:
        raise OtherNumber
    resolved = await db.many(
        sql.resolve_deliveries, UUID, campaign_id=campaign_id, state=state, resolved_by=by.id
    )
    reason = f"{state}: {number}"
    await events.record(db, by, Kind.delivery_resolved, ref=campaign_id, reason=reason)
    _give_places(db, resolved, state)


def _give_places(db: Db, customer_ids: list[UUID], state: DeliveryState) -> None:
    """Have the places of the week that failed mails have given back offered to other campaigns."""
    if state is DeliveryState.failed:
        consent.offer_places(db, customer_ids)
