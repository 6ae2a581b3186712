"""Purposes, decisions and checks for programs: /v1/purposes, /v1/customers/{id}/consent-events.

A state is never put or patched; only an event is posted, and the state follows from it.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct, field

from crm import consent, customers
from crm.consent import (
    Allowed,
    Check,
    Circumstances,
    ConsentEvent,
    EvidenceKind,
    Form,
    Method,
    NewNotice,
    NewPurpose,
    Notice,
    Purpose,
    Question,
)
from crm.consent.terms import NAMED, Country, Named
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem
from crm.events import Actor
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.idempotency import once
from crm.web.transaction import attempt

# A text of 5,000 characters, each escaped, or a thousand ids.
_BODY = 128 * 1024

_NOTICE = {
    "locale": "en",
    "text": "Yes, send me The Corner Letter by e-mail. I can stop at any time.",
    "control_label": "Send me The Corner Letter",
}

_NAMED = "`purpose` is its id or its short name."
_KEYED = "With an Idempotency-Key a repeated request does nothing twice."


class PublishedNotice(Struct, frozen=True, kw_only=True):
    """One version of a text; `sha256` is over all of it, as docs/verify.md says."""

    id: UUID
    purpose_id: UUID
    purpose_version: int
    version: int
    locale: str
    text: str
    particulars: str
    control_label: str
    sha256: str
    accepts: list[EvidenceKind]
    published_at: datetime


class NewConsentEvent(Struct, kw_only=True, forbid_unknown_fields=True):
    """A decision of a customer, as the caller can prove it."""

    purpose: Named
    status: Literal["given", "refused", "deferred", "unobjected", "withdrawn"]
    # The version she was shown; only a withdrawal needs none.
    notice: UUID | None = None
    # For `given` with the `kind` that the notice accepts; names are plain, texts short.
    evidence: dict[str, str | int | bool] = field(default_factory=dict)
    # When she decided, with a zone; absent means now.
    at: Annotated[datetime, Meta(tz=True)] | None = None
    # Where she lives, if she said so; absent means where the business is.
    jurisdiction: Country | None = None
    # Where she decided: the caller's name for the form, and its page.
    form: Annotated[str, Meta(max_length=100)] = ""
    page: Annotated[str, Meta(max_length=500)] = ""
    # What the caller calls the request by which it came, to find it again.
    request: Annotated[str, Meta(max_length=200)] = ""
    # A withdrawal because she reported a mail as unwanted.
    complaint: bool = False


class Asked(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to check: up to 1,000 customers by id, or one address."""

    purpose: Named
    customers: Annotated[list[UUID], Meta(min_length=1, max_length=1000)] | None = None
    address: Annotated[str, Meta(min_length=3, max_length=1000)] | None = None


class Checks(Struct, frozen=True):
    """One answer for each customer asked about, in the order asked."""

    checks: list[Check]


@get(
    "/purposes",
    guards=[needs("purposes:read")],
    tags=["Purposes"],
    summary="List the purposes",
    description="What customers may be contacted or their data be used for; a newsletter is one.",
)
async def get_purposes(db: NamedDependency[ReadDb]) -> list[Purpose]:
    """List the purposes."""
    return await consent.purposes(db)


@post(
    "/purposes",
    guards=[needs("purposes:write")],
    request_max_body_size=_BODY,
    opt={"example": {"slug": "letter", "name": "The Corner Letter"}},
    tags=["Purposes"],
    summary="Add a purpose",
    description="It asks nobody anything until a notice is published. 409 `slug_taken` where the "
    "short name is in use, `slug_needs_no_consent` where service messages are for it. "
    f"{_KEYED}",
    responses={201: ResponseSpec(Purpose, generate_examples=False, description="Added")},
)
async def post_purpose(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewPurpose],
) -> Response[bytes]:
    """Add a purpose."""

    async def act() -> Purpose:
        return await consent.add_purpose(db, caller.actor, data)

    return await once(request, db, str(caller.id), act, status=201)


@get(
    "/purposes/{purpose_id:uuid}",
    guards=[needs("purposes:read")],
    tags=["Purposes"],
    summary="Read a purpose",
    description="As it is now; also one that is retired, since decisions cite it.",
)
async def get_purpose(db: NamedDependency[ReadDb], purpose_id: FromPath[UUID]) -> Purpose:
    """Read a purpose."""
    return await consent.purpose(db, purpose_id)


@get(
    "/notices/{notice_id:uuid}",
    guards=[needs("purposes:read")],
    tags=["Purposes"],
    summary="Read one version of a text",
    description="Exactly as it was shown, also once another has replaced it: what a decision cites "
    "as `notice_id`.",
)
async def get_notice(db: NamedDependency[ReadDb], notice_id: FromPath[UUID]) -> PublishedNotice:
    """Read one version of a text."""
    return _published(await consent.notice(db, notice_id))


@get(
    "/purposes/{purpose_id:uuid}/notices",
    guards=[needs("purposes:read")],
    tags=["Purposes"],
    summary="List every version of a purpose's text",
    description="The newest first. A version never changes: decisions rest on it.",
)
async def get_notices(
    db: NamedDependency[ReadDb], purpose_id: FromPath[UUID]
) -> list[PublishedNotice]:
    """List every version of a purpose's text."""
    await consent.purpose(db, purpose_id)
    return [_published(each) for each in await consent.notices(db, purpose_id)]


@post(
    "/purposes/{purpose_id:uuid}/notices",
    guards=[needs("purposes:write")],
    request_max_body_size=_BODY,
    opt={"example": _NOTICE},
    tags=["Purposes"],
    summary="Publish the next version of a purpose's text",
    description="The exact words to show and those of the control beside them. `accepts` names the "
    "evidence collected elsewhere that counts as consent to this version; what it does not name "
    f"gives no consent. {_KEYED}",
    responses={
        201: ResponseSpec(PublishedNotice, generate_examples=False, description="Published")
    },
)
async def post_notice(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    purpose_id: FromPath[UUID],
    data: JSONBody[NewNotice],
) -> Response[bytes]:
    """Publish the next version of a purpose's text."""

    async def act() -> PublishedNotice:
        return _published(await consent.publish_notice(db, caller.actor, purpose_id, data))

    return await once(request, db, str(caller.id), act, status=201)


@post(
    "/customers/{id:uuid}/consent-events",
    guards=[needs("consents:write")],
    request_max_body_size=_BODY,
    opt={"example": {"purpose": "PURPOSE_ID", "status": "withdrawn"}},
    tags=["Consent"],
    summary="Record a decision of a customer",
    description="`given` needs the notice shown and evidence of a `kind` that it accepts (409 "
    "`evidence_not_accepted`), and lifts no earlier no: that takes the customer's own word, by "
    "sign-up or in her portal (409 `opt_out_stands`), nor a suppression (409 `silenced`). "
    "`refused` and `deferred` need the notice asked. `unobjected` tells of a sale, for a purpose "
    "on the basis of soft opt-in only, and is no consent. `withdrawn` needs none of it, is always "
    "accepted, at once, and again changes nothing; evidence that cannot be kept is left out. `at` "
    "has a zone and lies between 1990 and now. "
    f"{_NAMED} {_KEYED}",
    responses={201: ResponseSpec(ConsentEvent, generate_examples=False, description="Recorded")},
)
async def post_consent_event(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[NewConsentEvent],
) -> Response[bytes]:
    """Record a decision of a customer."""

    async def act(db: Db) -> Response[bytes]:
        decided = partial(_decided, db, caller.actor, id, data)
        return await once(request, db, str(caller.id), decided, status=201)

    return await attempt(request, db, act)


@get(
    "/customers/{id:uuid}/consent-events",
    guards=[needs("consents:read")],
    tags=["Consent"],
    summary="Read every decision of a customer",
    description="The newest first, with evidence. The customer can see that this key looked.",
)
async def get_consent_events(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> list[ConsentEvent]:
    """Read every decision of a customer."""
    await customers.get(db, id)
    told = await consent.history(db, id)
    await looks.record([id])
    return told


@get(
    "/customers/{id:uuid}/consents",
    guards=[needs("consents:read")],
    tags=["Consent"],
    summary="Read what a customer allows now",
    description="The state of each purpose she was ever asked about. `authorises` says whether she "
    "may be contacted on it now, and `reason` why not: a yes of a frozen record stands, and allows "
    "nothing. 409 `being_erased` while she waits for her deletion. A bare check: no look.",
)
async def get_consents(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> list[Allowed]:
    """Read what a customer allows now."""
    await customers.get(db, id)
    return await consent.allowed(db, id)


@get(
    "/consents/check",
    guards=[needs("consents:read")],
    opt={"bound": True},
    tags=["Consent"],
    summary="May I contact this customer for this purpose?",
    description="`authorises` is the answer, now, by the rule that sending goes by; `reason` says "
    "why not: `frozen` and `leaving` (she waits for her deletion) also where she said yes. Whoever "
    f"is not known has allowed nothing. {_NAMED} A bare check: no look.",
)
async def get_check(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Caller],
    customer: FromQuery[UUID],
    purpose: Annotated[str, QueryParameter(pattern=NAMED)],
) -> Check:
    """Check one customer by id."""
    purpose_id = await consent.purpose_named(db, purpose)
    caller.check_purpose(purpose_id)
    return await consent.check(db, customer, purpose_id)


@post(
    "/consent-checks",
    guards=[needs("consents:read")],
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"purpose": "PURPOSE_ID", "customers": ["CUSTOMER_ID"]}, "bound": True},
    tags=["Consent"],
    summary="May I contact these customers for this purpose?",
    description="By up to 1,000 ids, or by one address, which no URL and no log should hold. "
    f"An answer for each, in the order asked. {_NAMED} Bare checks: no looks.",
)
async def post_checks(
    db: NamedDependency[Db], caller: NamedDependency[Caller], data: JSONBody[Asked]
) -> Checks:
    """Check many customers by id, or one by address."""
    purpose_id = await consent.purpose_named(db, data.purpose)
    caller.check_purpose(purpose_id)
    if (data.customers is None) == (data.address is None):
        sentence = "Give either customers or an address."
        raise Invalid(sentence, [Problem("customers", sentence)])
    if data.customers is not None:
        return Checks(await consent.check_many(db, purpose_id, data.customers))
    found = await customers.by_address(db, data.address or "")
    return Checks([await consent.check(db, found.id if found else None, purpose_id)])


async def _decided(db: Db, by: Actor, customer_id: UUID, data: NewConsentEvent) -> ConsentEvent:
    at = consent.check_instant(data.at, db.now) if data.at else None
    purpose_id = await consent.purpose_named(db, data.purpose)
    if data.status == "withdrawn":
        # Of a record that was merged into another it counts there: leaving is never refused.
        customer_id = await customers.kept_as(db, customer_id) or customer_id
        await customers.get(db, customer_id)
        method = Method.complaint if data.complaint else Method.api
        said = consent.fitting_evidence(data.evidence)
        return await consent.withdraw(
            db, by, customer_id, purpose_id, method=method, at=at, said=said
        )
    evidence = consent.checked_evidence(data.evidence)
    if data.notice is None:
        sentence = "Name the notice that was shown."
        raise Invalid(sentence, [Problem("notice", sentence)])
    how = Circumstances(
        Method.api,
        at=at,
        evidence=evidence,
        # Without what a query may say of her.
        form=Form(data.form, data.page.partition("?")[0]) if data.form or data.page else None,
        jurisdiction=data.jurisdiction or "",
        request=data.request,
    )
    asked = Question(purpose_id, data.notice)
    return await _DECISIONS[data.status](db, by, customer_id, asked, how)


_DECISIONS = {
    "given": consent.give,
    "refused": consent.refuse,
    "deferred": consent.defer,
    "unobjected": consent.tell_at_sale,
}


def _published(notice: Notice) -> PublishedNotice:
    return PublishedNotice(
        id=notice.id,
        purpose_id=notice.purpose_id,
        purpose_version=notice.purpose_version,
        version=notice.version,
        locale=notice.locale,
        text=notice.text,
        particulars=notice.particulars,
        control_label=notice.control_label,
        sha256=notice.sha256.hex(),
        accepts=sorted(notice.accepts),
        published_at=notice.published_at,
    )


handlers = [
    get_purposes,
    post_purpose,
    get_purpose,
    get_notices,
    get_notice,
    post_notice,
    post_consent_event,
    get_consent_events,
    get_consents,
    get_check,
    post_checks,
]
