"""Signs that PostgreSQL cannot keep, where a list names its columns: it is read all the same."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from crm.businesses import Business
from crm.db import Database
from crm.imports import Unreadable
from crm.imports.lists import opened
from crm.imports.mapping import Column, Mapping, Means, Reading
from crm.imports.table import read
from tests.imports.lists import SLUG, letter, report, take, tally
from tests.imports.test_excess import NOW
from tests.staff.site import Browser


@pytest.mark.parametrize(
    ("content", "rejected", "words"),
    [
        (b"email,ip\0\na@example.com,1\n", 0, "observation: “ip”."),
        ("email,ip\ud800\nö@example.com,1\n".encode("utf-8", "replace"), 0, "“ip?”"),
        (b"email,name,ip\xff\na@example.com,\xc3\xb6,1\n", 0, "observation: “ip”."),
        (b'{"email":"a@example.com","ip\\u0000":1}\n', 0, "under “ip” in 1 row"),
        (b'{"email":"a@example.com","x\\ud800":[]}\n', 0, "The field “x” was left out"),
        (b'{"email":"a@example.com","x\\u0000":1}\n', 0, "under “x” in 1 row"),
        (b'{"email":"a@example.com","e-mail\\u0000":"b"}\n', 1, "“email” and “e-mail” could"),
    ],
)
async def test_the_report_names_what_can_be_read_of_it(
    database: Database, business: Business, content: bytes, rejected: int, words: str
) -> None:
    await letter(database, business.id)

    done = await take(database, business.id, content)

    assert tally(done) == (1 - rejected, 0, 0, rejected)
    said = [each.reason for each in await report(database, business.id, done.id)]
    assert any(words in each for each in said), said


async def test_a_name_with_a_pile_of_marks_is_left_out(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)

    content = f"email,name\na@example.com,N{chr(0x301) * 40}ora\nb@example.com,José\n"
    done = await take(database, business.id, content.encode())

    assert tally(done) == (2, 0, 0, 0)
    said = [each.reason for each in await report(database, business.id, done.id)]
    assert [each for each in said if each.startswith("The name was left out")]


def test_so_does_what_is_said_of_a_mapping_that_was_saved_before_it_was_refused() -> None:
    columns = [Column("Mail", Means.address), Column("Nr\1", Means.leave)]
    reading = Reading(mappings=[Mapping(name="Till", columns=columns)])

    said = read(b"Mail,Nr\1\na@example.com,1\n", now=NOW, reading=reading).remarks()

    assert [*said] == ["Read by the mapping “Till”, which leaves behind: “Nr”."]


def test_a_refusal_has_none_of_them() -> None:
    stopped = {"stopped": {"code": "gone", "detail": "Rev\0oked." + "x" * 5_000}}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a\1.csv", b"PK\x03\x04")
    for content, words in (
        (b'{"email":"a@example.com"}\n' + json.dumps(stopped).encode(), "Revoked"),
        (packed.getvalue(), "“a.csv” is an archive"),
    ):
        with pytest.raises(Unreadable, match=words) as refusal:
            opened(content, now=NOW, purpose=SLUG)
        assert refusal.value.message.isprintable()
        assert len(refusal.value.message) < 500


async def test_no_mapping_has_such_a_name(program: Browser) -> None:
    for answer in (
        await program.get("/v1/import-mappings/%00"),
        await program.delete("/v1/import-mappings/%00"),
        await program.post("/v1/imports?purpose=letter&mapping=%00", content=b"email\n"),
    ):
        assert 400 <= answer.status_code < 500
