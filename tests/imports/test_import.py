"""An import takes a list in, with evidence as what it is, and never undoes an opt-out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from crm import consent, customers, events, imports, mail
from crm.businesses import Business
from crm.consent import EvidenceKind, Method, Status
from crm.db import Database
from crm.errors import NotFound
from crm.events import Actor, Kind
from crm.imports import PurposeOutOfUse, State, Unreadable
from tests import make
from tests.conftest import Cluster
from tests.imports import lists
from tests.imports.lists import HEADER, held, letter, recorded, report, row, rows, take, tally

OWN = Path(__file__).resolve().parents[1] / "fixtures/contact-lists"
SHARED = Path(__file__).resolve().parents[3] / "shared/data/contact-lists"


async def test_what_was_imported_is_reckoned_with(
    own_cluster: Cluster, own_database: Database
) -> None:
    """Whatever is asked next is planned for as many as there are, before autovacuum comes round."""
    business = await make.business(own_database)
    await letter(own_database, business.id)
    many = HEADER + "".join(row(f"reader{number}@example.com") for number in range(150))
    await take(own_database, business.id, many)
    conn = await asyncpg.connect(own_cluster.superuser_url)
    try:
        known = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace"
            " AND relname IN ('consent', 'customer') AND reltuples = 150"
        )
    finally:
        await conn.close()

    assert {each["relname"] for each in known} == {"consent", "customer"}


async def test_it_works(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    done = await take(
        database,
        business.id,
        HEADER
        + row("ada@example.com", "Ada")
        + row("single@example.com", confirmed="")
        + row("left@example.com", left=lists.LEFT)
        + row("gone@example.com", gone=lists.LEFT)
        + row("no address"),
    )

    assert done.state is State.done
    assert tally(done) == (4, 0, 0, 1)
    assert recorded(done) == (1, 1, 1, 1)
    assert done.rows_read == sum(tally(done))
    ada = await held(database, notice, business.id, "ada@example.com")
    assert ada.mailable
    assert ada.name == "Ada"
    [event] = ada.history
    assert event.method is Method.imported
    assert event.notice_id == notice.id
    assert event.evidence["kind"] == "former_double_opt_in"
    assert event.evidence["opted_in_at"] == "2021-05-04T09:10:11Z"
    assert event.evidence["confirmed_at"] == "2021-05-04T09:12:00Z"
    assert event.evidence["zone_assumed"] is True
    single = await held(database, notice, business.id, "single@example.com")
    assert (single.status, single.mailable) == (Status.unknown, False)
    left = await held(database, notice, business.id, "left@example.com")
    assert (left.status, left.name) == (Status.withdrawn, "")
    gone = await held(database, notice, business.id, "gone@example.com")
    assert gone.suppressed
    assert not gone.mailable


async def test_it_mails_nobody(database: Database, business: Business) -> None:
    await letter(database, business.id)

    await take(database, business.id, lists.many(30))

    assert await rows(database, business.id, "service_message") == 0
    assert await rows(database, business.id, "delivery") == 0


async def test_what_the_notice_accepts_decides(database: Database, business: Business) -> None:
    accepts = [EvidenceKind.former_double_opt_in, EvidenceKind.former_single_opt_in]
    notice = await letter(database, business.id, accepts=accepts)

    done = await take(database, business.id, HEADER + row("single@example.com", confirmed=""))

    assert recorded(done) == (1, 0, 0, 0)
    assert (await held(database, notice, business.id, "single@example.com")).mailable


@pytest.mark.parametrize(
    "confirmed",
    [
        "9999-12-31 23:59:59",
        "2099-01-01 00:00:00",
        "not a time",
        "2021-05-04",
        "0001-01-01 00:00:00",
    ],
)
async def test_an_impossible_time_proves_nothing(
    database: Database, business: Business, confirmed: str
) -> None:
    notice = await letter(database, business.id)

    done = await take(database, business.id, HEADER + row("ada@example.com", confirmed=confirmed))

    assert recorded(done) == (0, 0, 1, 0)
    assert not (await held(database, notice, business.id, "ada@example.com")).mailable
    said = [line.reason for line in await report(database, business.id, done.id)]
    assert any("confirmation" in reason for reason in said)


@pytest.mark.parametrize("method", [Method.one_click, Method.portal, Method.staff])
async def test_who_left_us_stays_out(
    database: Database, business: Business, method: Method
) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
        await consent.withdraw(db, Actor.system(), nora.id, notice.purpose_id, method=method)

    done = await take(database, business.id, HEADER + row("Nora@Example.com"))

    assert tally(done) == (0, 0, 1, 0)
    assert (await held(database, notice, business.id, "nora@example.com")).status == "withdrawn"
    [line] = await report(database, business.id, done.id)
    assert "has left" in line.reason


async def test_who_came_to_us_later_stays_in(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
        herself = Actor.customer(nora.id)
        word = await make.own_word(db, nora.id, Method.double_opt_in)
        await consent.give(db, herself, nora.id, notice.question, word)

    done = await take(database, business.id, HEADER + row("nora@example.com", left=lists.LEFT))

    assert tally(done) == (0, 0, 1, 0)
    assert (await held(database, notice, business.id, "nora@example.com")).mailable
    assert len(await report(database, business.id, done.id)) == 1


async def test_who_left_there_is_told_of_once(database: Database, business: Business) -> None:
    """Whatever way a withdrawal comes, the systems that hold her data hear of it."""
    await letter(database, business.id)
    await take(database, business.id, HEADER + row("nora@example.com") + row("ada@example.com"))
    for _ in range(2):
        left = row("nora@example.com", left=lists.LEFT)
        await take(database, business.id, HEADER + left + row("ada@example.com"))

    async with database.read(business.id) as db:
        nora = await customers.by_address(db, "nora@example.com")
        told = [each for each in await events.page(db) if each.kind is Kind.consent_withdrawn]
    assert nora is not None
    assert [each.customer_id for each in told] == [nora.id]


async def test_who_is_suppressed_is_not_taken_in(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        hashed = lists.hash_of(db, "nora@example.com")
        await mail.suppress(db, Actor.system(), hashed, mail.Scope.all, mail.Why.erased)

    done = await take(database, business.id, HEADER + row("nora@example.com"))

    assert tally(done) == (0, 0, 0, 1)
    assert not (await held(database, notice, business.id, "nora@example.com")).known
    assert await rows(database, business.id, "consent_event") == 0


@pytest.mark.parametrize("why", [mail.Why.moved, mail.Why.bounced])
async def test_who_left_there_outlasts_what_nobody_decided(
    database: Database, business: Business, why: mail.Why
) -> None:
    """The address opens again once it is not left any more, or works: not against that wish."""
    await letter(database, business.id)
    gone = HEADER + row("nora@example.com", left=lists.LEFT)
    async with database.write(business.id) as db:
        hashed = lists.hash_of(db, "nora@example.com")
        scope = mail.Scope.all if why is mail.Why.bounced else mail.Scope.marketing
        await mail.suppress(db, Actor.system(), hashed, scope, why)
    first, again = [await take(database, business.id, gone) for _ in range(2)]
    async with database.write(business.id) as db:
        await mail.lift_move(db, hashed)
        stands = await mail.decided_against(db, hashed)

    assert [each.suppressed for each in (first, again)] == [1, 0]
    assert tally(first) == tally(again) == (0, 0, 0, 1)
    assert stands is not None
    assert (stands.scope, stands.reason) == (mail.Scope.marketing, mail.Why.imported)


async def test_only_empty_fields_are_filled(database: Database, business: Business) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await make.customer(db, address="nora@example.com", name="Nora")
        await make.customer(db, address="ola@example.com", name="")
        new = customers.NewAttribute(
            basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="ZIP Code",
            type=customers.AttributeType.number,
            purpose="To name the next shop.",
            retention="P2Y",
        )
        await customers.declare_attribute(db, Actor.system(), "zip_code", new)
    text = (
        "email,name,Zip code,shoe size,status\n"
        "nora@example.com,Somebody Else,4711,44,subscribed\n"
        "ola@example.com,Ola,none,44,subscribed\n"
    )

    done = await take(database, business.id, text)

    assert done.changed == 2
    async with database.read(business.id) as db:
        [nora] = await customers.search(db, customers.Wanted(address="nora@example.com"))
        [ola] = await customers.search(db, customers.Wanted(address="ola@example.com"))
        assert (nora.name, ola.name) == ("Nora", "Ola")
        assert [value.value for value in await customers.values(db, nora.id)] == [4711]
        assert await customers.values(db, ola.id) == []
    said = [line.reason for line in await report(database, business.id, done.id)]
    assert "The value of zip_code was left out: it is no number." in said
    assert tally(await take(database, business.id, text)) == (0, 0, 2, 0)


async def test_a_value_for_what_is_not_allowed_is_left_out_and_counted(
    database: Database, business: Business
) -> None:
    """By attribute among the reasons, by line in the report; what is allowed by the row is kept."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        new = customers.NewAttribute(
            basis=customers.LawfulBasis.consent,
            origin="From you.",
            label="Town",
            type=customers.AttributeType.text,
            purpose="To name the next shop.",
            retention="P2Y",
            purpose_id=notice.purpose_id,
            not_allowed=customers.WhenNotAllowed.drop,
        )
        await customers.declare_attribute(db, Actor.system(), "town", new)
        town = replace(new, label="Home")
        await customers.declare_attribute(db, Actor.system(), "home", town)
    text = (
        "Email Address,OPTIN_TIME,CONFIRM_TIME,Town,Home\n"
        f"yes@example.com,{lists.ASKED},{lists.CONFIRMED},Oslo,Oslo\n"
        "no@example.com,,,Bergen,\n"
        "nor@example.com,,,Bergen,Voss\n"
    )

    done = await take(database, business.id, text)

    async with database.read(business.id) as db:
        [yes] = await customers.search(db, customers.Wanted(address="yes@example.com"))
        [no] = await customers.search(db, customers.Wanted(address="no@example.com"))
        assert {each.value for each in await customers.values(db, yes.id)} == {"Oslo"}
        assert await customers.values(db, no.id) == []
        reasons = {each.reason: each.count for each in await imports.reasons(db, done.id)}
    sentence = "The value of {} was left out: it is for a purpose that is not allowed."
    counted = [reasons[sentence.format(name)] for name in ("town", "home")]
    assert counted == [2, 1]
    said = await report(database, business.id, done.id)
    assert [each.line for each in said if each.reason == sentence.format("town")] == [3, 4]
    assert tally(await take(database, business.id, text)) == (0, 0, 3, 0)


async def test_a_frozen_customer_is_not_filled(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com", name="")
        await customers.restrict(db, Actor.system(), nora.id)

    await take(database, business.id, HEADER + row("nora@example.com", "Nora", left=lists.LEFT))
    await take(database, business.id, HEADER + row("nora@example.com", "Nora", confirmed=""))

    nora_held = await held(database, notice, business.id, "nora@example.com")
    assert (nora_held.name, nora_held.status) == ("", Status.withdrawn)


async def test_with_a_frozen_record_nothing_begins(database: Database, business: Business) -> None:
    """Not even what would count only once it is not frozen any more (Art. 18 GDPR)."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
        await customers.restrict(db, Actor.system(), nora.id)

    done = await take(database, business.id, HEADER + row("nora@example.com"))

    assert recorded(done) == (0, 0, 0, 0)
    [line] = await report(database, business.id, done.id)
    assert "frozen" in line.reason
    async with database.write(business.id) as db:
        await customers.unrestrict(db, Actor.system(), nora.id)
    assert not (await held(database, notice, business.id, "nora@example.com")).allowed


async def test_other_encodings_are_read_and_told(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    text = (HEADER + row("zoe@example.com", "Zoë")).encode("latin-1")

    done = await take(database, business.id, text)

    assert (await held(database, notice, business.id, "zoe@example.com")).name == "Zoë"
    [line] = await report(database, business.id, done.id)
    assert (line.line, "windows-1252" in line.reason) == (1, True)


@pytest.mark.parametrize("content", [b"", b"name\nAda\n", b"PK\x03\x04", b"\x00\x01\x02" * 99])
async def test_what_is_no_list_is_refused_at_once(
    database: Database, business: Business, content: bytes
) -> None:
    notice = await letter(database, business.id)

    with pytest.raises(Unreadable):
        await take(database, business.id, content)
    with pytest.raises(Unreadable):
        async with database.write(business.id) as db:
            await imports.receive(db, Actor.system(), notice.purpose_id, "a.csv", content)

    assert await rows(database, business.id, "import") == 0


async def test_nobody_can_be_asked_without_a_text(database: Database, business: Business) -> None:
    with pytest.raises(consent.UnknownPurpose):
        await take(database, business.id, lists.many(1))
    async with database.write(business.id) as db:
        await make.purpose(db, slug=lists.SLUG)

    with pytest.raises(consent.NoNotice):
        await take(database, business.id, lists.many(1))

    assert await rows(database, business.id, "import") == 0
    assert PurposeOutOfUse().code == "purpose_out_of_use"


async def test_it_is_recorded(database: Database, business: Business) -> None:
    await letter(database, business.id)

    done = await take(database, business.id, lists.many(3))

    kinds = await events_of(database, business.id, done.id)
    assert kinds == [
        ("import.started", ""),
        ("import.done", "3 rows: 3 added, 0 changed, 0 unchanged, 0 rejected"),
    ]


async def events_of(
    database: Database, business_id: UUID, import_id: UUID
) -> list[tuple[str, str]]:
    async with database.read(business_id) as db:
        found = await events.page(db)
    return [(each.kind.value, each.reason) for each in reversed(found) if each.ref == import_id]


@pytest.mark.parametrize("name", [path.name for path in sorted(OWN.glob("*.csv"))])
async def test_every_row_of_a_list_is_counted_once(
    database: Database, business: Business, name: str
) -> None:
    await _counted(database, business, (OWN / name).read_bytes())


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/contact-lists")
async def test_every_row_of_a_shared_list_is_counted_once(
    database: Database, business: Business
) -> None:
    paths = [path for path in SHARED.glob("*") if path.suffix in (".csv", ".tsv", ".txt")]
    assert len(paths) > 30
    await letter(database, business.id)
    for path in sorted(paths):
        try:
            done = await take(database, business.id, path.read_bytes())
        except Unreadable:
            continue
        assert sum(tally(done)) == done.rows_read > 0, path.name


async def _counted(database: Database, business: Business, content: bytes) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, content)
    assert sum(tally(done)) == done.rows_read > 0
    again = await take(database, business.id, content)
    assert tally(again) == (0, 0, done.rows_read - done.rejected, done.rejected)
    assert recorded(again) == (0, 0, 0, 0)


async def test_a_stranger_gets_nothing(
    database: Database, business: Business, other_business: Business
) -> None:
    notice = await letter(database, business.id)
    done = await take(database, business.id, lists.many(2) + row("nobody"))
    async with database.write(other_business.id) as db:
        with pytest.raises(NotFound):
            await imports.get(db, done.id)
        with pytest.raises(consent.UnknownPurpose):
            await imports.receive(
                db, Actor.system(), notice.purpose_id, "a", lists.many(1).encode()
            )
        assert await imports.report(db, done.id) == []
        assert await imports.page(db) == []
        assert await imports.expected(db, done.id) is None
        await imports.fail(db, done.id, "mine")
    assert await imports.work_waiting(database, other_business.id, done.id) is None
    async with database.read(business.id) as read:
        assert (await imports.get(read, done.id)).state is State.done


async def test_a_consent_that_is_too_old_is_kept_and_not_mailable(
    database: Database, business: Business
) -> None:
    """It was given, and has ended since: nobody is written to on it, and the report says why."""
    notice = await letter(database, business.id)

    done = await take(
        database,
        business.id,
        HEADER
        + row("nora@example.com")
        + row("old@example.com", asked="2015-01-02 03:04:05", confirmed="2015-01-02 03:05:05"),
    )

    assert (done.given, done.unproven, done.added) == (1, 1, 2)
    assert not (await held(database, notice, business.id, "old@example.com")).mailable
    [line] = await report(database, business.id, done.id)
    assert (line.line, line.outcome) == (3, "noted")
    assert "so old that it has ended" in line.reason


async def test_a_confirmation_that_proves_nothing_dates_nothing(
    database: Database, business: Business
) -> None:
    """The sign-up is what counts, so the consent is as old as that."""
    notice = await letter(database, business.id, accepts=[EvidenceKind.former_single_opt_in])
    odd = row("nora@example.com", asked="2025-05-04 09:10:11", confirmed="2012-01-02 03:04:05")

    done = await take(database, business.id, HEADER + odd)

    nora = await held(database, notice, business.id, "nora@example.com")
    [event] = nora.history
    assert event.at == datetime(2025, 5, 4, 9, 10, 11, tzinfo=UTC)
    assert (nora.mailable, done.given) == (True, 1)


@pytest.mark.parametrize(
    ("zone", "hours", "left"), [("", 1, True), ("", 13, False), (" UTC", 1, False)]
)
async def test_a_leaving_without_a_zone_wins_while_it_may_be_newer(
    database: Database,
    business: Business,
    zone: str,
    hours: int,
    left: bool,  # noqa: FBT001
) -> None:
    """Her history has it after the yes that it ends, for it is not known to be before that."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
        word = await make.own_word(db, nora.id)
        await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)
        at = f"{db.now - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}{zone}"

    await take(database, business.id, HEADER + row("nora@example.com", left=at))

    found = await held(database, notice, business.id, "nora@example.com")
    assert found.mailable is not left
    last = max(found.history, key=lambda event: event.at)
    assert last.status is (Status.withdrawn if left else Status.given)
