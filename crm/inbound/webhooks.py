"""Addresses that providers post reports to: the secret in the path says whose, and is the right.

A report is answered with 204 when what it does has committed; after anything else a provider
posts it again. No transaction is open while Amazon is asked for a certificate.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from uuid import UUID

import httpx2
from litestar import Request, Response, post
from litestar.params import FromPath

from crm.db import Database
from crm.errors import Refused
from crm.inbound.hearing import hear_arrival
from crm.inbound.model import NotSigned, Provider, Via, Webhook
from crm.inbound.providers import named_webhook, note_webhook, webhook_of
from crm.inbound.reports import (
    SnsMessage,
    amazon_url,
    check_signature,
    postmark_arrival,
    ses_arrivals,
    sns_message,
)
from crm.web.ratelimit import Unavailable

# Amazon SNS posts 256 kB at most; Postmark quotes a whole bounce if asked to.
_BODY = 1_000_000
_ANSWER = 100_000
_SECONDS = 10.0
_CERTIFICATES = 16


class Unreached(Unavailable):
    """Amazon could not be asked for what this report needs; it is taken when it is sent again."""


class Amazon:
    """What Amazon SNS is asked for: certificates, kept by their address, and confirmations."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """Ask over the network; tests bring a transport of their own."""
        self._transport = transport
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def certificate(self, url: str) -> bytes:
        """Fetch the certificate at an address of Amazon's, or refuse (NotSigned, Unreached)."""
        found = self._kept.get(amazon_url(url, pem=True))
        if found is None:
            found = await self._asked(url)
            self._kept[url] = found
            while len(self._kept) > _CERTIFICATES:
                self._kept.popitem(last=False)
        return found

    async def confirm(self, url: str) -> None:
        """Say that we want the topic, as its signed message asks."""
        await self._asked(amazon_url(url))

    async def _asked(self, url: str) -> bytes:
        client = httpx2.AsyncClient(
            transport=self._transport, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )
        found = b""
        try:
            async with client, client.stream("GET", url) as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise Unreached
                async for piece in answer.aiter_bytes():
                    found += piece
                    if len(found) > _ANSWER:
                        raise Unreached
        except httpx2.HTTPError:
            raise Unreached from None
        return found


@post("/hooks/postmark/{token:str}", status_code=204, request_max_body_size=_BODY)
async def post_postmark(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[None]:
    """Hear one report of Postmark."""
    database: Database = request.app.state.database
    business_id, _ = await _known(database, Provider.postmark, token)
    arrival = postmark_arrival(await request.body())
    await hear_arrival(database, business_id, arrival, Via.postmark)
    await _noted(database, business_id, Provider.postmark)
    return Response(None, status_code=204)


@post("/hooks/ses/{token:str}", status_code=204, request_max_body_size=_BODY)
async def post_ses(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[None]:
    """Hear one message of Amazon SNS: a report of SES, or the question whether we want them."""
    database: Database = request.app.state.database
    business_id, webhook = await _known(database, Provider.ses, token)
    message = sns_message(await request.body())
    amazon: Amazon = request.app.state.get("amazon") or _AMAZON
    try:
        await _checked(amazon, database, webhook, message)
    except Refused as wrong:
        await _noted(database, business_id, Provider.ses, wrong.message)
        raise
    for arrival in [] if message.confirms else ses_arrivals(message):
        await hear_arrival(database, business_id, arrival, Via.ses)
    await _noted(database, business_id, Provider.ses)
    return Response(None, status_code=204)


async def _checked(
    amazon: Amazon, database: Database, webhook: Webhook, message: SnsMessage
) -> None:
    if message.topic_arn != webhook.topic:
        raise NotSigned
    certificate = await amazon.certificate(message.signing_cert_url)
    check_signature(message, webhook.topic, certificate, database.clock())
    if message.confirms:
        await amazon.confirm(message.subscribe_url or "")


async def _known(database: Database, provider: Provider, token: str) -> tuple[UUID, Webhook]:
    named = named_webhook(token)
    async with database.read(named.business_id) as db:
        return named.business_id, await webhook_of(db, provider, named.secret)


async def _noted(
    database: Database, business_id: UUID, provider: Provider, trouble: str = ""
) -> None:
    async with database.write(business_id) as db:
        await note_webhook(db, provider, trouble)


_AMAZON = Amazon()

handlers = [post_postmark, post_ses]
