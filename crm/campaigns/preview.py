"""A campaign before it goes out: what is wrong with it, how it reads, and a test in a mailbox."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent, customers, events, mail, staff
from crm.campaigns.actions import get
from crm.campaigns.composing import Envelope, MergeValue, compiled, values_of
from crm.campaigns.invented import ADDRESS, invented, nobody
from crm.campaigns.model import Campaign, NewCampaign, NotOurs
from crm.campaigns.render import Compiled, Preview
from crm.campaigns.verdict import findings, line_in
from crm.campaigns.wrongs import Finding
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.events import Actor, Kind
from crm.mail import Letter, LetterKind
from crm.mail.mime import stamp

sql = Statements("campaigns")


class Found(Struct, frozen=True):
    """What the linter found in the final mail; `line` is that of the source, 0 if it is in none."""

    finding: Finding
    line: int


class Checked(Struct, frozen=True):
    """What keeps a text from being sent, and what its author should know."""

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    found: tuple[Found, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether there is a mail that can be shown."""
        return not self.problems

    @property
    def sendable(self) -> bool:
        """Whether nothing keeps it from being sent."""
        return not self.problems and not any(each.finding.blocking for each in self.found)


async def check(
    db: ReadDb, campaign: Campaign | NewCampaign, *, images_of: UUID | None = None
) -> Checked:
    """List every problem of a text and its letterhead, each with its line; refuses nothing.

    What is only typed may name the pictures of the draft `images_of`.
    """
    try:
        message = await compiled(db, campaign, images_of=images_of)
    except Invalid as no:
        return Checked(no.problems or (Problem("source", no.message),), ())
    # Everybody has an address; all else may be missing.
    missing = message.missing({"address": ADDRESS})
    empty = [_nothing_there(name) for name in missing]
    found = tuple(
        Found(each, line_in(each, campaign.source))
        for each in await findings(db, campaign, message)
    )
    return Checked((), (*message.warnings, *empty), found)


async def preview(db: ReadDb, campaign_id: UUID, customer_id: UUID | None = None) -> Preview:
    """Return what a customer would read, or somebody invented; the links of the footer are dead."""
    message = await compiled(db, await get(db, campaign_id))
    if customer_id is None:
        return _on_screen(message, message.preview(invented(message)))
    customer = await customers.get(db, customer_id)
    held = await db.many(
        sql.merge_values,
        MergeValue,
        customer_ids=[customer_id],
        names=message.attributes,
    )
    attributes = {each.name: each.value for each in held}
    values = values_of(customer.name, customer.address, attributes)
    return _on_screen(message, message.preview(values))


async def try_out(db: Db, by: Actor, campaign_id: UUID, address: str) -> None:
    """Send a campaign to one member of staff, as a service message whose links harm nobody.

    Anybody else is refused (NotOurs): a test must not be a way around consent (promise 1).
    """
    to = customers.parse(address)
    known = await staff.members(db)
    ours = [each for each in known if each.disabled_at is None and _same(each.address, to)]
    if not ours:
        raise NotOurs
    campaign = await get(db, campaign_id)
    message = await compiled(db, campaign)
    business = await businesses.get(db)
    purpose = await consent.purpose(db, campaign.purpose_id)
    envelope = Envelope(db.keys, business, campaign_id, purpose.code, stamp(db.now))
    slots = envelope.slots(to.display, nobody(db.keys, db.business_id))
    name = ours[0].name
    values = invented(message) | values_of(name, to.display, {})
    shown = message.preview(values, slots)
    letter = Letter(
        kind=LetterKind.test,
        address=to.display,
        address_hash=db.keys.address_hash(db.business_id, to.folded),
        subject=f"[Test] {shown.subject}",
        text=shown.text,
        html=shown.html,
        locale=business.locale,
        images=message.attached,
    )
    await mail.post_letter(db, letter)
    await events.record(db, by, Kind.campaign_tested, ref=campaign_id)


def _on_screen(message: Compiled, shown: Preview) -> Preview:
    return msgspec.structs.replace(shown, html=message.on_screen(shown.html))


def _nothing_there(field: str) -> str:
    if field.startswith("{"):
        return f'{field} may come to nothing. Say what to write then: | default("…").'
    return (
        f"Whoever has no {field} reads nothing there. Say what to write instead: "
        f'{{{{ {field} | default("…") }}}}.'
    )


def _same(address: str, to: customers.Address) -> bool:
    try:
        return customers.fold(address) == to.folded
    except customers.NotAnAddress:
        return False
