"""A business: its names, its addresses and where its pages are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from unicodedata import category
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from crm import time_zones
from crm.businesses.theme import sheet_name
from crm.errors import Conflict, Invalid, Problem

# White space as Python knows it: in JSON Schema, and so for readers of our document, it has less.
_BLANK = r"\s\x1c-\x1f\x85"
# Python's `$` also stands before a last line feed.
_END = r"(?!\n)$"
_AT = rf"[^@{_BLANK}<>]+@[^@{_BLANK}<>]+"
ADDRESS_PATTERN = rf"^{_AT}{_END}"

Name = Annotated[str, Meta(min_length=1, max_length=200)]
LegalName = Annotated[str, Meta(min_length=1, max_length=300)]
PostalAddress = Annotated[str, Meta(max_length=500)]
MailAddress = Annotated[str, Meta(min_length=3, max_length=254, pattern=ADDRESS_PATTERN)]
OptionalAddress = Annotated[str, Meta(max_length=254, pattern=rf"^({_AT})?{_END}")]
Country = Annotated[str, Meta(pattern=r"^([A-Z]{2})?" + _END)]
Contact = Annotated[str, Meta(max_length=300)]
PageAddress = Annotated[str, Meta(max_length=500, pattern=rf"^(https?://[^{_BLANK}]+)?{_END}")]
# Evidence has no use for a network address once every claim about it is out of time.
Days = Annotated[int, Meta(ge=1, le=1095)]
# Longer than a customer asks about a mail it is of no use; 0 keeps nothing.
MailDays = Annotated[int, Meta(ge=0, le=90)]
Months = Annotated[int, Meta(ge=0, le=120)]
# A host name in ASCII; so short that an address with a token in it stays within 254 characters.
ReturnDomain = Annotated[
    str,
    Meta(
        max_length=180,
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+)?(?!\n)$",
    ),
]
# Names of hosts, without scheme or port, separated by blanks.
Hosts = Annotated[
    str,
    Meta(
        max_length=2000,
        pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)+( [a-z0-9-]+(\.[a-z0-9-]+)+)*)?(?!\n)$",
    ),
]
Locale = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*(?!\n)$")]

# Whoever is heard of so seldom is no stranger yet.
FEWEST_MONTHS = 6
TOO_SOON = "Six months at the least, or 0 for never."
_IN_LINES = frozenset({"postal_address", "representative", "authority_address"})


class BusinessStale(Conflict):
    """Somebody changed the settings since you read them."""


class NoPostalAddress(Conflict):
    """The business has no postal address yet, and every mail has to show it. Enter it first."""


class UnusableHost(Conflict):
    """Another business already answers on that host; choose another."""


class Business(Struct, frozen=True, kw_only=True):
    """The controller in GDPR terms; `origin` is scheme and host of its public pages."""

    id: UUID
    name: str
    legal_name: str
    postal_address: str
    sender_name: str
    sender_address: str
    privacy_contact: str
    return_domain: str
    locale: str
    time_zone: str
    origin: str
    country: str
    officer: str
    representative: str
    authority: str
    authority_url: str
    authority_address: str
    privacy_url: str
    soft_opt_in: bool
    keeps_network: bool
    network_days: int
    # Whose pictures its mails may show, separated by blanks.
    image_hosts: str
    canary: str
    mails_from: int
    mails_until: int
    mail_days: int
    names_staff: bool
    # After so many quiet months a record ends; 0: never.
    dormant_months: int
    version: int
    created_at: datetime
    # The four colours of its theme, separated by blanks; empty where nobody chose.
    colours: str = ""
    # What its logo is called on the web; empty where it has none.
    logo: str = ""

    @property
    def host(self) -> str:
        """The host of its pages, without port; also the right-hand side of its List-Id."""
        return urlsplit(self.origin).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether its pages are served by TLS, so that cookies can insist on it."""
        return self.origin.startswith("https://")

    @property
    def sheet(self) -> str:
        """The address of the sheet with its colours; empty where nobody chose."""
        return f"/look/{sheet_name(self.colours)}" if self.colours else ""


class NewBusiness(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the operator enters for a business."""

    name: Name
    legal_name: LegalName
    postal_address: PostalAddress = ""
    sender_name: Name
    sender_address: MailAddress
    privacy_contact: MailAddress
    # Where mail comes back that cannot be delivered; empty: to the sender's address.
    return_domain: ReturnDomain = ""
    locale: Locale = "en"
    time_zone: str = "UTC"
    origin: str
    # Where it is established, by ISO 3166; the law that its notices name.
    country: Country = ""
    # Whom a customer can turn to besides itself (Art. 13(1) GDPR).
    officer: Contact = ""
    representative: PostalAddress = ""
    authority: Contact = ""
    authority_url: PageAddress = ""
    authority_address: PostalAddress = ""
    privacy_url: PageAddress = ""
    # May it rely on Art. 13(2) ePrivacy for customers who bought something?
    soft_opt_in: bool = False
    # Are network address and browser kept with a decision, encrypted, and for how many days?
    keeps_network: bool = False
    network_days: Days = 30
    # Hosts whose pictures its mails may show: each learns who opens a mail, and when.
    image_hosts: Hosts = ""
    # A mailbox of its own that gets each campaign first, and whose mail comes back to us.
    canary: OptionalAddress = ""
    # The hours of a customer's own day in which campaigns are mailed; 0 to 24 is any.
    mails_from: Annotated[int, Meta(ge=0, le=23)] = 0
    mails_until: Annotated[int, Meta(ge=1, le=24)] = 24
    # For how many days a mail is kept as it was sent: its merge values, the text of a letter.
    mail_days: MailDays = 90
    # A record of whom nothing was heard for so many months ends, after a letter; 0: never.
    dormant_months: Months = 36
    # May a customer read the names of those who looked at her record (Art. 15 GDPR, C-579/21)?
    names_staff: bool = False


def checked(new: NewBusiness) -> NewBusiness:
    """Return what was entered if it can be shown in a mail and used, or refuse."""
    try:
        msgspec.convert(msgspec.structs.asdict(new), NewBusiness)
    except msgspec.ValidationError as wrong:
        where = str(wrong).rpartition("$.")[2].rstrip("`")
        raise _unusable(where) from None
    for field, value in msgspec.structs.asdict(new).items():
        allowed = "\r\n" if field in _IN_LINES else ""
        text = value if isinstance(value, str) else ""
        if any(category(char) == "Cc" and char not in allowed for char in text):
            raise _unusable(field)
    found = []
    if new.mails_from >= new.mails_until:
        words = "The hours for mail begin before they end, such as 8 and 20."
        found.append(Problem("mails_until", words))
    if new.time_zone not in time_zones.named():
        words = "There is no such time zone. One looks like Europe/Lisbon."
        found.append(Problem("time_zone", words))
    if found:
        raise Invalid(found[0].message, found)
    return new


def too_soon(months: int) -> bool:
    """Say whether a record would end while its customer is no stranger yet."""
    return 0 < months < FEWEST_MONTHS


def _unusable(field: str) -> Invalid:
    sentence = f"The {field.replace('_', ' ')} is empty, too long, or not written like one."
    return Invalid(sentence, [Problem(field, sentence)])


def sent_from(business: Business) -> Business:
    """Return the business if it may send mail, or refuse with NoPostalAddress (CAN-SPAM)."""
    if not business.postal_address.strip():
        raise NoPostalAddress
    return business
