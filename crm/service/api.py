"""Service messages for programs: /v1/service-messages, and what they may be for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from crm import mail, service
from crm.db import Db, ReadDb
from crm.mail import NewServicePurpose, ServiceMessage, ServicePurpose
from crm.service.model import NewServiceMessage
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import needs_key, once
from crm.web.ratelimit import Limit, by_business

_SEND = [needs("service_messages:send")]
# A text of 50,000 characters, each escaped.
_BODY = 320 * 1024
# Ten in a second, of one business together: its flood is no reason why others wait.
_OFTEN = Limit("service-messages", quota=600, seconds=60, per=by_business)

_PURPOSE = {
    "label": "Order confirmation",
    "purpose": "You ordered something, and we confirm what you ordered.",
    "basis": "contract",
}
_MESSAGE = {
    "customer": "CUSTOMER_ID",
    "purpose": "order_confirmation",
    "subject": "Your order 2026-0417",
    "text": "Thank you, Nora.\n\n| What | Price |\n| --- | --- |\n| Birthday cake | 32.00 EUR |\n",
    "reference": "2026-0417",
}


@get(
    "/service-purposes",
    guards=[needs("purposes:read")],
    tags=["Service messages"],
    summary="List the service purposes",
    description="What programs may write to single customers for, without a consent.",
)
async def get_service_purposes(db: NamedDependency[ReadDb]) -> list[ServicePurpose]:
    """List the service purposes."""
    return await mail.service_purposes(db)


@put(
    "/service-purposes/{name:str}",
    guards=[needs("purposes:write")],
    request_max_body_size=_BODY,
    opt={"example": _PURPOSE},
    tags=["Service messages"],
    summary="Declare a service purpose",
    description="`label` and `purpose` stand in each mail, as the reason why she gets it. `basis` "
    "is `contract` or `legal_obligation`: 422 `no_ground` for every other, since what needs a "
    "consent or rests on an interest goes as a campaign. 409 `purpose_needs_consent` for the "
    "short name of a purpose that customers agree to. Said again, the words change and the basis "
    "stays (409 `ground_stays`).",
)
async def put_service_purpose(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    data: JSONBody[NewServicePurpose],
) -> ServicePurpose:
    """Declare a service purpose."""
    return await mail.declare_service_purpose(db, caller.actor, name, data)


@post(
    "/service-messages",
    guards=[*_SEND, _OFTEN],
    request_max_body_size=_BODY,
    opt={"example": _MESSAGE},
    tags=["Service messages"],
    summary="Send one mail to one customer",
    description="An order, a password, a delivery: what a contract or a duty asks for, never "
    "advertising. An Idempotency-Key is required: a repeated request sends nothing twice. `text` "
    "is Markdown in your letterhead; nothing is filled in. Answered once it waits; where it stands "
    "is at its address, and told by `service_message.sent`, `service_message.failed` and "
    "`service_message.uncertain`. 409 `purpose_needs_consent`, `address_suppressed`, "
    "`customer_frozen`, `being_erased`; 422 `message_refused` with what would watch its reader or "
    "cannot stand in a mail; 429 `too_many_service_messages` after 20 to her within a day.",
    status_code=202,
    responses={202: ResponseSpec(ServiceMessage, generate_examples=False, description="Waiting")},
)
async def post_service_message(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewServiceMessage],
) -> Response[bytes]:
    """Send one mail to one customer."""
    needs_key(request)

    async def act() -> ServiceMessage:
        return await service.send(db, caller.actor, data)

    answer = await once(request, db, str(caller.id), act, status=202)
    told = msgspec.json.decode(answer.content, type=ServiceMessage)
    answer.headers["location"] = f"/v1/service-messages/{told.id}"
    return answer


@get(
    "/service-messages/{id:uuid}",
    guards=_SEND,
    tags=["Service messages"],
    summary="Read where a service message stands",
    description="`waiting` until `next_at`, `sending`, `sent` to the relay, `failed`, or "
    "`uncertain`: the relay may have it, and it is not sent again. `code` and `reply` are what was "
    "said last; `bounced_at` is when it came back after that. No look: nothing of her record is in "
    "it.",
)
async def get_service_message(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> ServiceMessage:
    """Read where a service message stands."""
    return await mail.service_message(db, id)


handlers = [
    get_service_purposes,
    put_service_purpose,
    post_service_message,
    get_service_message,
]
