"""Pictures that go with the mail: known by their bytes, the same for all, fetched from nobody."""

from __future__ import annotations

import base64
import re
from email import message_from_bytes, policy

import msgspec
import pytest

from crm import campaigns, customers
from crm.businesses import Business, image
from crm.businesses.extent import Extent, extent_of
from crm.businesses.image import Image, named, sniffed
from crm.campaigns import images
from crm.campaigns.comparing import compare
from crm.campaigns.lint import Allowed, lint
from crm.campaigns.reader import read
from crm.campaigns.tracker import known
from crm.db import Database
from crm.errors import Invalid
from crm.staff import Scope
from tests import make
from tests.campaigns.mails import composed, rendered, skeleton, slots
from tests.campaigns.site import caller, client, drafted, form, member
from tests.campaigns.test_send import sent_through
from tests.smtpd import smtpd

# One pixel, from the specifications of the formats.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x3f\xc1\x2b\x00\x00"
# A frame of 800 by 600, without its scan.
_BEGINNING = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10)
JPEG = _BEGINNING + b"\xff\xc0\x00\x0b\x08\x02X\x03 \x01" + bytes(3)
RYE = Image("rye.png", "image/png", PNG * 300)
TEXT = "# Rye\n\nDear {{ name }},\n\n![A loaf of rye](rye.png)\n\nand **more**."


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("a.JPG", JPEG, "image/jpeg"),
        ("a.gif", GIF, "image/gif"),
        ("a.webp", WEBP, "image/webp"),
    ],
)
def test_a_picture_is_what_its_bytes_say(name: str, content: bytes, kind: str) -> None:
    assert sniffed(name, content).media_type == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a.png", b"<?xml version='1.0'?><svg/>"),
        ("a.png", GIF),
        ("a.png", PNG + bytes(image.LARGEST)),
        ("../a.png", PNG),
        ('a".png', PNG),
        ("a\r\nBcc: x.png", PNG),
        ("a.bmp", b"BM0000"),
        ("a.png", PNG[:20]),
        ("a.jpg", JPEG[:20]),
    ],
)
def test_anything_else_is_refused_with_a_sentence(name: str, content: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        sniffed(name, content)
    assert refused.value.problems[0].field == "image"
    assert refused.value.problems[0].message.endswith(".")


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (PNG, (1, 1)),
        (GIF, (1, 1)),
        (WEBP, (320, 176)),
        (b"RIFF....WEBPVP8X....\x10..." + bytes([63, 1, 0, 175, 0, 0]), (320, 176)),
        (b"RIFF....WEBPVP8 ....\x30\x01\x00\x9d\x01\x2a\x40\x01\xb0\x00", (320, 176)),
        (JPEG, (800, 600)),
        (b"\xff\xd8\xff\xff\xd0" + JPEG[2:], (800, 600)),
    ],
)
def test_its_size_is_read_from_its_bytes(content: bytes, size: tuple[int, int]) -> None:
    assert extent_of(content) == Extent(*size)
    # Cut off anywhere, it is still that size or none; nothing breaks.
    assert {extent_of(content[:at]) for at in range(len(content))} <= {None, Extent(*size)}


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_photograph_taken_upright_is_upright(order: str) -> None:
    """Exif says that rows are columns, and every program shows it so."""
    number = {"II": "little", "MM": "big"}[order]
    tiff = order.encode() + b"".join(
        value.to_bytes(size, number)  # type: ignore[arg-type]
        for value, size in [(42, 2), (8, 4), (1, 2), (0x0112, 2), (3, 2), (1, 4), (6, 2), (0, 2)]
    )
    segment = b"Exif\0\0" + tiff
    exif = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    assert extent_of(JPEG[:2] + exif + JPEG[2:]) == Extent(600, 800)


@pytest.mark.parametrize(
    ("written", "attributes"),
    [
        ("", 'width="528" height="396"'),
        ("width=200", 'width="200" height="150"'),
        ("height=60", 'width="80" height="60"'),
        ("width=20 height=30", 'width="20" height="30"'),
        ("width=50%", 'width="50%"'),
    ],
)
def test_a_mail_says_how_large_it_is(written: str, attributes: str) -> None:
    """So nothing jumps when it appears, and Outlook shows it no wider than the text."""
    message = composed(
        f'<p>Look:</p><img src="loaf.jpg" alt="A loaf" {written}>',
        kind="html",
        images=(Image("loaf.jpg", "image/jpeg", JPEG),),
    )
    tag = message.html[message.html.index("<img") :].partition(">")[0]
    assert sorted(re.findall(r'(?:width|height)="[^"]*"', tag)) == sorted(attributes.split())
    assert "height: auto" in tag


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (r"C:\Fotos\Rye bread (2).png", "Rye-bread-2.png"),
        ("../../etc/ß.png", "png"),
        ("Käse.jpeg", "K-se.jpeg"),
        ("x" * 200 + ".gif", "x" * 70 + ".gif"),
    ],
)
def test_a_file_gets_a_name_that_a_text_can_say(file: str, name: str) -> None:
    assert named(file) == name


def test_the_mail_is_an_alternative_of_words_and_related_page() -> None:
    """RFC 2046 §5.1.4, 2387: who shows HTML has its pictures inside."""
    message = composed(TEXT, images=(RYE, Image("unused.png", "image/png", PNG)))
    raw = message.bytes_for({"name": "Nora"}, slots(1))
    mail = message_from_bytes(raw, policy=policy.default)

    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    page, picture = list(mail.walk())[3:]
    name = picture["Content-ID"].strip("<>")
    assert f'src="cid:{name}"' in page.get_content()
    assert 'alt="A loaf of rye"' in page.get_content()
    assert picture.get_content() == RYE.content
    assert picture.get_content_disposition() == "inline"
    assert "[A loaf of rye]" in list(mail.walk())[1].get_content()
    assert "does not tell us whether you read it" in page.get_content()
    body = raw.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 78
    ours = read(raw).parts
    assert [(part.media_type, part.within) for part in ours] == [
        ("text/plain", ("alternative",)),
        ("text/html", ("alternative", "related")),
        ("image/png", ("alternative", "related")),
    ]
    assert (ours[2].content, ours[2].content_id) == (RYE.content, name)


def test_a_picture_is_encoded_once_for_all() -> None:
    """What is the same for everybody is one piece of bytes, made when the campaign is compiled."""
    message = composed(TEXT, images=(RYE,))
    encoded = base64.encodebytes(RYE.content).replace(b"\n", b"\r\n")
    assert [encoded in part for part in message.message.parts].count(True) == 1
    assert encoded in message.message.parts[-1]
    assert message.bytes_for({"name": "A"}, slots(1)).count(encoded) == 1


def test_the_same_picture_under_two_names_goes_once() -> None:
    twin = msgspec.structs.replace(RYE, name="bread.png")
    message = composed(TEXT + "\n\n![Again](bread.png)", images=(RYE, twin))
    parts = read(message.bytes_for({"name": "A"}, slots(1))).parts
    assert [part.media_type for part in parts].count("image/png") == 1


def test_a_picture_that_is_not_attached_is_a_problem_with_its_line() -> None:
    with pytest.raises(Invalid) as refused:
        composed(TEXT)
    (problem,) = refused.value.problems
    assert problem.message.startswith("Line 5: rye.png is not attached. Attach a picture")


def test_the_linter_and_the_comparison_know_it() -> None:
    """It watches nobody; one that is changed, renamed or missing on arrival is a difference."""
    message = composed(TEXT, images=(RYE,))
    assert lint(rendered(message), Allowed("https://letters.example"), known.lists) == ()
    sent = message.bytes_for({"name": "Nora", "address": "x@example.com"}, slots(3))
    known_as = skeleton(TEXT, images=(RYE,))
    assert compare(sent, known_as).same
    line = base64.encodebytes(RYE.content).splitlines()[3]
    broken = sent.replace(line, line[::-1], 1)
    assert [each.sentence for each in compare(broken, known_as).differences] == [
        "An attached file is another one (image/png)."
    ]
    name = read(sent).parts[2].content_id.encode()
    renamed = sent.replace(b"Content-ID: <" + name, b"Content-ID: <x" + name)
    assert not compare(renamed, known_as).same
    assert lint([*rendered(message)[:1]], Allowed(), known.lists) == ()
    start, end = (
        sent.rindex(b"\r\n--=_firsthand_related\r\n"),
        sent.rindex(b"\r\n--=_firsthand_related--"),
    )
    lost = sent[:start] + sent[end:]
    assert "A part is missing (image/png)." in [
        each.sentence for each in compare(lost, known_as).differences
    ]


async def test_staff_attach_and_take_out_without_losing_their_text(
    database: Database, business: Business
) -> None:
    """One form and one press saves the text and the picture; no script."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business, 0, source=TEXT)
    path = f"/staff/campaigns/{campaign.id}"
    typed = {
        "purpose_id": str(campaign.purpose_id),
        "subject": "Rye",
        "format": "markdown",
        "source": f"{TEXT} New.",
    }
    async with client(database, business, who=who) as web:
        svg = await web.post(
            f"{path}/text",
            data=form(**typed, version="1"),
            files={"image": ("rye.svg", b"<svg/>", "image/png")},
        )
        late = await web.post(
            f"{path}/text",
            data=form(**typed, version="7"),
            files={"image": ("rye.png", PNG, "text/plain")},
        )
        not_kept = await web.get(f"{path}/images/rye.png")
        attached = await web.post(
            f"{path}/text",
            data=form(**typed, version="1"),
            files={"image": ("rye.png", PNG, "text/plain")},
        )
        sheet = await web.get(f"{path}/text")
        checked = await web.post(f"/staff/campaigns/check?draft={campaign.id}", data=form(**typed))
        shown = await web.get(f"{path}/mail")
        picture = await web.get(f"{path}/images/rye.png")
        out = await web.post(f"{path}/text", data=form(**typed, version="3", drop="rye.png"))
        after = await web.get(f"{path}/preview")

    assert (svg.status_code, attached.status_code, out.status_code) == (422, 303, 303)
    # Of a text that is refused nothing is kept, its picture neither.
    assert (late.status_code, not_kept.status_code) == (409, 404)
    assert "SVG can hold programs" in svg.text
    assert f"{TEXT} New." in svg.text
    assert "![what it shows](rye.png)" in sheet.text
    assert "not attached" not in checked.text
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in shown.text
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert "sandbox" in picture.headers["content-security-policy"]
    assert "rye.png is not attached" in after.text


async def test_programs_attach_too_and_only_to_a_draft(
    database: Database, business: Business, other_business: Business
) -> None:
    campaign, _, _ = await drafted(database, business, 1, source=TEXT)
    path = f"/v1/campaigns/{campaign.id}/images"
    reads = caller([Scope("campaigns:read")])
    async with client(database, business, key=caller()) as web:
        put = await web.put(f"{path}/rye.png", content=PNG)
        again = await web.put(f"{path}/rye.png", content=PNG)
        wrong = await web.put(f"{path}/rye.gif", content=PNG)
        heavy = [
            (await web.put(f"{path}/{n}.png", content=PNG + bytes(199_000))).status_code
            for n in range(6)
        ]
        listed = (await web.get(path)).json()
        got = await web.get(f"{path}/rye.png")
        for n in range(5):
            await web.delete(f"{path}/{n}.png")
        gone = await web.delete(f"{path}/0.png")
    async with client(database, business, key=reads) as web:
        forbidden = await web.put(f"{path}/rye.png", content=PNG)
    async with client(database, other_business, key=caller()) as web:
        theirs = await web.get(f"{path}/rye.png")
    async with database.write(business.id) as db:
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with client(database, business, key=caller()) as web:
        late = [await web.put(f"{path}/rye.png", content=PNG), await web.delete(f"{path}/rye.png")]

    assert (put.status_code, again.status_code, wrong.status_code) == (200, 200, 422)
    assert put.json() == {"name": "rye.png", "media_type": "image/png", "bytes": len(PNG)}
    assert heavy == [200] * 5 + [422]
    assert [each["name"] for each in listed] == [f"{n}.png" for n in range(5)] + ["rye.png"]
    assert got.content == PNG
    assert (gone.status_code, forbidden.status_code, theirs.status_code) == (404, 403, 404)
    assert [each.status_code for each in late] == [409, 409]


async def test_the_archive_shows_it_to_everybody(database: Database, business: Business) -> None:
    """From its own page, the same bytes for all; what the text does not show is not there."""
    campaign, _, _ = await drafted(database, business, 1, source=TEXT, public=True)
    async with database.write(business.id) as db:
        for name in ("rye.png", "other.png"):
            await images.attach(db, make.SYSTEM, campaign.id, name, PNG)
    path = f"/archive/{campaign.id}"
    async with client(database, business) as web:
        early = await web.get(f"{path}/images/rye.png")
        async with database.write(business.id) as db:
            await campaigns.start(db, make.SYSTEM, campaign.id)
        page = await web.get(path)
        picture = await web.get(f"{path}/images/rye.png")
        other = await web.get(f"{path}/images/other.png")

    assert (early.status_code, other.status_code) == (404, 404)
    assert f'src="{business.origin}{path}/images/rye.png"' in page.text
    assert "cid:" not in page.text
    assert "img-src 'self'" in page.headers["content-security-policy"]
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert picture.headers["cache-control"] == "public, max-age=300"
    assert "set-cookie" not in picture.headers


async def test_read_again_it_shows_the_pictures_that_went_along(
    database: Database, business: Business
) -> None:
    """In the page itself, so that nothing is fetched; and in the file she saves."""
    campaign, _, ids = await drafted(database, business, 1, source=TEXT)
    async with database.write(business.id) as db:
        await images.attach(db, make.SYSTEM, campaign.id, RYE.name, RYE.content)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    async with database.read(business.id) as db:
        me = await customers.get(db, ids[0])
    async with client(database, business, me=me) as portal:
        page = (await portal.get(f"/me/mails/{campaign.id}/page")).text
        file = (await portal.get(f"/me/mails/{campaign.id}/file")).content
    content = base64.b64encode(RYE.content).decode()
    assert f'src="data:image/png;base64,{content}"' in page
    assert "cid:" not in page
    pictures = [
        each.get_payload(decode=True)
        for each in message_from_bytes(file, policy=policy.default).walk()
        if each.get_content_type() == "image/png"
    ]
    assert pictures == [RYE.content]
