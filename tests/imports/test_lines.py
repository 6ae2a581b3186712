"""Lists of JSON objects: an installation imports what another exports, or anybody wrote."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from crm import consent, customers, imports, mail
from crm.businesses import Business
from crm.consent import Circumstances, EvidenceKind, Method, Status
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewTag
from crm.db import Database, Db
from crm.events import Actor
from crm.exports import EveryCustomer, Reading
from crm.imports import Row, RowStatus, Unreadable
from crm.imports.lines import Lines, is_lines
from crm.imports.lines import read as read_lines
from crm.imports.model import Bad
from crm.imports.objects import LINE_LIMIT
from tests import make
from tests.imports.lists import SLUG, held, letter, report, rows, take
from tests.staff.site import Browser

NAMES = ("yes", "left", "bounced", "objected", "frozen", "asked", "elsewhere")
NOW = datetime(2026, 6, 4, tzinfo=UTC)
_YES = {
    "status": "given",
    "at": "2025-01-02T10:05:00+00:00",
    "opted_in_at": "2025-01-02T10:00:00+00:00",
    "confirmed_at": "2025-01-02T10:05:00+00:00",
}


def line(**fields: Any) -> bytes:
    return json.dumps({"address": "ada@example.com"} | fields).encode() + b"\n"


def closed(content: bytes, **changes: Any) -> bytes:
    """Put the closing record behind some lines."""
    told = {"count": content.count(b"\n"), "sha256": hashlib.sha256(content).hexdigest()}
    return content + json.dumps({"closing": told | changes}).encode() + b"\n"


def opened(content: bytes) -> Lines:
    return read_lines(io.BytesIO(content), purpose=SLUG, now=NOW, size_limit=10**9)


def read(content: bytes) -> list[Row | Bad]:
    return list(opened(content).rows())


def _id(value: bytes | str) -> str:
    return value if isinstance(value, str) else value[:70].hex()


async def _declare(db: Db, name: str, type: AttributeType) -> None:
    new = NewAttribute(
        label=name,
        type=type,
        purpose="To help.",
        basis=LawfulBasis.contract,
        origin="You told us.",
        retention="P2Y",
    )
    await customers.declare_attribute(db, make.SYSTEM, name, new)


async def _tag(db: Db, name: str) -> None:
    new = NewTag(label=name.title(), purpose="To help.", retention="P2Y")
    await customers.declare_tag(db, make.SYSTEM, name, new)


async def _exported(database: Database, business: Business) -> bytes:
    async def look(_: Db, __: object) -> bool:
        return False

    everybody = EveryCustomer(database, business.id, Reading(None, consents=True), look)
    return b"".join([each async for each in everybody.lines()])


async def _lived(database: Database, business: Business) -> None:
    """Customers in each state that counts for a list."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await _declare(db, "points", AttributeType.number)
        await _declare(db, "member", AttributeType.boolean)
        for name in ("regular", "abroad"):
            await _tag(db, name)
        made = {
            name: (
                await make.customer(
                    db,
                    address=f"{name}@example.com",
                    name=name,
                    locale="pt-BR",
                    time_zone="Europe/Lisbon",
                    external_id=f"no. {name}",
                )
            )
            for name in NAMES
        }
        her = made["yes"].id
        for name in ("regular", "abroad"):
            await customers.put_tag(db, make.SYSTEM, her, name)
        await customers.set_attributes(db, make.SYSTEM, her, {"points": 9.4, "member": True})
        for name in ("yes", "left", "frozen"):
            word = await make.own_word(db, made[name].id)
            by = Actor.customer(made[name].id)
            await consent.give(db, by, made[name].id, notice.question, word)
        await consent.withdraw(
            db, make.SYSTEM, made["left"].id, notice.purpose_id, method=Method.api
        )
        await customers.restrict(db, make.SYSTEM, made["frozen"].id)
        single = Circumstances(
            Method.api,
            evidence={"kind": "former_double_opt_in"},
        )
        await consent.give(db, make.SYSTEM, made["elsewhere"].id, notice.question, single)
        await consent.request(
            db, make.SYSTEM, made["asked"].id, notice.question, Circumstances(Method.web_form)
        )
        await mail.suppress_many(
            db,
            [
                (db.keys.address_hash(db.business_id, f"{name}@example.com"), mail.Scope.all, why)
                for name, why in (("bounced", mail.Why.bounced), ("objected", mail.Why.objected))
            ],
        )


async def test_what_one_installation_exports_another_imports(
    database: Database, business: Business, other_business: Business
) -> None:
    """As each stands there: a yes with its two times, a no as a no, and silence as silence."""
    await _lived(database, business)
    notice = await letter(database, other_business.id)
    async with database.write(other_business.id) as db:
        await _declare(db, "points", AttributeType.number)
        await _tag(db, "regular")
    content = await _exported(database, business)

    done = await take(database, other_business.id, content)
    again = await take(database, other_business.id, content)

    assert done.format == "ndjson"
    assert (done.added, done.rejected) == (6, 1)
    assert (again.added, again.changed, again.given, again.withdrawn) == (0, 0, 0, 0)
    here = {
        name: await held(database, notice, other_business.id, f"{name}@example.com")
        for name in NAMES
    }
    async with database.read(other_business.id) as db:
        found = await customers.by_address(db, "yes@example.com")
        assert found is not None
        values = {each.name: each.value for each in await customers.values(db, found.id)}
        tags = [each.name for each in await customers.tags_of(db, found.id)]
    assert here["yes"].mailable
    assert (here["yes"].name, found.locale, values) == ("yes", "pt-BR", {"points": 9.4})
    assert (tags, found.time_zone, found.external_id) == (["regular"], "Europe/Lisbon", "no. yes")
    evidence = here["yes"].history[0].evidence
    assert evidence["kind"] == EvidenceKind.former_double_opt_in
    assert (evidence["opted_in_at"], evidence["tool"]) == (evidence["confirmed_at"], "ndjson")
    assert {name for name, each in here.items() if each.mailable} == {"yes"}
    assert (here["left"].status, here["objected"].status) == (Status.withdrawn, Status.withdrawn)
    assert here["bounced"].suppressed
    assert not here["frozen"].known
    assert (here["asked"].status, here["elsewhere"].status) == (Status.unknown, Status.unknown)
    told = await report(database, other_business.id, done.id)
    assert any("frozen" in each.reason for each in told)
    assert sum("“abroad” of 1 row was left out" in each.reason for each in told) == 1


async def test_columns_of_a_table_are_fields_too(database: Database, business: Business) -> None:
    """Whatever a table names so: evidence, names, words for who left."""
    notice = await letter(database, business.id)
    proven = {"OPTIN_TIME": "2021-05-04 09:10:11", "CONFIRM_TIME": "2021-05-04 09:12:00"}
    ada = {"email": "ada@example.com", "First Name": "Ada", "Last Name": "L"} | proven
    bo = {"address": "Mill Lane 4", "email": "bo@example.com", "status": "unsubscribed"}
    lines = [json.dumps(each).encode() for each in (ada, bo)]
    text = b"\xef\xbb\xbf" + b"\r\n\r\n".join(lines)

    done = await take(database, business.id, text)

    joined = await held(database, notice, business.id, "ada@example.com")
    left = await held(database, notice, business.id, "bo@example.com")
    assert (joined.mailable, joined.name) == (True, "Ada L")
    assert (left.mailable, left.status) == (False, Status.withdrawn)
    reasons = [each.reason for each in await report(database, business.id, done.id)]
    assert any("no closing record" in each for each in reasons)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b'{"address":"ada@example.com"', "no JSON"),
        (b"[1]", "no JSON object"),
        (b"12", "no JSON object"),
        (b'{"address":"ada@example.com","name":"\xff"}', "Byte 38 of the line is not UTF-8"),
        (b'{"address":"ada@example.com","name":"A\0"}', "NUL"),
        (b'{"address":"ada@example.com","name":"A\\u0000"}', "“name” has a character"),
        (b'{"address":"ada@example.com","name":"\\ud800"}', "“name” has a character"),
        (b'{"address":"ada@example.com","name":"A","name":"B"}', "“name” stands twice"),
        (b'{"address":"ada@example.com","attributes":{"a":1,"a":2}}', "“a” stands twice"),
        (b'{"address":"ada@example.com","attributes":{"a":NaN}}', "NaN is no number"),
        (b'{"address":"ada@example.com","attributes":{"a":' + b"9" * 5000 + b"}}", "too long"),
        (b'{"address":"ada@example.com","x":1e99999999999999999999}', "too large or too small"),
        (b'{"address":"ada@example.com","x":[-1e-99999999999999999999]}', "too large or too small"),
        (b'{"address":"ada@example.com","attributes":{"a":[1]}}', "“attributes.a” is no plain"),
        (b'{"address":"ada@example.com","attributes":[]}', "“attributes” is no object"),
        (b'{"address":"ada@example.com","x":' + b"[" * 100_000 + b"}", "nested too deeply"),
        (b'{"address":"ada@example.com","tags":"vip"}', "“tags” is no list"),
        (b'{"address":"ada@example.com","tags":[1]}', "“tags” is no list"),
        (b'{"address":"ada@example.com","consents":[]}', "“consents” is no object"),
        (
            b'{"address":"ada@example.com","consents":{"letter":1}}',
            "“consents.letter” is no object",
        ),
        (
            b'{"address":"ada@example.com","consents":{"letter":{"status":1}}}',
            "“consents.letter.status” is no text",
        ),
        (b'{"address":["ada@example.com"]}', "“address” is no plain value"),
        (b'{"address":null}', "no e-mail address"),
        (b'{"name":"Ada"}', "no field “address”"),
        (b'{"email":"a@example.com","E-Mail":"b@example.com"}', "could both hold"),
        (b'{"address":"ada@example.com","restricted_at":"2025-01-01T00:00:00Z"}', "frozen"),
        (b'{"address":"' + b"a" * LINE_LIMIT + b'"}', "more than 1,000,000 bytes"),
    ],
    ids=_id,
)
def test_what_is_wrong_with_a_line_is_said_of_it(bad: bytes, words: str) -> None:
    """With its field; and the lines around it are taken."""
    before, found, after = read(line() + bad + b"\n" + line())

    assert isinstance(before, Row)
    assert isinstance(after, Row)
    assert after.line == 3
    assert isinstance(found, Bad)
    assert words in found.reason
    assert "example.com" not in found.reason
    assert found.line == 2


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"consents": {SLUG: _YES}}, RowStatus.subscribed),
        ({"consents": {SLUG: _YES | {"status": "renewed"}}}, RowStatus.subscribed),
        ({"consents": {SLUG: _YES | {"ends_at": "2026-01-01T00:00:00Z"}}}, RowStatus.unknown),
        ({"consents": {SLUG: _YES | {"ends_at": "2030-01-01T00:00:00Z"}}}, RowStatus.subscribed),
        ({"consents": {SLUG: _YES | {"status": "unobjected"}}}, RowStatus.unknown),
        ({"consents": {SLUG: _YES | {"status": "of a later version"}}}, RowStatus.unknown),
        ({"consents": {SLUG: _YES | {"status": "refused"}}}, RowStatus.unsubscribed),
        ({"consents": {"offers": _YES}}, RowStatus.unknown),
        ({"consents": {"offers": _YES}, "status": "subscribed"}, RowStatus.unknown),
        ({"consents": {SLUG: _YES}, "status": "unsubscribed"}, RowStatus.unsubscribed),
        ({"consents": {SLUG: _YES}, "suppressed": "bounced"}, RowStatus.cleaned),
        ({"consents": {SLUG: _YES}, "suppressed": "complained"}, RowStatus.unsubscribed),
        ({"status": "subscribed"}, RowStatus.subscribed),
        ({}, RowStatus.unknown),
    ],
)
def test_a_line_comes_to_what_it_says_least(fields: dict[str, Any], status: RowStatus) -> None:
    """An opt-out wins wherever it stands, and a yes for another purpose is none for this."""
    (row,) = read(line(**fields))

    assert isinstance(row, Row)
    assert row.status is status


def test_what_a_later_version_may_say_is_left_out() -> None:
    """And told: nothing of it is known here."""
    (row,) = read(line(visits=[{"at": "Mill Lane"}], name="Ada"))

    assert isinstance(row, Row)
    assert (row.name, row.other) == ("Ada", {})
    assert row.notes == ("The field “visits” was left out: it is no plain value.",)


def test_a_time_that_proves_nothing_is_none() -> None:
    (row,) = read(line(consents={SLUG: _YES | {"opted_in_at": "2099-01-01T00:00:00Z"}}))

    assert isinstance(row, Row)
    assert (row.opted_in_at, row.confirmed_at) == (None, datetime(2025, 1, 2, 10, 5, tzinfo=UTC))
    assert "“consents.letter.opted_in_at” lies in the future" in row.notes[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (closed(line(), count=2), "tells of 2 lines, and there are 1"),
        (closed(line(), sha256="00"), "SHA-256"),
        (closed(line()).replace(b"ada@", b"bea@"), "SHA-256"),
        (closed(line()).replace(b"\n", b"\r\n"), "SHA-256"),
        (closed(line()) + closed(line(name="Bo")), "two exports"),
        (line() + b'{"closing":7}\n', "cannot be read"),
        (line() + b'{"closing":{"count":1,"sha256":"\xff"}}\n', "cannot be read"),
        (line() + b'{"closing":null,"x":' + b"[" * 60_000 + b"\n", "cannot be read"),
        (line() + b'{"stopped":{"code":"unknown_key","detail":"Revoked."}}\n', "Revoked."),
        (b'{\n  "address": "ada@example.com"\n}\n', "Line 1 has to be a whole JSON object"),
    ],
)
def test_a_list_that_is_not_whole_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        opened(content)


def test_a_whole_list_has_nothing_to_remark() -> None:
    """Blank lines behind it do no harm; without the record it says that nobody can know."""
    assert not [*opened(closed(line() * 3) + b"\n").remarks()]
    assert len([*opened(line()).remarks()]) == 1
    assert opened(closed(b"")).size > 0


@pytest.mark.parametrize(
    ("begin", "words"),
    [(b'[{"address":1}]', "jq"), ('{"address":1}'.encode("utf-16"), "UTF-8")],
)
def test_what_is_nearly_one_is_told_how_to_be_one(begin: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        is_lines(io.BytesIO(begin))


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    """A hundred megabytes in one line: it is named, and the next one is taken."""
    path = tmp_path / "list.ndjson"
    with path.open("wb") as file:
        file.write(line() + b'{"address":"')
        for _ in range(100):
            file.write(b"a" * 1_000_000)
        file.write(b'"}\n' + line())
    tracemalloc.start()
    with path.open("rb") as source:
        found = read_lines(source, purpose=SLUG, now=NOW, size_limit=10**9)
        kinds = [type(each) for each in found.rows()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kinds == [Row, Bad, Row]
    assert peak < 10 * LINE_LIMIT


_TEXT = strategies.text(max_size=8)
_PLAIN = strategies.none() | strategies.booleans() | strategies.integers() | _TEXT
_JSON = _PLAIN | strategies.lists(_PLAIN, max_size=2) | strategies.dictionaries(_TEXT, _PLAIN)
_NAMES = strategies.sampled_from(
    (
        "address", "email", "name", "consents", "attributes", "tags", "status", "suppressed",
        "locale", "time_zone", "external_id",
    )
)  # fmt: skip


@settings(max_examples=50)
@given(
    strategies.lists(
        strategies.dictionaries(_NAMES | _TEXT, _JSON, max_size=4), min_size=1, max_size=2
    )
)
def test_whatever_comes_is_a_row_or_has_a_reason(objects: list[dict[str, Any]]) -> None:
    """One for one, and nothing that PostgreSQL could not keep."""
    content = b"".join(json.dumps(each).encode() + b"\n" for each in objects)

    found = read(content)

    assert len(found) == len(objects)
    for each in found:
        kept = (
            each.reason
            if isinstance(each, Bad)
            else f"{each.name}{each.other}{each.tags}{each.time_zone}{each.external_id}"
        )
        assert "\0" not in kept
        assert kept.encode()


async def test_a_program_sends_it_and_nothing_is_written_of_what_is_not_whole(
    program: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    headers = {"content-type": "application/x-ndjson"}
    path = f"/v1/imports?purpose={SLUG}&file_name=all.ndjson"

    cut = await program.post(path, content=closed(line() * 2)[20:], headers=headers)
    begun = await rows(database, business.id, "import")
    taken = await program.post(path, content=closed(line(consents={SLUG: _YES})), headers=headers)
    await imports.work_waiting(database, business.id, taken.json()["id"])
    done = (await program.get(taken.headers["location"])).json()

    assert (cut.status_code, cut.json()["code"]) == (422, "unreadable")
    assert begun == 0
    assert (done["format"], done["added"], done["given"], done["reasons"]) == ("ndjson", 1, 1, [])


async def test_a_number_that_no_decimal_can_hold_costs_one_line(
    program: Browser, database: Database, business: Business
) -> None:
    """Also where it stands in the first, which is read before the list is taken."""
    await letter(database, business.id)
    far = line(points=0).replace(b"0", b"1e" + b"9" * 20)

    sent = await program.post(f"/v1/imports?purpose={SLUG}", content=far + line())
    done = await imports.work_waiting(database, business.id, sent.json()["id"])

    assert done is not None
    assert (done.added, done.rejected) == (1, 1)


async def test_what_was_there_longer_ago_than_it_may_count_does_not(
    database: Database, business: Business
) -> None:
    """By the validity of the purpose here."""
    notice = await letter(database, business.id)
    old = (datetime.now(UTC) - timedelta(days=11 * 365)).isoformat()
    yes = {"status": "given", "at": old, "opted_in_at": old, "confirmed_at": old}

    await take(database, business.id, line(consents={SLUG: yes}))

    assert not (await held(database, notice, business.id, "ada@example.com")).mailable
