"""The API: drafts, versions, starts that are not repeated, counts that add up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from crm import customers, events, privacy
from crm.businesses import Business
from crm.campaigns import State, filling
from crm.db import Database
from crm.privacy import Fingerprint
from crm.staff import Scope
from tests import make
from tests.campaigns.site import begun, caller, client, drafted, member, present

LIST = "/v1/campaigns"


@pytest.fixture
async def api(database: Database, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    """A program with every scope."""
    async with client(database, business, key=caller()) as opened:
        yield opened


def key(text: str) -> dict[str, str]:
    """Name a request so that it is done once."""
    return {"idempotency-key": f'"{text}"'}


async def wants(database: Database, business: Business, **changes: Any) -> dict[str, Any]:
    """What a program writes for a campaign."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
    return {"purpose_id": str(purpose.id), "subject": "Rye", "source": "# Rye", **changes}


async def test_a_draft_is_posted_read_and_listed(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """With its place and its version; the list has counts and no text."""
    posted = await api.post(LIST, json=await wants(database, business))
    one = await api.get(posted.headers["location"])
    listed = await api.get(LIST)

    assert posted.status_code == 201
    assert posted.headers["etag"] == one.headers["etag"] == '"v1"'
    assert one.json()["source"] == "# Rye"
    assert one.json()["counts"]["audience"] == 0
    assert [line["subject"] for line in listed.json()] == ["Rye"]
    assert "source" not in listed.json()[0]


async def test_a_repeated_draft_is_one_draft(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """By its Idempotency-Key."""
    body = await wants(database, business)
    first = await api.post(LIST, json=body, headers=key("a"))
    second = await api.post(LIST, json=body, headers=key("a"))

    assert first.json() == second.json()
    assert len((await api.get(LIST)).json()) == 1


async def test_pages_lead_on(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """Each campaign once; an altered cursor is refused."""
    body = await wants(database, business)
    for number in range(3):
        await api.post(LIST, json=body | {"subject": f"No. {number}"})
    first = await api.get(LIST, params={"limit": 2})
    second = await api.get(first.links["next"]["url"])

    assert [line["subject"] for line in first.json()] == ["No. 2", "No. 1"]
    assert [line["subject"] for line in second.json()] == ["No. 0"]
    assert (await api.get(LIST, params={"after": "x"})).status_code == 422


@pytest.mark.parametrize(
    ("match", "status"),
    [('"v1"', 200), ("*", 200), ('"v2"', 412), ('W/"v1"', 412), (None, 428)],
)
async def test_a_change_names_the_version_it_read(
    database: Database, business: Business, api: httpx2.AsyncClient, match: str, status: int
) -> None:
    """Nobody's text is lost without a word."""
    campaign, _, _ = await drafted(database, business, 0)
    body = {"purpose_id": str(campaign.purpose_id), "subject": "Changed", "source": "Text"}
    headers = {"if-match": match} if match else {}
    answer = await api.put(f"{LIST}/{campaign.id}", json=body, headers=headers)

    assert answer.status_code == status
    stands = await present(database, business, campaign)
    assert (stands.subject == "Changed") == (status == 200)


@pytest.mark.parametrize(
    "body",
    [
        {"subject": "No purpose"},
        {"purpose_id": "x"},
        {"purpose_id": str(UUID(int=1)), "unknown": 1},
        {"purpose_id": str(UUID(int=1)), "subject": "a" * 301},
        {"purpose_id": str(UUID(int=1)), "format": "word"},
        {"purpose_id": str(UUID(int=1)), "source": "a\x00b"},
    ],
)
async def test_a_malformed_draft_is_a_problem(
    api: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    """422 or 404 in the shape of RFC 9457, never a 500."""
    answer = await api.post(LIST, json=body)

    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_review_says_what_keeps_it_back(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """Sums, and every problem of the text at once; a start says the same."""
    campaign, _, _ = await drafted(database, business, 2, source="{{ a }}\n\n{{ b }}")
    review = (await api.get(f"{LIST}/{campaign.id}/review")).json()
    start = await api.post(f"{LIST}/{campaign.id}/start", headers=key("s"))

    assert (review["will_get"], review["audience"]) == (2, 2)
    assert [problem["field"] for problem in review["problems"]] == ["source", "source"]
    assert start.status_code == 422
    assert len(start.json()["errors"]) == 2


async def test_a_start_needs_a_key_and_is_done_once(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """The repeated request is answered as the first was; another one is a conflict."""
    campaign, _, _ = await drafted(database, business)
    path = f"{LIST}/{campaign.id}/start"
    without = await api.post(path)
    first = await api.post(path, headers=key("once"))
    repeated = await api.post(path, headers=key("once"))
    another = await api.post(path, headers=key("twice"))

    assert without.status_code == 400
    assert (first.status_code, first.json()["state"]) == (200, "starting")
    assert (repeated.status_code, repeated.json()) == (200, first.json())
    assert (another.status_code, another.json()["code"]) == (409, "wrong_state")


async def test_of_two_programs_one_starts_it(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """At the same moment, on two connections."""
    campaign, _, _ = await drafted(database, business)
    path = f"{LIST}/{campaign.id}/start"
    answers = await asyncio.gather(
        *(api.post(path, headers=key(f"program {number}")) for number in range(4))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_scheduled_and_taken_back(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """An instant without zone, one gone by and one out of reach are refused."""
    campaign, _, _ = await drafted(database, business)
    path = f"{LIST}/{campaign.id}/schedule"
    at = database.clock() + timedelta(days=1)
    refused = {
        (await api.post(path, json={"at": text})).status_code
        for text in ("2030-01-01T07:00:00", "9999-13-01T00:00:00Z", "soon")
    }
    late = await api.post(path, json={"at": "2020-01-01T07:00:00Z"})
    far = await api.post(path, json={"at": "9999-12-31T23:59:59-10:00"})
    done = await api.post(path, json={"at": at.isoformat()})
    back = await api.delete(path)

    assert refused == {422}
    assert (late.json()["code"], far.json()["code"]) == ("too_late", "too_far")
    assert (done.status_code, done.json()["state"]) == (200, "scheduled")
    assert (back.json()["state"], back.json()["scheduled_at"]) == ("draft", None)


async def test_counts_add_up_and_deliveries_are_ids(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """A page of deliveries is a look at each of its customers, and says nothing of addresses."""
    campaign, _, ids = await drafted(database, business, 3)
    await api.post(f"{LIST}/{campaign.id}/start", headers=key("s"))
    async with database.write(business.id) as db:
        await filling.fill_piece(db, campaign.id, 10)
    counts = (await api.get(f"{LIST}/{campaign.id}/counts")).json()
    path = f"{LIST}/{campaign.id}/deliveries"
    first = await api.get(path, params={"state": "waiting", "limit": 2})
    second = await api.get(first.links["next"]["url"])
    async with database.read(business.id) as db:
        looked = await events.looks_at(db, ids[0])

    assert (counts["waiting"], counts["audience"], counts["reasons"]) == (3, 3, {})
    got = [line["customer_id"] for line in first.json() + second.json()]
    assert sorted(got) == sorted(str(each) for each in ids)
    assert "reply" not in first.json()[0]
    assert "@" not in first.text
    assert len(looked) == 1
    assert (await api.get(path)).status_code == 422
    assert (await api.get(path, params={"state": "lost"})).status_code == 422


async def test_deliveries_are_read_to_their_end(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """Also a page with nobody but one who waits for her deletion: it has her number only."""
    campaign, _, ids = await drafted(database, business, 3)
    await api.post(f"{LIST}/{campaign.id}/start", headers=key("s"))
    async with database.write(business.id) as db:
        await filling.fill_piece(db, campaign.id, 10)
        await privacy.plan(db, await customers.get(db, ids[0]), Fingerprint.keep)
    path = f"{LIST}/{campaign.id}/deliveries"
    pages = [await api.get(path, params={"state": state}) for state in ("waiting", "excluded")]
    async with database.read(business.id) as db:
        looked = await events.looks_at(db, ids[0])

    assert [page.status_code for page in pages] == [200, 200]
    assert [len(page.json()) for page in pages] == [2, 1]
    assert len(looked) == 1


async def test_paused_resumed_and_cancelled(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """What its state does not allow is a conflict."""
    campaign, _, _ = await drafted(database, business)
    base = f"{LIST}/{campaign.id}"
    assert (await api.post(f"{base}/pause")).status_code == 409
    await api.post(f"{base}/start", headers=key("s"))
    async with database.write(business.id) as db:
        await filling.fill_piece(db, campaign.id, 10)
        await filling.fill_piece(db, campaign.id, 10)
    await begun(database, business, campaign.id)

    moves = ("pause", "resumption", "cancellation")
    states = [(await api.post(f"{base}/{move}")).json()["state"] for move in moves]

    assert states == ["paused", "sending", "cancelled"]
    assert (await api.post(f"{base}/resumption")).status_code == 409


async def test_a_test_goes_to_staff_only(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """A key is no way to write to anybody it likes."""
    await member(database, business)
    campaign, _, _ = await drafted(database, business)
    path = f"{LIST}/{campaign.id}/test"

    assert (await api.post(path, json={"address": "bob@bakery.example"})).status_code == 202
    assert (await api.post(path, json={"address": "reader0@example.com"})).status_code == 403
    assert (await api.post(path, json={"address": "bob"})).status_code == 422


async def test_a_preview_for_a_customer_is_a_look(
    database: Database, business: Business, api: httpx2.AsyncClient
) -> None:
    """One for somebody invented is not."""
    campaign, _, ids = await drafted(database, business)
    path = f"{LIST}/{campaign.id}/preview"
    invented = (await api.get(path)).json()
    hers = (await api.get(path, params={"customer_id": str(ids[0])})).json()
    async with database.read(business.id) as db:
        looked = await events.looks_at(db, ids[0])

    assert "Dear Nora" in invented["text"]
    assert "Dear Reader" in hers["text"]
    assert len(looked) == 1


async def test_a_preview_for_a_customer_takes_the_scope_to_read_her(
    database: Database, business: Business
) -> None:
    """A text may say everything that is recorded of her; one for somebody invented does not."""
    campaign, _, ids = await drafted(database, business, source="{{ name }} {{ address }}")
    path = f"{LIST}/{campaign.id}/preview"
    hers = {"customer_id": str(ids[0])}
    async with client(database, business, key=caller([Scope.campaigns_read])) as api:
        invented, refused = await api.get(path), await api.get(path, params=hers)
    both = caller([Scope.campaigns_read, Scope.customers_read])
    async with client(database, business, key=both) as api:
        shown = await api.get(path, params=hers)
    async with database.read(business.id) as db:
        looked = await events.looks_at(db, ids[0])

    assert (invented.status_code, shown.status_code, len(looked)) == (200, 200, 1)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert "customers:read" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("scope", "reads", "writes", "sends"),
    [
        (Scope.campaigns_read, 200, 403, 403),
        (Scope.campaigns_write, 403, 201, 403),
        (Scope.campaigns_send, 403, 403, 200),
    ],
)
async def test_each_scope_opens_its_own(
    database: Database, business: Business, *, scope: Scope, reads: int, writes: int, sends: int
) -> None:
    """Reading, writing and sending are three things."""
    campaign, _, _ = await drafted(database, business)
    body = await wants(database, business)
    async with client(database, business, key=caller([scope])) as api:
        assert (await api.get(LIST)).status_code == reads
        assert (await api.post(LIST, json=body)).status_code == writes
        start = await api.post(f"{LIST}/{campaign.id}/start", headers=key("s"))
        assert start.status_code == sends


async def test_a_stranger_gets_nothing(
    database: Database, business: Business, other_business: Business, api: httpx2.AsyncClient
) -> None:
    """Another business's campaign is not there, whatever is asked of it."""
    theirs, _, _ = await drafted(database, other_business)
    base = f"{LIST}/{theirs.id}"
    body = await wants(database, business)
    at = {"at": (database.clock() + timedelta(days=1)).isoformat()}
    answers = [
        *[await api.get(base + each) for each in ("", "/review", "/preview", "/counts")],
        await api.get(f"{base}/deliveries", params={"state": "sent"}),
        await api.put(base, json=body, headers={"if-match": '"v1"'}),
        await api.post(f"{base}/start", headers=key("s")),
        await api.post(f"{base}/schedule", json=at),
        await api.delete(f"{base}/schedule"),
        *[await api.post(f"{base}/{each}") for each in ("pause", "resumption", "cancellation")],
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert (await api.get(LIST)).json() == []
    assert (await present(database, other_business, theirs)).state is State.draft
