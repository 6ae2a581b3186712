"""A decision that the database has lost, and the journal has not: what ended ends once more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm.consent.deciding import Circumstances, Wish, append, held
from crm.consent.model import UnknownPurpose
from crm.consent.states import OPTED_OUT, Method, Status
from crm.db import Db
from crm.events import Actor
from crm.ids import instant_of

# What the record says of where it comes from: who decided, and in which words, is lost.
_FROM_THE_JOURNAL = {"source": "journal"}


async def end_again(
    db: Db,
    customer_id: UUID,
    purpose_id: UUID,
    status: Status,
    *,
    method: Method,
    at: datetime,
    unless_since: datetime | None = None,
) -> bool:
    """Record that consent ended at an instant; False where nothing is left that could end.

    What she has decided after `unless_since` stands.
    """
    try:
        asked = await held(db, customer_id, purpose_id, None)
    except UnknownPurpose:
        return False
    if not asked.known or asked.status in OPTED_OUT:
        return False
    decided = instant_of(asked.event_id) if asked.event_id else None
    if decided and unless_since and decided > unless_since:
        return False
    wish = Wish(customer_id, purpose_id, status, None)
    circumstances = Circumstances(method, at=at, evidence=dict(_FROM_THE_JOURNAL))
    await append(db, Actor.system(), wish, circumstances, asked)
    return True
