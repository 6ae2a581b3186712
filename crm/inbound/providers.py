"""What is done with the addresses that providers post to: made, made anew, taken away, noted."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from crm import events
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import secret
from crm.inbound.model import (
    BadTopic,
    NamedWebhook,
    Provider,
    UnknownWebhook,
    Webhook,
)

sql = Statements("inbound")

_ID = 16
_SECRET = 24
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")


async def webhooks(db: ReadDb) -> dict[Provider, Webhook]:
    """Return every address there is, by provider."""
    return {each.provider: each for each in await db.many(sql.webhooks, Webhook)}


async def make_webhook(db: Db, by: Actor, provider: Provider, topic: str = "") -> str:
    """Make an address, or a new one in place of the former; returns the secret part, shown once.

    Amazon's needs the ARN of the topic that is believed (BadTopic).
    """
    if provider is Provider.ses and not _TOPIC.fullmatch(topic):
        raise BadTopic
    made = secret(_SECRET)
    await db.run(
        sql.keep_webhook,
        provider=provider,
        secret_hash=hashlib.sha256(made).digest(),
        topic=topic if provider is Provider.ses else "",
    )
    await events.record(db, by, Kind.inbound_changed, reason=f"{provider} address made")
    return urlsafe_b64encode(db.business_id.bytes + made).decode()


async def drop_webhook(db: Db, by: Actor, provider: Provider) -> None:
    """Refuse whatever is posted there from now on."""
    if await db.run(sql.drop_webhook, provider=provider):
        await events.record(db, by, Kind.inbound_changed, reason=f"{provider} address removed")


def named_webhook(token: str) -> NamedWebhook:
    """Read the business and the secret from the end of an address; nothing is proved by it yet."""
    try:
        whole = urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raise UnknownWebhook from None
    if len(whole) != _ID + _SECRET:
        raise UnknownWebhook
    return NamedWebhook(UUID(bytes=whole[:_ID]), whole[_ID:])


async def webhook_of(db: ReadDb, provider: Provider, given: bytes) -> Webhook:
    """Return the address with this secret, or refuse with UnknownWebhook.

    The secret is looked up by its hash, so how long that takes says nothing about it.
    """
    found = await db.maybe(
        sql.webhook_by_secret,
        Webhook,
        provider=provider,
        secret_hash=hashlib.sha256(given).digest(),
    )
    if found is None:
        raise UnknownWebhook
    return found


async def note_webhook(db: Db, provider: Provider, trouble: str = "") -> None:
    """Write that something was posted, and what was wrong with it."""
    await db.run(sql.note_webhook, provider=provider, trouble=trouble[:300])
