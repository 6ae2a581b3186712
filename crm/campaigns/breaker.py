"""The circuit breaker: a campaign that harms its sender pauses, and says by which numbers."""

from __future__ import annotations

from uuid import UUID

from crm.campaigns import actions
from crm.campaigns.course import health
from crm.campaigns.model import Health, State
from crm.db import Database
from crm.events import Actor

# Lists of ten years ago bounce by a tenth; receivers block for less.
HARD_SHARE, HARD_AFTER = 0.05, 200
# Gmail and Yahoo: below 0.1 % wanted, 0.3 % never; one complaint in a hundred says nothing.
COMPLAINT_WARNING, COMPLAINT_SHARE, COMPLAINTS_AFTER = 0.001, 0.003, 1000
# Refused for reasons of policy, one after the other: it is us, not they.
BLOCKED = 50


def trips(health: Health) -> str:
    """Say why a campaign has to pause, with the numbers; nothing when it may go on."""
    if health.blocked >= BLOCKED:
        return (
            f"{health.blocked} mails in a row were refused for reasons of policy. Look at what the "
            "servers said, and at SPF, DKIM and the relay's reputation."
        )
    if health.sent >= HARD_AFTER and health.hard > health.sent * HARD_SHARE:
        return (
            f"{_share(health.hard, health.sent)} of {health.sent} mails came back because there is "
            "no such mailbox. The list is old, or was not made by consent."
        )
    if health.sent >= COMPLAINTS_AFTER and health.complaints > health.sent * COMPLAINT_SHARE:
        return (
            f"{_share(health.complaints, health.sent)} of {health.sent} customers reported the "
            "mail as unwanted."
        )
    return ""


def warns(health: Health) -> str:
    """Say what staff should look at although the campaign goes on."""
    if health.sent >= COMPLAINTS_AFTER and health.complaints > health.sent * COMPLAINT_WARNING:
        return (
            f"{_share(health.complaints, health.sent)} of {health.sent} customers reported the "
            f"mail as unwanted; at {COMPLAINT_SHARE:.1%} it pauses by itself."
        )
    return ""


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}"


async def judge(database: Database, business_id: UUID, campaign_id: UUID) -> bool:
    """Pause a campaign that is sending and has to stop; says whether it did."""
    async with database.write(business_id) as db:
        found = await health(db, campaign_id)
        why = trips(found)
        if not why or found.state is not State.sending:
            return False
        await actions.pause(db, Actor.system(), campaign_id, why=why)
    return True
