"""Sign-ups that a shop's own checkout hands in: taken alike, whoever's address it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Struct

from crm import access
from crm.access import handed_in
from crm.access.handed_in import HandedIn
from crm.db import Db
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web import ratelimit
from crm.web.idempotency import once

_BODY = 20_000
_EXAMPLE = {
    "address": "nora@example.com",
    "notices": ["NOTICE_ID"],
    "page": "https://shop.example/checkout",
    "form": "checkout",
    "seen_from": {"address": "203.0.113.9"},
}


class TakenSignUp(Struct, frozen=True):
    """When it was taken; the same whoever's address it is."""

    taken_at: datetime


@post(
    "/sign-ups",
    guards=[needs("sign_ups:write")],
    status_code=202,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE, "bound": True},
    tags=["Sign-ups"],
    summary="Hand in a sign-up from a form of your own",
    description="Mails the address, and nothing counts until its owner has confirmed from there. "
    "The answer is the same for every address, known or not, suppressed or not, and so is the "
    "work: it tells nobody who your customers are. Whether she confirmed is told by the event "
    "`consent.given`, and by nothing else. `notices` are the texts that she was shown and ticked: "
    "the present ones of their language when she did. An address gets three mails in a quarter of "
    "an hour from one network and six in a day; what is beyond is answered alike and sends "
    "nothing. `seen_from` is the network of her browser: sixty sign-ups in a quarter of an hour "
    "come from one (429 `too_many_sign_ups`), and as many from a key that names none. A key that "
    "is bound to purposes signs up for these. With an Idempotency-Key a repeated request mails "
    "nobody twice.",
    responses={202: ResponseSpec(TakenSignUp, generate_examples=False, description="Taken")},
)
async def post_sign_up(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[HandedIn],
) -> Response[bytes]:
    """Hand in a sign-up from a form of your own."""

    async def act() -> TakenSignUp:
        new = await handed_in.read(db, caller, data)
        # As on our own form: what a network may have mailed to an address is one count.
        asker = ratelimit.network(new.network.address) if new.network else f"key {caller.id}"
        await handed_in.count(db, asker)
        await access.start(db, new, asker=asker)
        return TakenSignUp(db.now)

    return await once(request, db, str(caller.id), act, status=202)


handlers = [post_sign_up]
