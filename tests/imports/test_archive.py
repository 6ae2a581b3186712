"""A ZIP with all files of an export: read so that opt-outs win, and refused where it is a trap."""

from __future__ import annotations

import io
import stat
import zipfile
from datetime import UTC, datetime
from zipfile import ZipInfo

import pytest

from crm import imports
from crm.businesses import Business
from crm.consent import EvidenceKind, Status
from crm.db import Database
from crm.events import Actor
from crm.imports.columns import Unreadable
from crm.imports.lists import opened
from crm.imports.mapping import Column, Mapping, Means, Reading
from crm.imports.model import Tool
from tests.imports.lists import held, letter, recorded, report, take, tally

NOW = datetime(2026, 11, 23, tzinfo=UTC)
_HEAD = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,LATITUDE,"
_PROOF = "2021-05-04 09:10:11,2021-05-04 09:12:00"
SUBSCRIBED = (
    f"{_HEAD}LEID\nada@example.com,Ada,5,{_PROOF},51.5,1\nbo@example.com,Bo,5,{_PROOF},51.5,2\n"
)
UNSUBSCRIBED = (
    f"{_HEAD}UNSUB_TIME,UNSUB_REASON,LEID\n"
    f"bo@example.com,Bo,1,{_PROOF},51.5,2023-06-07 08:09:10,NORMAL,2\n"
)
CLEANED = f"{_HEAD}CLEAN_TIME,LEID\ncy@example.com,Cy,1,{_PROOF},51.5,2022-06-07 08:09:10,3\n"
# The list of those who left comes last by its name, and is read first.
AUDIENCE = {
    "audience/a_subscribed.csv": SUBSCRIBED,
    "audience/b_cleaned.csv": CLEANED,
    "audience/c_unsubscribed.csv": UNSUBSCRIBED,
}


def packed(files: dict[str, str | bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(ZipInfo(name), content, method)
    return out.getvalue()


async def test_it_works(database: Database, business: Business) -> None:
    notice = await letter(database, business.id, accepts=[EvidenceKind.former_double_opt_in])

    done = await take(database, business.id, packed(AUDIENCE | {"audience/read me.pdf": b"%PDF"}))

    assert (done.format, tally(done)) == ("mailchimp", (3, 0, 1, 0))
    assert recorded(done) == (1, 1, 0, 1)
    ada = await held(database, notice, business.id, "ada@example.com")
    bo = await held(database, notice, business.id, "bo@example.com")
    cy = await held(database, notice, business.id, "cy@example.com")
    assert ada.mailable
    assert ada.history[0].evidence["part"] == "audience/a_subscribed.csv"
    assert [event.status for event in bo.history] == [Status.withdrawn]
    assert bo.history[0].evidence["left_because"] == "NORMAL"
    assert cy.suppressed
    said = {
        (row.part, row.line): row.reason for row in await report(database, business.id, done.id)
    }
    assert said["audience/a_subscribed.csv", 1] == (
        "Read as Mailchimp. Left behind, as no evidence but observation: “MEMBER_RATING”, "
        "“LATITUDE”, “LEID”."
    )
    assert "passed over" in said["audience/read me.pdf", 1]
    assert "2 of audience/" in said["audience/a_subscribed.csv", 3]


def _locked() -> bytes:
    """The bit that says “encrypted” set in both headers, as no writer here can encrypt."""
    content = bytearray(packed({"list.csv": SUBSCRIBED}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def _linked() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = ZipInfo("list.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def _damaged() -> bytes:
    content = bytearray(packed({"list.csv": SUBSCRIBED}, method=zipfile.ZIP_STORED))
    content[content.index(b"ada@")] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (packed({"list.csv": b"email\n" + b"a" * 3_000_000}), "100 times its size"),
        (packed({"../list.csv": SUBSCRIBED}), "points outside"),
        (packed({"/list.csv": SUBSCRIBED}), "points outside"),
        (packed({"C:\\list.csv": SUBSCRIBED}), "points outside"),
        (packed({"a.csv": SUBSCRIBED, "more.zip": packed(dict(AUDIENCE))}), "Unpack it first"),
        (packed({"a.csv": packed(dict(AUDIENCE))}), "archive within"),
        (b"PK\x03\x04rest", "ZIP archive or Excel workbook"),
        (_locked(), "password"),
        (_linked(), "is a link"),
        (_damaged(), "damaged"),
        (packed({"list.csv": SUBSCRIBED})[:-30], "damaged"),
        (packed({f"{each}.csv": SUBSCRIBED for each in range(201)}), "more than 200 files"),
        (packed({"xl/workbook.xml": "<x/>"}), "Excel workbook"),
        (packed({"a.csv": SUBSCRIBED, "left.csv": "name\nBo\n"}), "“left.csv” in the ZIP"),
        (
            packed({"a.csv": SUBSCRIBED, "b.csv": "email,name,attributes\n"}),
            "Mailchimp and listmonk",
        ),
        (packed({"posts.csv": "post_id,post_date\n1,2\n"}), "no list of customers"),
    ],
)
def test_a_trap_is_refused_with_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        opened(content, now=NOW, purpose="letter")


def test_what_lies_beside_the_lists_is_passed_over() -> None:
    found = opened(
        packed(
            {
                "email_list.letter.csv": "email,expiry,email_disabled,created_at\n"
                "ada@example.com,,false,2021-05-04T09:10:11.000Z\n",
                "posts.csv": "post_id,post_date,title\n1,2,3\n",
                "posts/1.html": "<p>",
                "__MACOSX/._posts.csv": b"\0\5",
            }
        ),
        now=NOW,
        purpose="letter",
    )
    assert found.tool is Tool.substack
    assert sum(len(list(each)) for each in found.passes(frozenset())) == 1
    assert {each.part for each in found.remarks()} == {"posts.csv", "posts/1.html"}


_READ_ME = (
    "Your audience.\n\nThese are all lists, as “subscribed” or “left”; who left is last.\n"
    "Questions? Write to help@example.com, or see https://example.com/@help\n"
)


@pytest.mark.parametrize(
    "content",
    [
        _READ_ME,
        _READ_ME.encode("utf-16"),
        _READ_ME.encode("windows-1252"),
        '"Audience", as it was "exported" today\n',
        "name;town\nBo;Voss\n",
    ],
)
@pytest.mark.parametrize("name", ["README.TXT", "a/read me.txt"])
def test_so_is_a_text_in_which_nobody_is(name: str, content: str | bytes) -> None:
    found = opened(packed({**AUDIENCE, name: content}), now=NOW, purpose="letter")

    assert found.tool is Tool.mailchimp
    assert name in {each.part for each in found.remarks() if "passed over" in each.reason}


def test_a_mapping_that_was_named_need_not_fit_it() -> None:
    columns = [Column("Mail", Means.address), Column("Since", Means.listed_at)]
    named = Reading(mappings=[Mapping(name="Till", columns=columns)], only=True)
    files: dict[str, str | bytes] = {
        "till.csv": "Mail,Since\nada@example.com,\n",
        "readme.txt": _READ_ME,
    }

    found = opened(packed(files), now=NOW, purpose="letter", reading=named)

    assert found.given.mapping == "Till"
    assert {each.part for each in found.remarks()} == {"readme.txt"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("left.txt", "bo@example.com\ncy@example.com\n", "holds an address instead"),
        ("left.txt", "Mail of who left\nbo@example.com\n", "No column is called"),
        ("left.txt", "Name;Mail\nBo;bo@example.com\n", "No column is called"),
        ("left.txt", 'Name\tMail\nBo\t"<bo@example.com>"\n', "No column is called"),
        ("left.txt", "Bo <bo@example.com>\n", "holds an address instead"),
        ("left.txt", "Who left\nBo <bo@example.com>\n", "No column is called"),
        ("left.txt", "Who left\n" + "Bo bo@example.com\n" * 3, "No column is called"),
        ("left.txt", "email,E-Mail\n", "could both hold"),
        ("left.txt", b"\x00\x01\x02\xff" * 99, "not a file of text"),
        ("left.txt", "", "empty"),
        ("readme.csv", _READ_ME, "No column is called"),
        ("readme.tsv", _READ_ME, "No column is called"),
    ],
)
def test_a_text_that_might_tell_who_left_refuses_all_of_it(
    name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(Unreadable, match=says):
        opened(packed({**AUDIENCE, name: content}), now=NOW, purpose="letter")


@pytest.mark.parametrize("beside", [{}, {"posts.csv": "post_id,post_date\n1,2\n"}])
def test_a_text_alone_is_no_list(beside: dict[str, str]) -> None:
    with pytest.raises(Unreadable, match=r"“readme\.txt” in the ZIP archive: No column is called"):
        opened(packed({**beside, "readme.txt": _READ_ME}), now=NOW, purpose="letter")


async def test_it_waits_for_a_worker_like_any_list(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        received = await imports.receive(
            db, Actor.system(), notice.purpose_id, "audience.zip", packed(dict(AUDIENCE))
        )

    done = await imports.work_waiting(database, business.id, received.id)

    assert done is not None
    assert tally(done) == (3, 0, 1, 0)
