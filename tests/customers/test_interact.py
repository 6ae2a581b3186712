"""Interactions: of a declared kind, when they happened, and who recorded them."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest

from crm import customers
from crm.businesses import Business
from crm.clock import utc_now
from crm.customers import Customer, NewInteraction, NewKind
from crm.customers.interaction import NewReply, kept_reply
from crm.db import open_database
from crm.pieces import Piece
from tests import make
from tests.conftest import KEYS, Cluster
from tests.customers import site

_FIRST = UUID(int=0)

KIND = {"label": "Bought", "purpose": "Because tax law says so.", "retention": "P6Y"}
CAKE = {
    "kind": "purchase",
    "title": "Birthday cake",
    "at": "2026-05-03T10:00:00+02:00",
    "amount": "32.00",
    "currency": "GBP",
}


def test_a_letter_is_kept_whatever_stands_on_its_letters() -> None:
    pile = "\u0301" * 40
    new = NewReply(subject=f"Ry{pile}e?", text=f"On{pile} Sundays?")
    kept = kept_reply(new, utc_now())
    joined = {name: str(kept[name]).replace("\u034f", "") for name in ("title", "detail")}
    assert joined == {
        "title": unicodedata.normalize("NFC", new.subject),
        "detail": unicodedata.normalize("NFC", new.text),
    }


@pytest.mark.parametrize("letter", ["a", "é", "麦", "\U00020000"])
def test_a_message_id_is_kept_whole_or_not_at_all(letter: str) -> None:
    """By its bytes: of one that is cut nobody could say which mail it names."""
    fits = letter * (998 // len(letter.encode()))
    for said, kept in ((fits, fits), (fits + letter, "")):
        found = kept_reply(
            NewReply(subject="", text="", message_id=said, in_reply_to=said), utc_now()
        )
        assert (found["message_id"], found["in_reply_to"]) == (kept, kept)


@pytest.fixture
async def kinds(api: httpx2.AsyncClient) -> None:
    answer = await api.put("/v1/interaction-kinds/purchase", json=KIND)
    assert answer.status_code == 200


@pytest.mark.usefixtures("kinds")
async def test_it_works(api: httpx2.AsyncClient, nora: Customer) -> None:
    path = f"/v1/customers/{nora.id}/interactions"
    answer = await api.post(path, json=CAKE)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["label"], body["amount"], body["at"]) == (
        "Bought",
        "32.00",
        "2026-05-03T08:00:00Z",
    )
    assert (body["actor_kind"], body["actor_name"]) == ("key", "Shop website")
    assert (await api.get(path)).json() == [body]
    assert [kind["name"] for kind in (await api.get("/v1/interaction-kinds")).json()] == [
        "purchase"
    ]


@pytest.mark.usefixtures("kinds")
async def test_a_repeated_request_records_nothing_twice(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    path = f"/v1/customers/{nora.id}/interactions"
    for _ in range(2):
        await api.post(path, json=CAKE, headers={"idempotency-key": "order-7"})
    assert len((await api.get(path)).json()) == 1


@pytest.mark.usefixtures("kinds")
async def test_pages_show_each_once_newest_first(api: httpx2.AsyncClient, nora: Customer) -> None:
    path = f"/v1/customers/{nora.id}/interactions"
    for number in range(5):
        # Two of one instant: the id decides between them.
        at = f"2026-05-0{1 + number // 2}T10:00:00Z"
        await api.post(path, json={"kind": "purchase", "title": f"Loaf {number}", "at": at})
    seen: list[str] = []
    following = f"{path}?limit=2"
    while following:
        answer = await api.get(following)
        seen += [row["title"] for row in answer.json()]
        following = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert seen == [f"Loaf {number}" for number in reversed(range(5))]


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "theft"},
        {"kind": "Purchase"},
        {"title": ""},
        {"title": " \n "},
        {"title": "a\x00b"},
        {"title": "a\nb"},
        {"title": "x" * 301},
        {"detail": "a\x00b"},
        {"detail": "x" * 10_001},
        {"amount": None},
        {"currency": None},
        {"currency": "gbp"},
        {"amount": "NaN"},
        {"amount": "1e12"},
        {"amount": "1e400"},
        {"amount": "0.00001"},
        {"amount": "many"},
        {"at": "2026-05-03T10:00:00"},
        {"at": "9999-12-31T23:59:59Z"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": "yesterday"},
        {"actor_name": "Somebody else"},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(
    api: httpx2.AsyncClient, nora: Customer, changes: dict[str, Any]
) -> None:
    path = f"/v1/customers/{nora.id}/interactions"
    answer = await api.post(path, json=CAKE | changes)
    assert answer.status_code == 422, answer.text[:300]
    assert (await api.get(path)).json() == []


@pytest.mark.usefixtures("kinds")
async def test_a_clock_a_little_ahead_is_forgiven(api: httpx2.AsyncClient, nora: Customer) -> None:
    at = (utc_now() + timedelta(minutes=2)).isoformat()
    answer = await api.post(f"/v1/customers/{nora.id}/interactions", json={**CAKE, "at": at})
    assert answer.status_code == 201


async def test_staff_add_a_note(console: httpx2.AsyncClient, nora: Customer) -> None:
    base = f"/staff/customers/{nora.id}"
    await console.post(f"{base}/look", data=site.form(reason="she rang"))
    data = site.form(title="Wants to try rye <next>", detail="On\r\nSaturday")
    assert (await console.post(f"{base}/notes", data=data)).status_code == 303
    shown = await console.get(base)
    assert "Wants to try rye &lt;next&gt;" in shown.text
    assert "Bob Okafor" in shown.text
    empty = await console.post(f"{base}/notes", data=site.form(title="", detail="kept"))
    assert empty.status_code == 422
    assert "kept</textarea>" in empty.text


async def test_what_came_to_be_for_a_purpose_goes_where_that_was_never_allowed(
    shared_cluster: Cluster, business: Business
) -> None:
    """A kind is declared anew, for a purpose; a day later only who allows it has one left."""
    now = utc_now()
    async with open_database(shared_cluster.app_url, KEYS, clock=lambda: now) as clocked:
        async with clocked.write(business.id) as db:
            purpose = await make.purpose(db)
            allows = (await make.audience(db, await make.notice(db, purpose.id), 1))[0]
            never = (await make.customer(db)).id
            kind = NewKind(label="Advice", purpose="To advise you.", retention="P6Y")
            await customers.declare_kind(db, make.SYSTEM, "advice", kind)
            for each in (allows, never):
                talk = NewInteraction(kind="advice", title="Allergies")
                await customers.interact(db, make.SYSTEM, each, talk)
            bound = msgspec.structs.replace(kind, purpose_id=purpose.id)
            await customers.declare_kind(db, make.SYSTEM, "advice", bound)
            at_once = await customers.lapse_interactions(db, _FIRST, 10)
        now += timedelta(days=1)
        async with clocked.write(business.id) as db:
            later = await customers.lapse_interactions(db, _FIRST, 10)
            left = [await customers.happenings(db, each) for each in (allows, never)]

    assert (at_once, later) == (Piece(0, None), Piece(1, None))
    assert left == [{"advice": 1}, {}]
