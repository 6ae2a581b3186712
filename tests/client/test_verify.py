"""A receiver knows by the client whether a post is ours."""

from __future__ import annotations

import time

import pytest

from crm.businesses import Business
from crm.client import BadSignature, verify
from crm.db import Database
from crm.events import Kind
from crm.webhooks import signature
from tests import make
from tests.webhooks.receiver import receiver
from tests.webhooks.site import added, happened, turn


async def test_what_a_worker_posts_is_read(database: Database, business: Business) -> None:
    """And nothing that was changed on its way, is old, or is signed with another secret."""
    async with receiver() as there:
        endpoint, secret = await added(database, business, there, Kind.interaction_recorded)
        async with database.write(business.id) as db:
            nora = await make.customer(db)
            await happened(db, nora.id, "Two loaves")
        await turn(database, business, endpoint)
        (post,) = there.heard

    told = verify(secret, post.headers, post.body)

    assert told.type == "interaction.recorded"
    assert told.data.customer_id == nora.id
    other = signature.written(b"x" * signature.SECRET_SIZE)
    late = time.time() + 360
    with pytest.raises(BadSignature):
        verify(secret, post.headers, post.body + b" ")
    with pytest.raises(BadSignature):
        verify(other, post.headers, post.body)
    with pytest.raises(BadSignature):
        verify(secret, post.headers, post.body, now=late)
    with pytest.raises(BadSignature):
        verify(secret, {}, post.body)
    with pytest.raises(ValueError, match="whsec_"):
        verify("no secret", post.headers, post.body)
