"""What keeps a campaign under way from going on, and letting a paused one go on."""

from __future__ import annotations

from uuid import UUID

from crm import businesses, consent, events, journal
from crm.businesses import Business
from crm.campaigns.actions import get, move, sql
from crm.campaigns.model import MOVES, Campaign, State, wrong_state
from crm.consent import Basis, SoftOptInOff
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.events import Actor, Kind
from crm.mail import sending_domains


async def insist_goes_on(db: ReadDb, campaign: Campaign, business: Business) -> None:
    """Refuse what the settings forbid by now, of one that has begun.

    Nothing goes out unsigned, or on a basis that was switched off. That the sender's domain was not
    looked at lately stops a start alone.
    """
    refusals: list[Refused | None] = [
        await resting_on(db, campaign, business),
        await sending_domains.not_right(db, business),
    ]
    for refusal in refusals:
        if refusal is not None:
            raise refusal


async def resting_on(db: ReadDb, campaign: Campaign, business: Business) -> SoftOptInOff | None:
    """Return the refusal of what rests on sales where the business lets nothing rest on them."""
    purpose = await consent.purpose(db, campaign.purpose_id)
    rests_on_sales = purpose.basis is Basis.soft_opt_in
    return SoftOptInOff() if rests_on_sales and not business.soft_opt_in else None


async def resume(db: Db, by: Actor, campaign_id: UUID) -> Campaign:
    """Go on exactly where it was paused; what made it pause by itself is looked past.

    Refuses what the settings forbid by now: DomainNotReady, SoftOptInOff.
    """
    paused = await get(db, campaign_id)
    if paused.state not in MOVES[State.sending]:
        raise wrong_state(paused.state, State.sending)
    # Before anything is written: a page that shows the refusal keeps what was.
    await insist_goes_on(db, paused, await businesses.get(db))
    campaign = await move(db, by, campaign_id, State.sending)
    if await db.run(sql.look_past, campaign_id=campaign_id):
        await db.run(sql.begin_anew, campaign_id=campaign_id)
    db.note(journal.Campaign(campaign_id, "resumed"))
    await events.record(db, by, Kind.campaign_resumed, ref=campaign_id)
    db.wake("campaigns.send", str(db.business_id), str(campaign_id), slot=str(campaign_id))
    return campaign
