"""The states a consent can be in, what leads from one to another, and what each allows.

Names and meanings are those of W3C DPV 2.3. Only `given` and `renewed` are consent that
authorises. `unobjected` stands for a soft opt-in (Art. 13(2) ePrivacy): told at a sale, and not
objected to. It authorises on its own basis and is never called consent.
"""

from __future__ import annotations

from enum import StrEnum

from crm.errors import Conflict, Forbidden


class Status(StrEnum):
    """What is known of a customer's will for one purpose."""

    unknown = "unknown"
    requested = "requested"
    deferred = "deferred"
    given = "given"
    renewed = "renewed"
    refused = "refused"
    withdrawn = "withdrawn"
    revoked = "revoked"
    expired = "expired"
    invalidated = "invalidated"
    unobjected = "unobjected"


class Basis(StrEnum):
    """What makes it lawful; a purpose has one, and it is never swapped for another."""

    consent = "consent"
    explicit_consent = "explicit_consent"
    soft_opt_in = "soft_opt_in"


class Method(StrEnum):
    """By which way a decision came in."""

    web_form = "web_form"
    double_opt_in = "double_opt_in"
    portal = "portal"
    renewal = "renewal"
    one_click = "one_click"
    stop_page = "stop_page"
    complaint = "complaint"
    staff = "staff"
    imported = "import"
    api = "api"
    expiry = "expiry"
    retirement = "retirement"
    erasure = "erasure"
    # She has another address now, for which this was not said.
    new_address = "new_address"
    # Two records of hers became one, and the other one said so.
    merge = "merge"


# A yes; each but the last is consent.
AUTHORISES = frozenset({Status.given, Status.renewed, Status.unobjected})
CONSENTS = frozenset({Status.given, Status.renewed})
# A no, or the end of a yes.
OPTED_OUT = frozenset(
    {Status.withdrawn, Status.refused, Status.revoked, Status.expired, Status.invalidated}
)

# Only through these does a customer speak for herself; nothing else lifts an opt-out (promise 7).
OWN_WORD = frozenset({Method.double_opt_in, Method.portal, Method.renewal})

_ASKED = frozenset({Status.requested, Status.deferred})
_NO = frozenset({Status.refused, Status.withdrawn})
_ENDS = frozenset({Status.withdrawn, Status.revoked, Status.expired, Status.invalidated})
_AGAIN = frozenset({Status.requested, Status.given, Status.withdrawn})

# From the state of today (None: never asked) to the states an event may announce.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: _ASKED | _NO | {Status.unknown, Status.given, Status.unobjected},
    Status.unknown: _ASKED | _NO | {Status.given, Status.unobjected},
    Status.requested: _ASKED | _NO | {Status.given, Status.expired},
    Status.deferred: _ASKED | _NO | {Status.given, Status.expired},
    Status.given: _ASKED | _ENDS | {Status.renewed},
    Status.renewed: _ASKED | _ENDS | {Status.renewed},
    Status.unobjected: _ASKED | _ENDS | {Status.given, Status.unobjected},
    Status.refused: _ASKED | {Status.given, Status.withdrawn},
    Status.withdrawn: frozenset({Status.requested, Status.given}),
    Status.revoked: _AGAIN,
    Status.expired: _AGAIN,
    Status.invalidated: _AGAIN,
}

# What DPV 2.3 calls each: `dpv:` goes before.
DPV = {
    Status.unknown: "ConsentUnknown",
    Status.requested: "ConsentRequested",
    Status.deferred: "ConsentRequestDeferred",
    Status.given: "ConsentGiven",
    Status.renewed: "RenewedConsentGiven",
    Status.refused: "ConsentRefused",
    Status.withdrawn: "ConsentWithdrawn",
    Status.revoked: "ConsentRevoked",
    Status.expired: "ConsentExpired",
    Status.invalidated: "ConsentInvalidated",
    Status.unobjected: "LegitimateInterestNotObjected",
}


class ImpossibleTransition(Conflict):
    """Consent cannot go from its present state to that one."""


class OptOutStands(Conflict):
    """The customer has opted out; only she can consent again, by sign-up or in the portal."""


class NotHerWord(Forbidden):
    """Only the customer herself can do this, by sign-up or in the portal."""


def announced(present: Status | None, status: Status) -> Status:
    """Name what a decision is given today's state: to consent again is to renew."""
    if status is Status.given and present in CONSENTS:
        return Status.renewed
    return status


def check_transition(present: Status | None, status: Status, method: Method) -> None:
    """Refuse a decision that cannot follow, or that only the customer herself can make."""
    if present in OPTED_OUT and status in AUTHORISES and method not in OWN_WORD:
        raise OptOutStands
    if method is Method.renewal and present not in CONSENTS:
        # It says again what stands, and lifts nothing: a no may have come since it was asked.
        raise OptOutStands
    if status not in TRANSITIONS[present]:
        sentence = f"Consent cannot go from {present or 'never asked'} to {status}."
        raise ImpossibleTransition(sentence)


def moves(
    present: Status | None, status: Status, method: Method, *, overtaken: bool = False
) -> bool:
    """Say whether an event changes the state, or only stands in the history.

    A request changes neither a yes nor a no; weaker evidence never overrides what is known. Nor
    does a yes that is `overtaken`: the yes that stands is newer, or to a later version.
    """
    if status in _ASKED:
        return present is None or present is Status.unknown or present in _ASKED
    if status is Status.unknown:
        return present is None
    if status is Status.withdrawn:
        return True
    if status in AUTHORISES and present in AUTHORISES:
        return not overtaken and (method in OWN_WORD or present not in CONSENTS)
    return present not in OPTED_OUT or method in OWN_WORD
