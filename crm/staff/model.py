"""Who works here and which programs call; what each may do, as one table."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.businesses.model import ADDRESS_PATTERN
from crm.characters import composed
from crm.errors import Conflict, Forbidden, Invalid, Problem, TooMany, Unauthenticated
from crm.events import Actor

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(min_length=3, max_length=500)]

SHORTEST_REASON = 3
LONGEST_REASON = 500

# One password is one factor (NIST SP 800-63B-4, AAL1), so these are our own bounds: a working day
# without typing it again, and never longer than to the next day.
IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(hours=24)
# The session and the key say when they were used last, written no oftener than this.
SEEN_EVERY = timedelta(minutes=1)
# How long a reason for opening a customer's record counts for that record.
REASON_COUNTS = timedelta(minutes=15)

# Tries at a password: per address, so that no password is found by guessing; per network, so that
# one password is not tried on everybody. An office shares one network, hence the second number.
ATTEMPT_WINDOW = timedelta(minutes=15)
ADDRESS_ATTEMPTS = 10
CLIENT_ATTEMPTS = 100
# Whoever types codes has the password already: so many a day from browsers that she never used.
# With three codes of a million good at once, even odds take twelve years.
DAY = timedelta(days=1)
CODES_A_DAY = 50
# A browser in which a member has signed in is known again for so long.
KNOWN_LASTS = timedelta(days=180)

# The text of a key before it was rotated works on for so long, unless told otherwise.
OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)

# No program needs so many; a loop that makes keys is stopped here.
MOST_KEYS = 200

# What a look at each customer of a list gives as its reason.
LISTED = "list"


class News(StrEnum):
    """What a member is told by mail about her own way in (ASVS 6.3.5, 6.3.7)."""

    password_changed = "password_changed"  # noqa: S105  (no password)
    password_reset = "password_reset"  # noqa: S105  (no password)
    factor_set_up = "factor_set_up"
    factor_removed = "factor_removed"
    recovery_used = "recovery_used"
    codes_tried = "codes_tried"


class Right(StrEnum):
    """One thing a member may do or not."""

    see_customers = "see_customers"
    change_customers = "change_customers"
    export_customers = "export_customers"
    erase_customers = "erase_customers"
    # Privacy requests: to see the queue and to answer.
    answer_requests = "answer_requests"
    see_campaigns = "see_campaigns"
    write_campaigns = "write_campaigns"
    send_campaigns = "send_campaigns"
    import_customers = "import_customers"
    edit_purposes = "edit_purposes"
    # What customers decided about health, belief, politics or sexual life (Art. 9 GDPR).
    see_special = "see_special"
    manage_staff = "manage_staff"
    manage_keys = "manage_keys"
    change_business = "change_business"
    see_audit = "see_audit"


class Role(StrEnum):
    """What a member is here for."""

    owner = "owner"
    editor = "editor"
    care = "care"
    viewer = "viewer"


# The whole of it: nothing else in the product asks who may do what.
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.owner: frozenset(Right),
    Role.editor: frozenset(
        {
            Right.see_customers,
            Right.see_campaigns,
            Right.write_campaigns,
            Right.send_campaigns,
            Right.import_customers,
            Right.edit_purposes,
        }
    ),
    Role.care: frozenset(
        {
            Right.see_customers,
            Right.change_customers,
            Right.export_customers,
            Right.erase_customers,
            Right.answer_requests,
            Right.see_special,
            Right.see_campaigns,
        }
    ),
    # A viewer sees numbers, and no customer.
    Role.viewer: frozenset({Right.see_campaigns}),
}

# What each role is for, in the words of the page where it is chosen.
ROLES: dict[Role, str] = {
    Role.owner: "Everything: staff, keys, business, audit, and all that the others may do.",
    Role.editor: "Writes and sends campaigns, imports lists, edits purposes, sees customers.",
    Role.care: "Looks after customers and their requests: sees, changes, exports, deletes.",
    Role.viewer: "Sees campaigns and their numbers, and no customer.",
}


class Scope(StrEnum):
    """One thing an API key may do or not."""

    customers_read = "customers:read"
    customers_write = "customers:write"
    # Everything there is of a customer, in one file.
    customers_export = "customers:export"
    consents_read = "consents:read"
    consents_write = "consents:write"
    # To hand in a sign-up, which its mailbox has to confirm; it learns of nobody.
    sign_ups_write = "sign_ups:write"
    campaigns_read = "campaigns:read"
    campaigns_write = "campaigns:write"
    campaigns_send = "campaigns:send"
    imports_write = "imports:write"
    purposes_read = "purposes:read"
    purposes_write = "purposes:write"
    suppressions_read = "suppressions:read"
    suppressions_write = "suppressions:write"
    # One mail to one customer, for a contract or a duty.
    service_messages_send = "service_messages:send"
    requests_read = "requests:read"
    requests_write = "requests:write"
    events_read = "events:read"
    webhooks_read = "webhooks:read"
    webhooks_write = "webhooks:write"
    # Also endpoints that others made.
    webhooks_manage = "webhooks:manage"
    # For whoever is told of a withdrawal, to say that it was heeded.
    webhooks_acknowledge = "webhooks:acknowledge"
    business_read = "business:read"
    business_write = "business:write"
    staff_read = "staff:read"
    staff_write = "staff:write"
    keys_read = "keys:read"
    keys_write = "keys:write"


class SessionEnded(Unauthenticated):
    """Please sign in. A session ends after eight hours without use, and after a day in any case."""


class WrongPassword(Unauthenticated):
    """This address and this password do not belong together. Check both and try again."""


class TooManyTries(TooMany):
    """Too many tries with this address or from this network. Wait, then try again."""


class PasswordToReplace(Conflict):
    """This password was made for one use. Choose one of your own now."""


class FactorMissing(Forbidden):
    """Everybody who works here needs a second factor. Set one up under “My account” first."""


class OwnAccount(Conflict):
    """Your own password and second factor are changed under “My account”."""


class WeakPassword(Invalid):
    """Choose another password."""


class NotYourRole(Forbidden):
    """Your role does not include this. An owner can change your role on the staff page."""


class UnknownKey(Unauthenticated):
    """Send a key that exists and is not revoked: `Authorization: Bearer fh_…`."""


class ScopeMissing(Forbidden):
    """The key lacks the scope that this needs."""


class KeyBound(Forbidden):
    """This key is bound to purposes, and this answers for none in particular."""


class OtherPurpose(Forbidden):
    """This key is bound to other purposes and reads nothing for this one."""


class TextReplaced(Conflict):
    """This key has a newer text already, and only with that is it given another."""


class KeyEnded(Conflict):
    """This key is revoked or its time is over. Make another."""


class TooManyKeys(Conflict):
    """A business has two hundred keys that work at most. Revoke one that is not needed first."""


class MoreThanOwn(Forbidden):
    """A key gives no other more than it has itself: neither scopes nor purposes."""


class MoreThanMaker(Forbidden):
    """Whoever made this key could not give or take that role now, so the key cannot either."""


class OwnersMakeOwners(Forbidden):
    """Only an owner makes somebody an owner, in the console and with her own password."""


class BeingErased(Conflict):
    """She wants her record deleted; until that is done, or she calls it off, nobody uses it."""


class ReasonMissing(Forbidden):
    """Say first why you open this customer's record; the customer can read it."""


class WorksHereAlready(Conflict):
    """Somebody with this address works here already."""


class LastOwner(Conflict):
    """This is the last owner. Make somebody else an owner first."""


class OwnerExists(Conflict):
    """There is an owner already; she can invite others."""


class Member(Struct, frozen=True, kw_only=True):
    """A person who works for the business."""

    id: UUID
    address: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def actor(self) -> Actor:
        """The member as the one who does something."""
        return Actor.member(self.id, self.name)

    def may(self, right: Right | str) -> bool:
        """Say whether the member's role includes this."""
        return right in RIGHTS[self.role]


class Credentials(Struct, frozen=True):
    """A member, the hash to check a password against, and the secret of her second factor.

    Never part of an answer; the secret is encrypted, and there only once it was proved.
    """

    id: UUID
    address: str
    password_hash: str
    secret: bytes | None = None


class NewMember(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom an owner invites."""

    name: Name
    address: Annotated[str, Meta(max_length=254, pattern=ADDRESS_PATTERN)]
    role: Role


class Session(Struct, frozen=True, kw_only=True):
    """A browser in which a member is signed in."""

    token_hash: bytes
    created_at: datetime
    seen_at: datetime


class Caller(Struct, frozen=True, kw_only=True):
    """A program that calls with an API key; `reason` is why it looks at customers.

    With `purposes`, it reads nothing but what these allow.
    """

    id: UUID
    name: str
    scopes: frozenset[Scope]
    reason: str
    purposes: frozenset[UUID] = frozenset()
    # It called with the text before the last rotation.
    by_previous: bool = False

    @property
    def actor(self) -> Actor:
        """The key as the one who does something."""
        return Actor.key(self.id, self.name)

    def allows(self, scope: Scope | str) -> bool:
        """Say whether the key has this scope."""
        return scope in self.scopes

    def check_scope(self, scope: Scope) -> None:
        """Refuse what needs a scope that the key lacks, naming it (ScopeMissing)."""
        if not self.allows(scope):
            raise ScopeMissing(f"This needs the scope {scope}, which the key {self.name!r} lacks.")

    def check_purpose(self, purpose_id: UUID) -> None:
        """Refuse to read for a purpose that the key is not made for (OtherPurpose)."""
        if self.purposes and purpose_id not in self.purposes:
            raise OtherPurpose


class Key(Struct, frozen=True, kw_only=True):
    """An API key as staff see it: everything but its text, which nobody can see again."""

    id: UUID
    name: str
    scopes: list[Scope]
    reason: str
    # All that it reads is bound to these; empty: to none.
    purposes: list[UUID]
    # The member or the key that made it; nobody where the operator did.
    created_by: UUID | None
    created_at: datetime
    # No end where there is none.
    expires_at: datetime | None
    # Until when the text before the last rotation works; nothing where there was none.
    previous_until: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """What staff say about a key before it is made."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    reason: Reason
    purposes: list[UUID] = field(default_factory=list)
    # How many days it works; without, until it is revoked.
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None


def folded(address: str) -> str:
    """The form in which two addresses of staff are compared."""
    return composed(address.strip()).lower()


def window_of(now: datetime, lasts: timedelta = ATTEMPT_WINDOW) -> datetime:
    """The beginning of the window in which tries are counted."""
    seconds = int(lasts.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, tz=now.tzinfo)


def checked_reason(reason: str) -> str:
    """Return a reason that a customer can make something of, or refuse."""
    reason = " ".join(reason.split())
    if SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        return reason
    sentence = f"Give a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters."
    raise Invalid(sentence, [Problem("reason", sentence)])
