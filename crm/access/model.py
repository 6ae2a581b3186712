"""Sign-ups, mailed ways in, sessions of customers, and how they end."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import customers
from crm.consent import EMAIL, Basis, Network, Notice, OptIn, Purpose
from crm.customers import Address, Customer
from crm.errors import Conflict, Invalid, NotFound, Problem, TooMany, Unauthenticated

# Long enough for a mailbox read once a week; what nobody confirms is then forgotten.
SIGNUP_LASTS = timedelta(days=7)
# ASVS 6.5.5: a mailed way in is good for ten minutes at most.
LINK_LASTS = timedelta(minutes=10)
# So long after a sign-in by mail the mailbox is still proven: for what cannot be taken back.
FRESH = timedelta(minutes=10)
# As long as a session goes on without use: she has another mailbox to open.
CHANGE_LASTS = timedelta(hours=1)
# Long enough to come back from a holiday and find that somebody took the record over.
UNDO_LASTS = timedelta(days=14)
# A page with everything held about somebody does not stay open in a library for a day.
IDLE = timedelta(hours=1)
ABSOLUTE = timedelta(hours=12)
# A session says when it was used last, written no oftener than this.
SEEN_EVERY = timedelta(minutes=1)

# Tries at a code, counted in windows of a quarter of an hour: with ten per address, 2^40 codes
# last for ever. A network has many people behind it.
TRIES_PER_ADDRESS = 10
TRIES_PER_NETWORK = 100
# Mails to one address that can be caused from one network in such a window, and in a day.
MAILS_PER_ADDRESS = 3
LETTERS_A_DAY = 6
# Sign-ups from one network in such a window, whoever they are for.
SIGNUPS_PER_NETWORK = 60
# A browser that pressed its link twice at once is let in by the second press too.
PRESSED_TWICE = timedelta(minutes=1)

# What may be typed as an address: one that was copied brings blanks along.
LONGEST_TYPED = 1000

# A person reads at least so long; a program that posts faster is shown the form again.
SECONDS_TO_READ = 1


class SessionOver(NotFound):
    """That browser is signed out already."""


class LinkOver(NotFound):
    """This link is over: it was used, replaced by a newer mail, or has expired."""


class SameAddress(Invalid):
    """This is your address already."""

    def __init__(self) -> None:
        """Point at the field."""
        super().__init__()
        self.problems = (Problem("address", self.message),)


class WordsOver(Conflict):
    """Other words took the place of those you read. Sign up once more and read the present ones."""


class WrongCode(Invalid):
    """This code does not belong to that address, was used, or has expired. Check both."""

    def __init__(self) -> None:
        """Point at the field."""
        super().__init__()
        self.problems = (Problem("code", self.message),)


class OtherBrowser(NotFound):
    """You asked for this in another browser. Type the code from the mail."""


class TooManyCodes(TooMany):
    """Too many codes were tried. The link in the mail still works; codes do so again later."""


class TooManySignUps(TooMany):
    """Too many sign-ups came from this network. Wait, then try again."""


class SignedOut(Unauthenticated):
    """Please sign in: after an hour without use a session is over. Nothing was changed."""


class Offer(Struct, frozen=True):
    """A purpose that can be signed up for, with the text that is shown for it now."""

    purpose: Purpose
    notice: Notice
    # From what age a customer can say yes to it herself, by country; mostly nothing.
    ages: dict[str, int] = {}


class Choice(Struct, frozen=True):
    """A box that was ticked, and the text that stood beside it."""

    purpose_id: UUID
    notice_id: UUID


class Elsewhere(Struct, frozen=True, kw_only=True):
    """What a program said of the sign-up that it handed in, and under which key it came."""

    # Its own name for the form; empty where it has none.
    form: str
    # When she ticked.
    asked_at: datetime
    key_id: UUID
    key_name: str


class NewSignup(Struct, frozen=True, kw_only=True):
    """What somebody entered on a sign-up form; nothing of it is known to be true yet."""

    address: Address
    name: str
    locale: str
    choices: tuple[Choice, ...]
    # Where the form stood, without query; empty for our own.
    page: str
    # The form as it was shown, by its content.
    form_sha256: bytes | None = None
    # Where she says she lives, and the age she says she has reached, where the form asks.
    jurisdiction: str = ""
    of_age: int | None = None
    network: Network | None = None
    # What stands already is to be said again, because it ends soon.
    again: bool = False
    # Where the form was that of a program, and not one of ours.
    elsewhere: Elsewhere | None = None


class Signup(Struct, frozen=True, kw_only=True):
    """A sign-up that waits for its confirmation. Not a customer."""

    id: UUID
    address: str
    address_hash: bytes
    name: str
    locale: str
    choices: list[Choice]
    page: str
    message_id: str
    form_sha256: bytes | None
    jurisdiction: str
    of_age: int | None
    # Encrypted, where the business keeps it.
    network: bytes | None
    # What stands is said again; where it stands no more, nothing is.
    again: bool
    elsewhere: Elsewhere | None
    requested_at: datetime
    expires_at: datetime


class Standing(Struct, frozen=True):
    """Whose address it is, and what that person allows already, with nothing to say again."""

    customer_id: UUID
    allowed: frozenset[UUID]


class Agreed(Struct, frozen=True):
    """One purpose that was confirmed: its name and the text that was agreed to.

    Where she had said yes to `newer` words before she confirmed these, those stand: it is them.
    """

    purpose: Purpose
    notice: Notice
    newer: bool = False


class Unused(Struct, frozen=True):
    """Why nothing is sent, whatever she allows: her record is frozen, or goes at an instant."""

    frozen_at: datetime | None
    deleted_at: datetime | None


class Confirmed(Struct, frozen=True, kw_only=True):
    """What a confirmation recorded, now or, `before`, when it was pressed the first time."""

    address: str
    agreed: list[Agreed]
    requested_at: datetime
    confirmed_at: datetime
    before: bool
    unused: Unused | None = None


class Link(Struct, frozen=True, kw_only=True):
    """A mailed way in that is open."""

    customer_id: UUID
    address_hash: bytes
    token_hash: bytes
    code_hash: bytes
    browser_hash: bytes


class Session(Struct, frozen=True, kw_only=True):
    """A browser in which a customer is signed in, and by which proof of her mailbox."""

    customer_id: UUID
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    proof_id: UUID
    way: str
    mailed_at: datetime
    proved_at: datetime

    @property
    def mailbox(self) -> OptIn:
        """What a yes in the portal rests on."""
        return OptIn(self.proof_id, self.way, self.mailed_at, self.proved_at)


class Entered(Struct, frozen=True):
    """Who used a way in, of which address, and the proof that came of it."""

    customer_id: UUID
    proof_id: UUID
    address_hash: bytes


class OpenLink(Struct, frozen=True, kw_only=True):
    """Since when a customer has a way in that is not used yet."""

    created_at: datetime
    expires_at: datetime


class NewAddress(Struct, frozen=True, kw_only=True):
    """A change of address that the new mailbox has not confirmed."""

    address: str
    address_hash: bytes
    message_id: str
    token_hash: bytes
    code_hash: bytes
    requested_at: datetime
    expires_at: datetime


class AskedAgain(Struct, frozen=True):
    """What she allows by mail, and the text to say it again with, if that can be."""

    purpose: Purpose
    notice: Notice | None


class WaitingAddress(Struct, frozen=True, kw_only=True):
    """The same change as her copy has it, without secrets."""

    address: str
    address_hash: bytes
    message_id: str
    requested_at: datetime
    expires_at: datetime


class Former(Struct, frozen=True):
    """The fingerprint of an address that was hers until then; `taken` by somebody else since."""

    address_hash: bytes
    changed_at: datetime
    taken: bool


class FormerAddress(Struct, frozen=True, kw_only=True):
    """An address that was hers: in clear as long as it can be put back, then its fingerprint."""

    address: str | None
    folded: str | None
    address_hash: bytes
    changed_at: datetime
    undo_until: datetime | None


class Export(Struct, frozen=True, kw_only=True):
    """Everything this domain holds of one customer (promise 9)."""

    signups: list[Signup]
    networks: list[Network]
    links: list[OpenLink]
    sessions: list[Session]
    new_addresses: list[WaitingAddress]
    former_addresses: list[FormerAddress]


class Stopped(Struct, frozen=True, kw_only=True):
    """Who left what: no customer where the address is known no more, no purpose where all.

    `moved` says that the address is hers no more, so that nothing of the new one is shown.
    """

    customer: Customer | None
    purpose: Purpose | None
    moved: bool = False

    @property
    def masked(self) -> str:
        """Enough of her address to know it again, for whoever holds a link to it."""
        return customers.masked(self.customer.address) if self.customer and not self.moved else ""


def offered(purpose: Purpose) -> bool:
    """Say whether somebody can sign up for a purpose: it is by mail, and rests on her yes."""
    return purpose.channel == EMAIL and purpose.basis is not Basis.soft_opt_in


def fresh(signed_in_at: datetime, now: datetime) -> bool:
    """Say whether a sign-in by mailed link still proves whose mailbox it is."""
    return now - signed_in_at < FRESH


def too_fast(made_at: int, now: datetime) -> bool:
    """Say whether a form came back sooner than a person can have read it."""
    return now.timestamp() - made_at < SECONDS_TO_READ


def wanted(choices: tuple[Choice, ...], standing: Standing | None) -> bool:
    """Say whether a sign-up asks for anything that is not allowed already."""
    allowed = standing.allowed if standing else frozenset()
    return any(choice.purpose_id not in allowed for choice in choices)
