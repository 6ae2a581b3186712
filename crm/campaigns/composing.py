"""From a stored campaign to its compiled message, and from a customer to the values in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from crm import businesses, consent
from crm.businesses import Business, logo
from crm.businesses.image import Image
from crm.businesses.theme import Theme
from crm.campaigns.expression import ATTRIBUTE
from crm.campaigns.model import Campaign, NewCampaign
from crm.campaigns.poll import Poll, link
from crm.campaigns.render import Compiled, Draft, Letterhead, compile_message
from crm.db import ReadDb, Statements
from crm.keys import Keys
from crm.mail.mime import Slots
from crm.return_path import FEEDBACK, Way, leave_address, return_address, sent_token
from crm.tokens import Stop, Why, stop_token, why_token

sql = Statements("campaigns")


class MergeValue(Struct, frozen=True):
    """One attribute of one customer."""

    customer_id: UUID
    name: str
    value: str


async def compiled(
    db: ReadDb,
    campaign: Campaign | NewCampaign,
    *,
    asks: bool = False,
    archived: bool = False,
    images_of: UUID | None = None,
) -> Compiled:
    """Compile what is kept or only typed, or refuse with every problem of text and letterhead.

    With `asks`, for customers whose consent ends soon: the mail asks whether it goes on. With
    `archived`, for everybody: its foot has no customer's links. What is only typed may name the
    pictures of the draft `images_of`.
    """
    business = await businesses.get(db)
    purpose = await consent.purpose(db, campaign.purpose_id)
    written = Draft(
        subject=campaign.subject,
        preheader=campaign.preheader,
        source=campaign.source,
        kind=campaign.format,
        purpose=purpose.name,
        # RFC 2919: a label of ours before a domain that we control.
        list_id=f"{purpose.slug}.{business.host}",
        asks=asks,
        archived=archived,
        poll=None if archived else _poll(campaign, business),
        images=await _images(db, images_of if isinstance(campaign, NewCampaign) else campaign.id),
        **_known_as(campaign, business),
    )
    declared = await db.many(sql.declared_attributes, str)
    head = letterhead(business, await businesses.theme_of(db), await logo.logo_of(db))
    return compile_message(written, head, declared)


def _poll(campaign: Campaign | NewCampaign, business: Business) -> Poll | None:
    if not campaign.question:
        return None
    campaign_id = campaign.id if isinstance(campaign, Campaign) else UUID(int=0)
    numbers = range(1, len(campaign.answers) + 1)
    links = tuple(link(business.origin, campaign_id, number) for number in numbers)
    return Poll(campaign.question, tuple(campaign.answers), links)


async def _images(db: ReadDb, campaign_id: UUID | None) -> tuple[Image, ...]:
    if campaign_id is None:
        return ()
    return tuple(await db.many(sql.images, Image, campaign_id=campaign_id))


def archive_page(business: Business, campaign_id: UUID) -> str:
    """Return where everybody can read a public campaign, for good (RFC 5064)."""
    return f"{business.origin}/archive/{campaign_id}"


def _known_as(campaign: Campaign | NewCampaign, business: Business) -> dict[str, str]:
    if isinstance(campaign, NewCampaign):
        return {}
    page = archive_page(business, campaign.id) if campaign.public else ""
    return {"identity": campaign.id.hex, "archived_at": page}


def letterhead(business: Business, theme: Theme, picture: Image | None = None) -> Letterhead:
    """Return what a business puts on all its mail."""
    return Letterhead(
        name=business.name,
        legal_name=business.legal_name,
        postal_address=business.postal_address,
        sender_name=business.sender_name,
        sender_address=business.sender_address,
        locale=business.locale,
        contact_address=business.privacy_contact,
        privacy_url=business.privacy_url,
        origin=business.origin,
        theme=theme,
        logo=picture,
        sender_id=f"fh{business.id.hex[-12:]}",
    )


def values_of(name: str, address: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """Name one customer's merge values as a text may use them."""
    first, _, _ = name.partition(" ")
    values = {"name": name, "first_name": first, "address": address}
    values |= {f"{ATTRIBUTE}{key}": value for key, value in attributes.items()}
    return values


def message_id(campaign_id: UUID, address_hash: bytes, business: Business) -> str:
    """Name one customer's mail of a campaign, the same at every try; without angle brackets."""
    domain = business.sender_address.rpartition("@")[2]
    return f"{campaign_id.hex}.{address_hash.hex()}@{domain}"


class Envelope:
    """What differs in the header from customer to customer of one campaign."""

    def __init__(
        self, keys: Keys, business: Business, campaign_id: UUID, purpose_code: int, date: str
    ) -> None:
        """Prepare what is the same for all."""
        self._keys = keys
        self._business = business
        self._campaign_id = campaign_id
        self._purpose_code = purpose_code
        self._date = date

    def sender(self, address_hash: bytes) -> str:
        """Write the envelope sender: where one customer's mail comes back to, at every try."""
        domain = self._business.return_domain
        if not domain:
            return self._business.sender_address
        return return_address(
            self._keys, self._business.id, domain, Way.campaign, address_hash, self._campaign_id
        )

    def envelope_id(self, address_hash: bytes) -> str:
        """Name the mail in reports about it (RFC 3461 §4.4), as its Message-ID does."""
        return f"{self._campaign_id.hex}.{address_hash.hex()}"

    def slots(self, address: str, address_hash: bytes) -> Slots:
        """Write one customer's header values; the Message-ID is the same at every try."""
        business_id, origin = self._business.id, self._business.origin
        leaving = Stop(business_id, address_hash, self._purpose_code)
        stop = stop_token(self._keys, leaving)
        why = why_token(self._keys, Why(business_id, address_hash, self._campaign_id))
        return Slots(
            to=address,
            message_id=f"<{message_id(self._campaign_id, address_hash, self._business)}>",
            date=self._date,
            unsubscribe=f"{origin}/u/{stop}",
            preferences=f"{origin}/p/{stop}",
            why=f"{origin}/why/{why}",
            **self._ways_back(leaving),
        )

    def _ways_back(self, leaving: Stop) -> dict[str, Any]:
        """Write the headers that lead to our own domain for what comes back, if any.

        Of the domain of From, or below it: else a feedback address needs a signature of its own
        (RFC 9477 §3.1), and whoever checks a mail cannot tell the domain from a stranger's.
        """
        domain, keys = self._business.return_domain, self._keys
        if not _below(domain, self._business.sender_address.rpartition("@")[2]):
            return {}
        token = sent_token(
            keys, leaving.business_id, Way.feedback, leaving.address_hash, self._campaign_id
        )
        return {
            "unsubscribe_mail": f"mailto:{leave_address(keys, domain, leaving)}",
            "more": (
                ("CFBL-Address", f"{FEEDBACK}@{domain}; report=arf"),
                ("CFBL-Feedback-ID", token),
            ),
        }


def _below(domain: str, parent: str) -> bool:
    return f".{domain.lower()}".endswith(f".{parent.lower()}")
