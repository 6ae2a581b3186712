"""What is safe to repeat is repeated, once done stays done once, and the rest is tried once."""

from __future__ import annotations

import httpx2
import pytest

from crm.client import Changed, Client, TooMany, Unavailable
from tests.client.conftest import AWAY, LOST, Pauses, Way


async def test_a_lost_answer_is_asked_for_again(client: Client, way: Way) -> None:
    """Under the same Idempotency-Key: one customer, whatever was lost how often."""
    way.faults = [AWAY, LOST, LOST, httpx2.Response(503)]

    nora = await client.customers.post_customer(address="nora@example.com")

    keys = {request.headers["idempotency-key"] for request in way.sent}
    assert len(way.sent) == 5
    assert len(keys) == 1
    assert [each.id async for each in client.customers.get_customers()] == [nora.id]


async def test_a_key_of_the_callers_own_outlives_her_process(client: Client) -> None:
    """The second process is answered as the first was."""
    first = await client.customers.post_customer(address="a@example.com", idempotency_key="order 7")
    second = await client.customers.post_customer(
        address="a@example.com", idempotency_key="order 7"
    )

    assert first == second


async def test_retry_after_is_waited_for(client: Client, way: Way, pauses: Pauses) -> None:
    """In seconds; without one, or after a lost connection, a pause that grows by chance."""
    way.faults = [httpx2.Response(429, headers={"retry-after": "7"}), AWAY, httpx2.Response(502)]

    await client.keys.get_key()

    assert pauses.seconds[0] == 7
    assert len(pauses.seconds) == 3
    assert pauses.seconds[1] <= 2
    assert pauses.seconds[2] <= 4


async def test_it_gives_up(client: Client, way: Way, pauses: Pauses) -> None:
    """After five attempts, or at once where hours would have to be waited for."""
    way.faults = [httpx2.Response(503)] * 5
    with pytest.raises(Unavailable):
        await client.keys.get_key()
    way.faults = [AWAY] * 5
    with pytest.raises(httpx2.ConnectError):
        await client.keys.get_key()
    assert len(pauses.seconds) == 8

    for seconds in ("7200", "9" * 5000):
        way.faults = [httpx2.Response(429, headers={"retry-after": seconds})]
        with pytest.raises(TooMany):
            await client.keys.get_key()
    assert len(pauses.seconds) == 8


async def test_what_is_not_safe_is_tried_once(client: Client, way: Way) -> None:
    """A change that rests on a version, and what has no Idempotency-Key."""
    nora = await client.customers.post_customer(address="nora@example.com")
    way.sent.clear()
    way.faults = [LOST]
    with pytest.raises(httpx2.ReadError):
        await client.customers.patch_customer(nora.id, if_match=nora.version, name="Nora")
    way.faults = [AWAY]
    with pytest.raises(httpx2.ConnectError):
        await client.customers.post_restriction(nora.id)

    assert len(way.sent) == 2
    with pytest.raises(Changed):
        await client.customers.patch_customer(nora.id, if_match=nora.version, name="Nora B.")


async def test_lists_are_read_to_their_end(client: Client, way: Way) -> None:
    """Page by page, as far as rows are wanted; and from a cursor that was kept."""
    made = [
        (await client.customers.post_customer(address=f"reader{number}@example.com")).id
        for number in range(5)
    ]
    way.sent.clear()

    rows = client.customers.get_customers(limit=2)
    first = [each.id async for page in rows.pages() for each in page]
    asked = len(way.sent)
    begun = client.customers.get_customers(limit=2)
    async for page in begun.pages():
        assert len(page) == 2
        break
    rest = client.customers.get_customers(limit=2, after=begun.after)

    assert first == made[::-1]
    assert asked == 3
    assert rows.after is None
    assert [each.id async for each in rest] == made[2::-1]
