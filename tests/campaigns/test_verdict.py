"""The gate and what is published: judged at the start, kept for good, checked by anybody."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from litestar.types import ASGIApp

from crm import businesses, campaigns, verify_command
from crm.businesses import Business, NewBusiness
from crm.campaigns import Campaign, State
from crm.campaigns.verdict import Fixed, fix
from crm.db import Database, Db
from crm.errors import Invalid
from crm.events import Actor
from crm.mail import jobs as mail_jobs
from tests import make
from tests.browser import Browser
from tests.campaigns.site import client, drafted, member, present
from tests.campaigns.test_send import sent_through, settings, started
from tests.conftest import Cluster
from tests.smtpd import smtpd

SYSTEM = Actor.system()
TRACKED = "# Rye\n\nThere is [rye](https://rye.example/?utm_source=letter).\n"


async def change(database: Database, business: Business, **changes: Any) -> None:
    """Change what is known of a business."""
    known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
    async with database.write(business.id) as db:
        await businesses.change(db, SYSTEM, NewBusiness(**known | changes))


async def sent(database: Database, business: Business) -> tuple[Campaign, list[bytes]]:
    """A campaign that has gone to two, and the mails as the relay got them."""
    campaign, _, _ = await drafted(database, business, 2, source="# Rye\n\nFor {{ name }}.")
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
        return campaign, [each.content for each in relay.messages]


async def test_a_campaign_that_would_watch_does_not_start(
    database: Database, business: Business
) -> None:
    """Refused with the line and what to do, also for later; nothing of it is published."""
    campaign, _, _ = await drafted(database, business, source=TRACKED)
    async with database.write(business.id) as db:
        checked = await campaigns.check(db, campaign)
        with pytest.raises(Invalid) as refused:
            await campaigns.start(db, SYSTEM, campaign.id)

    (problem,) = refused.value.problems
    assert problem.message.startswith("Line 3: The parameter utm_source")
    assert [(each.line, each.finding.code) for each in checked.found] == [(3, "parameter")]
    assert not checked.sendable
    assert checked.readable
    assert (await present(database, business, campaign)).state is State.draft
    async with database.read(business.id) as db:
        assert await campaigns.verdicts(db, campaign.id) == []


async def test_a_picture_from_elsewhere_waits_until_its_host_is_allowed(
    database: Database, business: Business
) -> None:
    campaign, _, _ = await drafted(
        database, business, source="![Rye](https://pictures.example/rye.jpg)\n\nRye."
    )
    async with database.write(business.id) as db:
        with pytest.raises(Invalid, match="watch") as refused:
            await campaigns.start(db, SYSTEM, campaign.id)
    await change(database, business, image_hosts="pictures.example")
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)

    assert "allow this host in the settings" in refused.value.problems[0].message


async def test_the_console_shows_what_was_found(database: Database, business: Business) -> None:
    """With the line, the text and the reading beside it; and no button to send."""
    who = await member(database, business)
    campaign, _, _ = await drafted(database, business, source=TRACKED)
    async with client(database, business, who=who) as browser:
        pages = [
            (await browser.get(f"/staff/campaigns/{campaign.id}/{name}")).text
            for name in ("text", "preview", "review")
        ]

    for page in pages:
        assert "Line 3:" in " ".join(page.replace("<b>", "").split())
        assert "https://rye.example/?utm_source=letter" in page
        assert "Not yet" in page
    assert "<iframe" in pages[1]
    assert "Approve and send" not in pages[2]


async def test_a_verdict_is_kept_for_good(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """One for one skeleton, whoever asks again; PostgreSQL refuses to change or drop it."""
    campaign_id, _ = await started(database, business, 1)
    async with database.write(business.id) as db:
        await fix(db, await campaigns.get(db, campaign_id))
        (verdict,) = await campaigns.verdicts(db, campaign_id)
        raw = await campaigns.skeleton(db, campaign_id, verdict.digest)
    for url, refusal in (
        (shared_cluster.app_url, asyncpg.InsufficientPrivilegeError),
        (shared_cluster.superuser_url, asyncpg.PostgresError),
    ):
        conn = await asyncpg.connect(url)
        await conn.execute("SELECT set_config('crm.business_id', $1, false)", str(business.id))
        with pytest.raises(refusal):
            await conn.execute("DELETE FROM crm.verdict")
        await conn.close()

    assert hashlib.sha256(raw).digest() == verdict.digest
    assert [each.asks for each in campaigns.unpacked(raw).variants] == [False, True]


async def test_a_changed_letterhead_is_published_before_it_goes_out(
    database: Database, business: Business
) -> None:
    campaign_id, _ = await started(database, business, 1)
    await change(database, business, postal_address="5 Mill Lane")
    async with database.write(business.id) as db:
        await fix(db, await campaigns.get(db, campaign_id))
        assert len(await campaigns.verdicts(db, campaign_id)) == 2


@pytest.mark.parametrize("where", ["jobs", "approving", "canary"])
async def test_what_is_judged_is_sent_and_nothing_read_since(
    database: Database, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Somebody saves the settings just after the verdict of a worker, of a start, of a canary."""
    seed = "" if where == "jobs" else "seed@example.com"
    business = await make.business(database, canary=seed)

    async def judged(db: Db, campaign: Campaign, **how: bool) -> Fixed:
        fixed = await fix(db, campaign, **how)
        await change(database, business, postal_address="1 New Road", canary=seed)
        return fixed

    module = import_module(f"crm.campaigns.{where}")
    if where != "canary":
        monkeypatch.setattr(module, "fix", judged)
    campaign_id, _ = await started(database, business, 2)
    async with smtpd() as relay:
        if where == "canary":
            monkeypatch.setattr(module, "fix", judged)
            async with database.write(business.id) as db:
                campaign = await campaigns.get(db, campaign_id)
                await campaigns.send_again(db, SYSTEM, campaign)
        if seed:
            ctx: mail_jobs.Ctx = {"database": database, "settings": settings(relay.port)}
            await mail_jobs.deliver(ctx, str(business.id))
        else:
            await sent_through(database, business, campaign_id, relay)
    async with database.read(business.id) as read:
        known = await campaigns.skeletons(read, campaign_id)
    assert relay.messages
    for each in relay.messages:
        found = [campaigns.compare(each.content, one, named=False) for one in known]
        assert any(not one.differences for one in found)


async def test_a_canary_that_is_sent_again_is_published_first(database: Database) -> None:
    """The letterhead was changed since the start: else it would arrive as one that was changed."""
    business = await make.business(database, canary="seed@example.com")
    campaign_id, _ = await started(database, business, 1)
    await change(database, business, postal_address="1 New Road", canary="seed@example.com")
    async with database.write(business.id) as db:
        await campaigns.send_again(db, SYSTEM, await campaigns.get(db, campaign_id))
        assert len(await campaigns.verdicts(db, campaign_id)) == 2


async def test_what_the_relay_got_is_the_skeleton(database: Database, business: Business) -> None:
    campaign, mails = await sent(database, business)
    async with database.read(business.id) as db:
        (known,) = await campaigns.skeletons(db, campaign.id)

    assert len(mails) == 2
    for raw in mails:
        assert campaigns.compare(raw, known).differences == ()


async def test_anybody_checks_a_mail_and_nothing_is_kept(
    site: ASGIApp, database: Database, business: Business
) -> None:
    """As a file or pasted; no cookie, and no word about whose mail it is."""
    campaign, mails = await sent(database, business)
    async with Browser(site, business.origin) as anybody:
        same = await anybody.post("/mail-check", files={"file": ("m.eml", mails[0])})
        changed = mails[0].replace(b"</body>", b'<img src=3D"https://t.example/p"></body>')
        other = await anybody.post("/mail-check", data={"mail": changed.decode()})
        nobody = mails[0].replace(campaign.id.hex.encode(), b"a" * 32)
        unknown = await anybody.post("/mail-check", files={"file": ("m.eml", nobody)})
        empty = await anybody.post("/mail-check", data={"mail": ""})

    assert "It is the mail that was sent." in same.text
    assert "An image was put in." in other.text
    assert "https://t.example/p" in other.text
    assert (unknown.status_code, empty.status_code) == (422, 422)
    assert "names no campaign that was sent from here" in unknown.text
    for answer in (same, other, unknown, empty):
        assert "set-cookie" not in answer.headers
        assert "reader0" not in answer.text


async def test_verdict_and_skeleton_are_downloaded_by_who_has_the_mail(
    site: ASGIApp, database: Database, business: Business
) -> None:
    campaign, _ = await sent(database, business)
    draft, _, _ = await drafted(database, business)
    where = f"/mail-check/{campaign.id.hex}"
    async with Browser(site, business.origin) as anybody:
        page = await anybody.get(where)
        (verdict,) = (await anybody.get(f"{where}/verdict.json")).json()
        seal = verdict["skeleton_sha256"]
        raw = await anybody.get(f"{where}/skeleton/{seal}")
        missing = [
            await anybody.get(path)
            for path in (
                f"/mail-check/{draft.id.hex}",
                "/mail-check/nothing",
                f"{where}/skeleton/{'0' * 64}",
                f"{where}/skeleton/x",
            )
        ]

    assert seal in page.text
    assert hashlib.sha256(raw.content).hexdigest() == seal
    assert verdict["findings"] == []
    assert [each.status_code for each in missing] == [404] * 4


async def test_a_mail_is_checked_at_home(
    tmp_path: Path, database: Database, business: Business
) -> None:
    """Offline with the skeleton; without it the command says where it is."""
    campaign, mails = await sent(database, business)
    async with database.read(business.id) as db:
        (known,) = await campaigns.skeletons(db, campaign.id)
    mail, skeleton = tmp_path / "mail.eml", tmp_path / "skeleton.json"
    mail.write_bytes(mails[0])
    skeleton.write_bytes(campaigns.packed(known))
    run = CliRunner().invoke
    good = run(verify_command.command, ["--skeleton", str(skeleton), str(mail)])
    without = run(verify_command.command, [str(mail)])
    mail.write_bytes(mails[0].replace(b"List-Unsubscribe: <http", b"List-Unsubscribe: <x"))
    bad = run(verify_command.command, ["--skeleton", str(skeleton), str(mail)])
    skeleton.write_text("{}")
    broken = run(verify_command.command, ["--skeleton", str(skeleton), str(mail)])

    assert (good.exit_code, without.exit_code, bad.exit_code) == (0, 1, 1)
    assert "is the mail that was sent" in good.output
    assert f"/mail-check/{campaign.id.hex}" in without.output
    assert "The header List-Unsubscribe was changed." in bad.output
    assert broken.exit_code == 1
    assert "no skeleton" in broken.output
