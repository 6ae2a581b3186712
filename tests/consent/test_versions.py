"""The next version of a purpose: said beforehand what it means, published once, never changed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import businesses, campaigns, consent, customers
from crm.businesses import Business, NewBusiness
from crm.consent import (
    BadTerms,
    Basis,
    EvidenceKind,
    Method,
    NewNotice,
    NewVersion,
    NothingNew,
    Notice,
    Purpose,
    PurposeRetired,
    Status,
    Terms,
    TextMissing,
    VersionMoved,
    WeakEvidence,
    Wording,
    jobs,
)
from crm.consent.changes import Piece, Work, by_words, substance
from crm.consent.terms import DataItem, DataKind, Party
from crm.db import Database, Db
from tests import make
from tests.consent.conftest import add_customer, say_yes
from tests.consent.site import caller, client, form, member
from tests.consent.test_ageing import at

DAY = timedelta(days=1)
PLAIN = Terms(wording={"en": Wording("Letter", "What we bake.")})
POST = Party(name="Post Ltd", role="sends the mails", country="DE")
ASK = NewNotice(locale="en", text="Yes, and you may know what I bought.", control_label="Yes")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"wording": {"en": Wording("The Letter", "What we bake, and why.")}}, []),
        ({"validity": "P1Y", "retention": "P1Y", "ages": {"DE": 16}}, []),
        ({"data": (DataItem(DataKind.email), DataItem(DataKind.purchases))}, ["data"]),
        ({"data": ()}, []),
        ({"recipients": (POST,)}, ["recipients"]),
        ({"storage": ("US",)}, ["storage"]),
        ({"automated_decisions": True}, ["automated_decisions"]),
        ({"basis": Basis.explicit_consent}, ["basis"]),
        ({"channel": "none"}, ["channel"]),
    ],
)
def test_what_is_substance(changes: dict[str, Any], found: list[str]) -> None:
    new = msgspec.structs.replace(PLAIN, **changes)
    assert substance(PLAIN, new) == found
    assert substance(new, new) == []


def test_less_of_it_is_no_substance() -> None:
    more = msgspec.structs.replace(PLAIN, recipients=(POST,), storage=("US",))
    assert substance(more, PLAIN) == []


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_pieces_are_both_texts(old: str, new: str) -> None:
    pieces = by_words(old, new)
    assert "".join(each.words for each in pieces if each.kind != "come") == old
    assert "".join(each.words for each in pieces if each.kind != "gone") == new


@given(st.text("!? a", max_size=60), st.text("!? a", max_size=60), st.integers(0, 400))
def test_the_pieces_are_both_texts_however_little_may_be_compared(
    old: str, new: str, left: int
) -> None:
    work = Work(left)
    pieces = by_words(old, new, work)
    assert "".join(each.words for each in pieces if each.kind != "come") == old
    assert "".join(each.words for each in pieces if each.kind != "gone") == new
    assert 0 <= work.left <= left


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("We bake.", "We bake.", "We bake."),
        ("", "We bake.", "+We bake.+"),
        ("We bake bread daily.", "We bake rolls daily.", "We bake -bread-+rolls+ daily."),
        ("One a week.", "One letter a week, or two.", "One +letter +a week+, or two+."),
        # Words replaced one after the other are read as one passage.
        ("We bake good bread.", "We bake fine rolls.", "We bake -good bread-+fine rolls+."),
    ],
)
def test_what_is_other_is_told_word_by_word(old: str, new: str, found: str) -> None:
    assert marked(by_words(old, new)) == found


def marked(pieces: list[Piece]) -> str:
    signs = {"gone": "-", "come": "+", "same": ""}
    return "".join(f"{signs[each.kind]}{each.words}{signs[each.kind]}" for each in pieces)


def test_a_long_text_is_told_word_by_word_though_it_says_most_things_often() -> None:
    said = [f"Of the {n} loaves that we bake, {n % 7} are yours." for n in range(100)]
    other = [*said[:20], "And rolls.", *said[20:70], "Or none.", *said[71:]]
    pieces = by_words(" ".join(said), " ".join(other))
    assert marked(pieces).count("+") <= 20
    assert sum(len(each.words) for each in pieces if each.kind == "same") > 4000


def test_nobody_waits_for_two_texts_that_repeat_themselves() -> None:
    def taken(length: int) -> float:
        since = time.process_time()
        for _ in range(3):
            by_words(("!?" * length)[:length], ("?.!" * length)[:length])
        return time.process_time() - since

    assert taken(5000) < 20 * taken(500)
    pieces = by_words("!?" * 2500, "?.!" * 1600)
    assert [each.kind for each in pieces] == ["gone", "come"]


def test_the_texts_of_one_page_share_what_may_be_compared() -> None:
    """So many languages, all written anew: the last are shown as a whole."""
    old, new = "!? " * 150, "?.! " * 110
    work = Work()
    found = [by_words(old, new, work) for _ in range(30)]
    assert work.left >= 0
    assert len(found[0]) > 10
    assert len(found[-1]) < 5
    # What stays at both ends needs no comparing.
    assert marked(by_words(f"We {old}.", f"We {new}.", work)) == f"We -{old[:-1]}-+{new[:-1]}+ ."


async def terms_of(db: Db, purpose: UUID) -> Terms:
    present = await consent.purpose(db, purpose)
    return (await consent.version(db, purpose, present.version)).entered


async def next_version(db: Db, purpose: UUID, *notices: NewNotice, **changes: Any) -> Purpose:
    present = await consent.purpose(db, purpose)
    own = {name: changes.pop(name) for name in ("is_substance", "grace") if name in changes}
    terms = msgspec.structs.replace(await terms_of(db, purpose), **changes)
    new = NewVersion(terms=terms, notices=notices, replaces=present.version, **own)
    return await consent.publish_version(db, make.SYSTEM, purpose, new)


async def test_other_words_leave_consents_as_they_are(
    db: Db, customer: UUID, notice: Notice
) -> None:
    await say_yes(db, customer, notice)
    words = {"en": Wording("The Corner Letter", "What we bake, and why.")}
    published = await next_version(db, notice.purpose_id, wording=words)
    assert (published.version, published.description) == (2, "What we bake, and why.")
    first, second = reversed(await consent.versions(db, notice.purpose_id))
    assert (first.stale_at, second.stale_at) == (None, None)
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert (state.purpose_version, state.authorises(db.now)) == (1, True)
    # The text in use goes on being used.
    assert await consent.current_notice(db, notice.purpose_id, "en") == notice


async def test_another_substance_makes_consents_stale_and_asks_anew(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    data = (DataItem(DataKind.email), DataItem(DataKind.purchases))
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        means = await consent.consequences(
            db,
            notice.purpose_id,
            msgspec.structs.replace(await terms_of(db, notice.purpose_id), data=data),
        )
        assert (means.substance, means.standing, means.replaces) == (["data"], 1, 1)
        with pytest.raises(TextMissing):
            await next_version(db, notice.purpose_id, data=data)
        await next_version(db, notice.purpose_id, ASK, data=data, grace=30 * DAY)
        until = db.now + 30 * DAY
        state = await consent.state(db, customer, notice.purpose_id)
        assert state is not None
        assert (state.ends_at, state.authorises(db.now)) == (until, True)
        assert state.asked_again(db.now)
        asked = await consent.current_notice(db, notice.purpose_id, "en")
        assert (asked.text, asked.purpose_version) == (ASK.text, 2)
        assert "purchases" not in notice.particulars
        assert "what you bought" in asked.particulars
        # Whoever says it again has agreed to the new one.
        renewed = await say_yes(db, customer, asked)
        assert (renewed.status, renewed.purpose_version) == (Status.renewed, 2)
        other = await add_customer(db)
        # A form from before may still come back: it is a yes to the old one, and ends with it.
        await say_yes(db, other, notice)
    async with at(database, until).write(business.id) as db:
        assert (await consent.check(db, customer, notice.purpose_id)).authorises
        assert not (await consent.check(db, other, notice.purpose_id)).authorises


async def test_a_text_in_another_language_of_the_old_version_asks_nobody(
    db: Db, notice: Notice
) -> None:
    await make.notice(db, notice.purpose_id, locale="de", text="Ja, schickt mir den Brief.")
    await next_version(db, notice.purpose_id, ASK, is_substance=True)
    for locale in ("de", "de-AT", "en"):
        found = await consent.current_notice(db, notice.purpose_id, locale)
        assert found.text == ASK.text


@pytest.mark.parametrize(
    ("locale", "found"),
    [("de", "de"), ("de-AT", "de"), ("es-MX", "es"), ("en-GB", "en"), ("fr", "en"), ("ar", "en")],
)
async def test_one_text_alone_is_chosen_as_among_all(
    *, database: Database, business: Business, purpose: Purpose, locale: str, found: str
) -> None:
    async with database.write(business.id) as db:
        other = await make.purpose(db)
        await make.notice(db, other.id, locale="fr")
        now = db.now
    for hours, each in enumerate(["en", "es", "de"]):
        async with at(database, now + timedelta(hours=hours)).write(business.id) as db:
            await make.notice(db, purpose.id, locale=each)
    async with database.read(business.id) as db:
        alone = await consent.current_notice(db, purpose.id, locale)
        assert (await consent.current_notices(db, locale))[purpose.id] == alone
    assert alone.locale == found


async def test_what_is_published_is_what_was_looked_at(
    database: Database, business: Business, notice: Notice
) -> None:
    """Two members at once: the second is told, and nothing of hers is lost or done."""

    async def publish(validity: str) -> Purpose | VersionMoved:
        try:
            async with database.write(business.id) as db:
                terms = msgspec.structs.replace(
                    await terms_of(db, notice.purpose_id), validity=validity
                )
                new = NewVersion(terms=terms, notices=[], replaces=1)
                return await consent.publish_version(db, make.SYSTEM, notice.purpose_id, new)
        except VersionMoved as refusal:
            return refusal

    done = await asyncio.gather(publish("P1Y"), publish("P2Y"))
    assert {type(each) for each in done} == {Purpose, VersionMoved}
    async with database.read(business.id) as read:
        assert len(await consent.versions(read, notice.purpose_id)) == 2


async def test_what_the_law_does_not_allow_is_refused(db: Db, notice: Notice) -> None:
    for wrong in (
        {"special_category": True},
        {"data": (DataItem(DataKind.health),)},
        {"basis": Basis.soft_opt_in},
        {"validity": "P200Y"},
    ):
        with pytest.raises(BadTerms):
            await next_version(db, notice.purpose_id, ASK, **wrong)
    assert len(await consent.versions(db, notice.purpose_id)) == 1


@pytest.mark.parametrize("weak", [EvidenceKind.own_form, EvidenceKind.former_single_opt_in])
async def test_no_evidence_gets_round_the_mailbox(db: Db, weak: EvidenceKind) -> None:
    strict, free = await make.purpose(db), await make.purpose(db, double_opt_in=False)
    with pytest.raises(WeakEvidence):
        await make.notice(db, strict.id, accepts=[weak])
    assert (await make.notice(db, free.id, accepts=[weak])).accepts == {weak}


async def test_a_retired_purpose_asks_and_mails_nobody(own_database: Database) -> None:
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        text = await make.notice(db, purpose.id)
        customer = (await make.customer(db)).id
        await say_yes(db, customer, text)
        campaign = await make.campaign(db, purpose.id)
        await consent.retire(db, make.SYSTEM, purpose.id)
        # At once, before any job has run.
        assert not (await consent.check(db, customer, purpose.id)).authorises
        assert await consent.purposes(db) == []
        with pytest.raises(PurposeRetired):
            await campaigns.start(db, make.SYSTEM, campaign.id)
        with pytest.raises(PurposeRetired):
            await make.notice(db, purpose.id)
        with pytest.raises(PurposeRetired):
            await say_yes(db, customer, text)
        with pytest.raises(PurposeRetired):
            await consent.retire(db, make.SYSTEM, purpose.id)
    await jobs.lapse({"database": own_database})
    async with own_database.read(business.id) as read:
        event, _ = await consent.history(read, customer)
        me = await customers.get(read, customer)
    assert (event.status, event.method) == (Status.revoked, Method.retirement)
    async with client(own_database, business, me=me) as portal:
        seen = unescape((await portal.get("/me/consent")).text)
    assert "We stopped doing this, for everybody." in seen
    assert "/grant" not in seen


@pytest.fixture
async def console(database: Database, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(database, business, who=await member(database, business)) as web:
        yield web


def filled(text: str, **changes: Any) -> dict[str, Any]:
    """What a browser sends of a form: its fields as they stand, and what is typed over them."""
    found: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text):
        found.setdefault(name, []).append(unescape(value))
    for tag in re.findall(r"<input [^>]*>", text):
        kind, name = re.search(r'type="(\w+)"', tag), re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if kind is None or name is None or kind[1] == "hidden":
            continue
        if kind[1] not in ("checkbox", "radio") or " checked" in tag:
            found.setdefault(name[1], []).append(unescape(value[1]) if value else "")
    for name, value in re.findall(
        r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL
    ):
        found[name] = unescape(value)
    return form(**found | changes)


async def test_staff_see_what_would_change_and_then_publish(
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    notice: Notice,
    customer: UUID,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    path = f"/staff/purposes/{notice.purpose_id}/version"
    editing = (await console.get(path)).text
    sent = filled(
        editing,
        step="preview",
        text_en=notice.text.replace("by e-mail", "by e-mail every week"),
        another="de",
    )
    sent |= {
        "data": ["email", "purchases"],
        "name_de": "Der Brief",
        "label_de": "Schickt ihn mir",
        "text_de": "Ja, schickt mir den Brief.",
    }
    seen = await console.post(path, data=sent)
    assert seen.status_code == 200, seen.text
    words = unescape(seen.text)
    assert "1 consent would become stale" in words
    assert "<ins> every week</ins>" in words
    assert "<ins>Der Brief</ins>" in words
    assert "Welche Daten: E-Mail-Adresse und Ihre Einkäufe." in words
    async with database.read(business.id) as read:
        assert (await consent.purpose(read, notice.purpose_id)).version == 1

    published = await console.post(path, data=filled(seen.text, step="publish"))

    assert published.status_code == 303, published.text
    async with database.read(business.id) as read:
        assert (await consent.purpose(read, notice.purpose_id)).version == 2
        german = await consent.current_notice(read, notice.purpose_id, "de")
        assert german.text == "Ja, schickt mir den Brief."
        assert "Einkäufe" in german.particulars
        state = await consent.state(read, customer, notice.purpose_id)
    assert state is not None
    assert state.ends_at is not None
    # The page that was looked at publishes once.
    assert (await console.post(path, data=filled(seen.text, step="publish"))).status_code == 409


async def test_what_is_the_same_is_not_offered_and_not_published(
    console: httpx2.AsyncClient, database: Database, business: Business, notice: Notice
) -> None:
    path = f"/staff/purposes/{notice.purpose_id}/version"
    editing = (await console.get(path)).text
    seen = unescape((await console.post(path, data=filled(editing, step="preview"))).text)
    assert "Nothing is different from version 1, so there is nothing to publish." in seen
    assert 'value="publish"' not in seen
    assert 'value="edit"' in seen

    refused = await console.post(path, data=filled(editing, step="publish", replaces="1"))
    assert refused.status_code == 409
    assert "there is nothing to publish" in refused.text
    async with database.read(business.id) as read:
        assert len(await consent.versions(read, notice.purpose_id)) == 1


async def test_other_terms_alone_are_no_new_words(
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    notice: Notice,
    customer: UUID,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    path = f"/staff/purposes/{notice.purpose_id}/version"
    editing = (await console.get(path)).text
    sent = filled(editing, step="preview", validity="P1Y")
    seen = unescape((await console.post(path, data=sent)).text)
    assert "1 consent stays as it is." in seen
    assert "agrees to version 2" in seen
    assert "reads the new words" not in seen
    assert 'value="publish"' in seen


async def test_the_same_words_are_published_again_where_that_changes_something(
    database: Database, business: Business, notice: Notice
) -> None:
    """To ask everybody anew, after the business moved, and for a version without a text."""
    same = NewNotice(
        locale="en",
        text=notice.text,
        control_label=notice.control_label,
        accepts=list(notice.accepts),
    )

    async def publish(db: Db, replaces: int, **changes: Any) -> Purpose:
        terms = await terms_of(db, notice.purpose_id)
        given: dict[str, Any] = {"terms": terms, "notices": [same], "replaces": replaces}
        new = NewVersion(**given | changes)
        return await consent.publish_version(db, make.SYSTEM, notice.purpose_id, new)

    async with database.write(business.id) as db:
        with pytest.raises(NothingNew):
            await publish(db, 1)
        with pytest.raises(NothingNew):
            await publish(db, 1, notices=[])
        assert (await publish(db, 1, is_substance=True)).version == 2
        known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
        moved = NewBusiness(**known | {"postal_address": "9 New Street, Exampleton EX1 2AB"})
        await businesses.change(db, make.SYSTEM, moved)
        assert (await publish(db, 2)).version == 3
        terms = msgspec.structs.replace(await terms_of(db, notice.purpose_id), validity="P1Y")
        assert (await publish(db, 3, terms=terms, notices=[])).version == 4
        assert (await publish(db, 4)).version == 5
        french = msgspec.structs.replace(same, locale="fr")
        assert (await publish(db, 5, notices=[same, french])).version == 6
        # The French text goes out of use.
        assert (await publish(db, 6)).version == 7


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"validity": "two years"}, "validity"),
        ({"ages": "Germany sixteen"}, "ages"),
        ({"recipients": "Post Ltd"}, "recipients"),
        ({"storage": "Germany"}, "storage"),
        ({"data": []}, "data"),
        ({"data": ["health"]}, "special_category"),
        ({"basis": "contract"}, "basis"),
        ({"name_en": ""}, "name_en"),
        ({"text_en": "short"}, "text_en"),
        ({"grace_days": "0"}, "grace_days"),
    ],
)
async def test_bad_input_is_said_where_it_is_and_nothing_is_lost(
    *,
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    notice: Notice,
    typed: dict[str, Any],
    field: str,
) -> None:
    path = f"/staff/purposes/{notice.purpose_id}/version"
    sent = filled((await console.get(path)).text, step="publish", replaces="1") | typed
    sent["description_en"] = "Kept as typed <b>"
    answer = await console.post(path, data=sent)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert "Kept as typed &lt;b&gt;" in answer.text
    async with database.read(business.id) as read:
        assert len(await consent.versions(read, notice.purpose_id)) == 1


async def test_staff_retire_after_reading_what_it_means(
    console: httpx2.AsyncClient,
    database: Database,
    business: Business,
    notice: Notice,
    customer: UUID,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    path = f"/staff/purposes/{notice.purpose_id}/retirement"
    assert "1 consent would end at once." in unescape((await console.get(path)).text)
    assert (await console.post(path, data=form())).status_code == 303
    assert (await console.post(path, data=form())).status_code == 409
    assert "Out of use since" in (await console.get(f"/staff/purposes/{notice.purpose_id}")).text


async def test_programs_publish_versions_too(
    database: Database, business: Business, notice: Notice
) -> None:
    path = f"/v1/purposes/{notice.purpose_id}"
    async with client(database, business, key=caller()) as api:
        (first,) = (await api.get(f"{path}/versions")).json()
        terms = first["terms"] | {"storage": ["US"]}
        means = (await api.post(f"{path}/version-previews", json=terms)).json()
        assert (means["substance"], means["replaces"]) == (["storage"], 1)
        sent = {"terms": terms, "replaces": 1}
        refused = await api.post(f"{path}/versions", json=sent)
        assert (refused.status_code, refused.json()["code"]) == (409, "text_missing")
        text = {"locale": "en", "text": "Yes, send it, from wherever.", "control_label": "Yes"}
        done = await api.post(f"{path}/versions", json=sent | {"notices": [text]})
        assert (done.status_code, done.json()["version"]) == (201, 2)
        again = await api.post(f"{path}/versions", json=sent | {"notices": [text]})
        assert (again.status_code, again.json()["code"]) == (409, "version_moved")
        newest, oldest = (await api.get(f"{path}/versions")).json()
        assert (newest["stale_at"], oldest["sha256"]) == (None, first["sha256"])
        assert oldest["ends_at"] is not None
        retired = await api.post(f"{path}/retirement")
        assert retired.status_code == 201


async def test_a_version_with_weak_evidence_is_refused_whole(
    console: httpx2.AsyncClient, database: Database, business: Business, notice: Notice
) -> None:
    """The page says so, and nothing of the version is there."""
    path = f"/staff/purposes/{notice.purpose_id}/version"
    sent = filled((await console.get(path)).text, step="publish", replaces="1")
    sent |= {"accepts": ["own_form"], "is_substance": "on"}
    assert (await console.post(path, data=sent)).status_code == 409
    async with database.read(business.id) as read:
        (version,) = await consent.versions(read, notice.purpose_id)
        assert (await consent.purpose(read, notice.purpose_id)).version == 1
    assert version.stale_at is None


async def test_a_purpose_that_asks_for_the_mailbox_now_takes_no_less_from_old_texts(
    db: Db, customer: UUID
) -> None:
    purpose = await make.purpose(db, double_opt_in=False)
    text = await make.notice(db, purpose.id, accepts=[EvidenceKind.own_form])
    await next_version(db, purpose.id, double_opt_in=True)
    shop = consent.Circumstances(Method.api, evidence={"kind": "own_form"})
    with pytest.raises(consent.EvidenceNotAccepted):
        await consent.give(db, make.SYSTEM, customer, text.question, shop)
