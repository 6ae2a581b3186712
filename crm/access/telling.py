"""What a confirmation tells her: what was recorded, and whether anything comes of it now."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm import consent
from crm.access.model import Agreed, Confirmed, Unused
from crm.consent import ConsentEvent
from crm.customers import Customer
from crm.db import ReadDb, Statements

sql = Statements("access")


async def told(
    db: ReadDb, customer: Customer, events: list[ConsentEvent], *, before: bool
) -> Confirmed:
    """Tell what was recorded by a link, now or `before`, when it was pressed the first time.

    A link that was pressed opens for good, to whoever holds it: how her record stands by then, and
    whether what she allowed still does, is not for that page.
    """
    agreed = [
        await _agreed(db, event, event.notice_id, before=before)
        for event in events
        if event.notice_id is not None
    ]
    unused = None if before else await db.maybe(sql.unused, Unused, customer_id=customer.id)
    return Confirmed(
        address=customer.address,
        agreed=sorted(agreed, key=lambda each: each.purpose.code),
        requested_at=_asked_at(events[0]),
        confirmed_at=events[0].at,
        before=before,
        unused=unused,
    )


async def _agreed(db: ReadDb, event: ConsentEvent, shown: UUID, *, before: bool) -> Agreed:
    state = None if before else await consent.state(db, event.customer_id, event.purpose_id)
    newer = state is not None and state.event_id != event.id
    stands = (state.notice_id if state is not None and newer else None) or shown
    return Agreed(
        await consent.purpose(db, event.purpose_id), await consent.notice(db, stands), newer
    )


def _asked_at(event: ConsentEvent) -> datetime:
    return event.opt_in.mailed_at if event.opt_in else event.at
