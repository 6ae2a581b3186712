"""What Art. 13 GDPR asks to be said, in seven languages, from what was entered once."""

from __future__ import annotations

import re
import tomllib
from html import unescape

import msgspec
import pytest

from crm.businesses import Business
from crm.consent import Basis, Terms, Wording
from crm.consent.particulars import LANGUAGES, particulars
from crm.consent.terms import DataItem, DataKind, Party
from crm.db import SQL, Database
from tests import make
from tests.consent.site import client, member

_FOLDER = SQL.parent / "crm" / "consent" / "languages"
FULL = Terms(
    validity="P2Y6M",
    retention="P3Y",
    data=(DataItem(DataKind.email), DataItem(DataKind.purchases, optional=True)),
    recipients=(Party(name="Post Ltd", role="sends", country="DE"),),
    storage=("DE", "US"),
    safeguards="Standard clauses.",
    automated_decisions=True,
    wording={"en": Wording("Letter", "What we bake."), "de": Wording("Brief", "Was wir backen.")},
)


@pytest.fixture
def whole(business: Business) -> Business:
    """A business that has entered everything."""
    return msgspec.structs.replace(
        business,
        officer="Ada Officer",
        representative="Rep Ltd, Berlin",
        authority="The Authority",
        authority_url="https://authority.example",
        privacy_url="https://corner.example/privacy",
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_everything_that_was_entered_is_said(whole: Business, language: str) -> None:
    said = particulars(FULL, whole, language)
    for value in (
        whole.legal_name,
        "Exampleton",
        whole.privacy_contact,
        "Ada Officer",
        "Rep Ltd, Berlin",
        "Post Ltd",
        "Standard clauses.",
        "The Authority https://authority.example",
        "https://corner.example/privacy",
        "2",
        "6",
        "3",
    ):
        assert value in said, value
    assert ("Was wir backen." if language == "de" else "What we bake.") in said
    assert "{" not in said


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_what_was_not_entered_is_left_out(business: Business, language: str) -> None:
    """No empty line, no label without its value."""
    plain = Terms(wording={"en": Wording("Letter")})
    said = particulars(plain, business, language)
    assert len(said.splitlines()) < len(particulars(FULL, business, language).splitlines())
    assert not re.search(r":\s*\.?$", said, re.MULTILINE)
    assert not re.search(r"\s{2}", said)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_has_every_word(language: str) -> None:
    every = [tomllib.loads(path.read_text("utf-8")) for path in _FOLDER.glob("*.toml")]
    ours = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    for other in every:
        assert {name: sorted(v) if isinstance(v, dict) else None for name, v in ours.items()} == {
            name: sorted(v) if isinstance(v, dict) else None for name, v in other.items()
        }
        assert [re.findall(r"\{\w*\}", line) for line in ours["lines"]] == [
            re.findall(r"\{\w*\}", line) for line in other["lines"]
        ]
    assert set(ours["data"]) == {*(kind.value for kind in DataKind), "optional"}
    assert set(ours["ground"]) == {basis.value for basis in Basis}


def test_a_soft_opt_in_is_said_to_be_no_consent(business: Business) -> None:
    soft = msgspec.structs.replace(FULL, basis=Basis.soft_opt_in)
    assert "That is no consent" in particulars(soft, business, "en")
    assert "Das ist keine Einwilligung" in particulars(soft, business, "de-AT")


@pytest.mark.parametrize("locale", ["cy", "zz", "zh-Hant"])
def test_in_other_languages_staff_write_it(business: Business, locale: str) -> None:
    assert particulars(FULL, business, locale) == ""


async def test_they_are_part_of_the_text_and_of_its_digest(
    database: Database, business: Business
) -> None:
    """What stands on the page is what is hashed, byte by byte; also right to left."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(
            db, purpose.id, locale="ar", text="نعم، أرسلوا لي الرسالة.", control_label="أرسلوها"
        )
    assert "موافقتكم" in notice.particulars
    bob = await member(database, business)
    async with client(database, business, who=bob) as console:
        page = unescape((await console.get(f"/staff/purposes/{purpose.id}")).text)
    assert f'lang="ar" dir="auto">{notice.particulars}</blockquote>' in page
    assert f'lang="ar" dir="auto">{notice.text}</blockquote>' in page
    assert notice.sha256.hex() in page


async def test_what_staff_wrote_themselves_stands(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id, particulars="All of it, in our own words.")
    assert notice.particulars == "All of it, in our own words."
