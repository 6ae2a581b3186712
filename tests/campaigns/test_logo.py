"""A logo on the band: attached, the same for everybody, and its name where no picture is seen."""

from __future__ import annotations

import base64

import msgspec

from crm import campaigns
from crm.businesses import Business
from crm.businesses.image import Image
from crm.businesses.logo import logo_of
from crm.campaigns.comparing import compare
from crm.campaigns.lint import Allowed, lint
from crm.campaigns.reader import read
from crm.campaigns.render import Draft, compile_message
from crm.campaigns.skeleton import skeleton_of
from crm.campaigns.tracker import known
from crm.db import Database
from crm.staff import Role
from tests import make
from tests.campaigns.mails import CAMPAIGN, LETTERHEAD, rendered, slots
from tests.campaigns.site import client, drafted, form, member
from tests.campaigns.test_images import PNG

# 960 by 96: its size stands in bytes 16 to 24.
WIDE = PNG[:16] + (960).to_bytes(4, "big") + (96).to_bytes(4, "big") + PNG[24:]


def test_it_goes_with_every_mail_and_watches_nobody() -> None:
    head = msgspec.structs.replace(LETTERHEAD, logo=Image("logo.png", "image/png", WIDE))
    draft = Draft(
        subject="Rye", source="Dear {{ name }}.", kind="markdown", purpose="Letter", list_id="l.a.b"
    )
    message = compile_message(draft, head)
    sent = message.bytes_for({"name": "Nora", "address": "x@example.com"}, slots(3))
    picture = read(sent).parts[2]

    assert (picture.media_type, picture.content) == ("image/png", WIDE)
    tag = message.html[message.html.index("<img") :].partition(">")[0]
    assert f'src="cid:{picture.content_id}" alt="Corner Bakery" width="240" height="24"' in tag
    assert lint(rendered(message), Allowed("https://letters.example"), known.lists) == ()
    skeleton = skeleton_of(CAMPAIGN, {False: message}, [slots(each) for each in range(3)])
    assert compare(sent, skeleton).same
    assert "does not tell us whether you read it" in message.text


async def test_staff_put_it_there_and_take_it_out(
    database: Database, business: Business, other_business: Business
) -> None:
    """The mail, its page in the archive and the sample show it; no other business has it."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business, 1, public=True)
    data = f"data:image/png;base64,{base64.b64encode(WIDE).decode()}"
    async with client(database, business, who=who) as web:
        none = await web.get("/staff/theme/logo")
        wrong = await web.post(
            "/staff/theme/logo", data=form(), files={"logo": ("a.svg", b"<svg/>")}
        )
        large = await web.post(
            "/staff/theme/logo", data=form(), files={"logo": ("a.png", WIDE + bytes(50_000))}
        )
        kept = await web.post(
            "/staff/theme/logo", data=form(), files={"logo": ("Ours (1).PNG", WIDE)}
        )
        theme = await web.get("/staff/theme")
        picture = await web.get("/staff/theme/logo")
        sample = await web.get("/staff/theme/mail?scheme=dark")
        mail = await web.get(f"/staff/campaigns/{campaign.id}/mail")
        async with database.write(business.id) as db:
            await campaigns.start(db, make.SYSTEM, campaign.id)
        issue = await web.get(f"/archive/{campaign.id}")
        public = await web.get("/archive/logo")
        out = await web.post("/staff/theme/logo/removal", data=form())
        after = await web.get(f"/archive/{campaign.id}")
        again = await web.post("/staff/theme/logo/removal", data=form())
    async with client(database, other_business) as web:
        theirs = await web.get("/archive/logo")

    assert (none.status_code, theirs.status_code, again.status_code) == (404, 404, 404)
    assert (wrong.status_code, large.status_code) == (422, 422)
    assert "SVG can hold programs" in wrong.text
    assert "it may have 10 kB at most" in large.text
    assert 'value="#f7e3a3"' in large.text
    assert (kept.status_code, out.status_code) == (303, 303)
    assert 'width="240" height="24"' in theme.text
    for page in (picture, public):
        assert (page.content, page.headers["content-type"]) == (WIDE, "image/png")
    assert public.headers["cache-control"] == "public, max-age=300"
    assert f'src="{data}"' in sample.text
    assert "@media all" in sample.text
    assert f'src="{data}" alt="{business.name}"' in mail.text
    assert f'src="{business.origin}/archive/logo"' in issue.text
    assert "/archive/logo" not in after.text


async def test_only_an_owner_changes_it(database: Database, business: Business) -> None:
    who = await member(database, business, Role.editor)
    async with client(database, business, who=who) as web:
        put = await web.post("/staff/theme/logo", data=form())
        out = await web.post("/staff/theme/logo/removal", data=form())
    async with database.read(business.id) as db:
        kept = await logo_of(db)
    assert (put.status_code, out.status_code, kept) == (403, 403, None)
