"""The digest that is offered with the first issue of a purpose, unless staff switched it off.

Whoever lets an issue go allows what is in it, so the digest that carries it goes in the same name.
"""

from __future__ import annotations

from crm import businesses, consent, events
from crm.businesses import Business
from crm.campaigns.digest import week_ends
from crm.campaigns.model import Campaign
from crm.consent import Purpose
from crm.db import Db, Statements
from crm.events import Actor, Kind
from crm.languages import ENGLISH, chosen, gettext, speaking

sql = Statements("campaigns")

# Friday at nine, unless staff say otherwise.
WEEKDAY, HOUR = 5, 9


def subject_of(purpose: Purpose, business: Business) -> str:
    """Name the digest of a purpose in the language of the business."""
    with speaking(chosen(business.locale) or ENGLISH):
        # What looks like a merge field is none in a name.
        if "{" in purpose.name:
            return gettext("The week in one mail")
        return gettext("%(purpose)s: the week in one mail", purpose=purpose.name)


async def offer_with(db: Db, by: Actor, issue: Campaign) -> None:
    """Offer a digest of the purpose of an issue that a member let go, where none is nor was."""
    if issue.approved_by is None:
        return
    purpose, business = await consent.purpose(db, issue.purpose_id), await businesses.get(db)
    first = await db.run(
        sql.offer_first_digest,
        purpose_id=purpose.id,
        weekday=WEEKDAY,
        hour=HOUR,
        subject=subject_of(purpose, business),
        switched_by=issue.approved_by,
        due_at=week_ends(db.now, WEEKDAY, HOUR, business.time_zone),
    )
    if first:
        reason = f"on: {purpose.name}"
        await events.record(db, by, Kind.digest_switched, ref=purpose.id, reason=reason)
