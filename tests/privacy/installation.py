"""An installation at work: web and worker as processes, real traffic, marks, and the erasure.

What the processes write to their logs, to Redis, to temporary files and to the journal is searched
as well as every table.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from msgspec import Struct

from crm import access, campaigns, customers, privacy, rhythm, staff
from crm.db import Database, open_database
from crm.events import Actor
from crm.inbound import Via, arrived
from crm.inbound.hearing import hear_arrival
from crm.journal import Keeper, journal_of
from crm.privacy import Fingerprint
from crm.return_path import Way, return_address
from crm.rhythm import Wanted
from crm.settings import Settings
from crm.staff import NewKey, Scope
from tests import commands, make
from tests.conftest import KEYS, Cluster
from tests.inbound.letters import dsn
from tests.privacy.life import Life, erase_traces, lived
from tests.privacy.search import Mark, Places, Trace, seed
from tests.smtpd import Smtpd, smtpd
from tests.test_personal_data import KNOWS

LOCAL = f"zq{uuid4().hex[:14]}"
NAME = f"Zq{uuid4().hex[:14]}"
DOMAIN = "back.corner-bakery.example"
# What no life leaves, or only for an instant.
NOT_LIVED = {
    "suppression",
    "erasure",
    "erasure_wish",
    "restriction_end",
    "retry",
    "dormancy",
    "quarantine",
}
# Where the number of her empty record may stay, which names nobody: what books count by, where
# ranges of customers begin and end, examples of a check, for a day the call of a program, and that
# she was erased.
NUMBERED = {"customer", "delivery", "erasure", "event"} | {
    "campaign",
    "idempotency_key",
    "lease",
    "value_check",
}
_PATIENCE = 60.0


class Running(Struct):
    """An installation at work, and whoever lives in it."""

    cluster: Cluster
    database: Database
    life: Life
    relay: Smtpd
    folder: Path
    environ: dict[str, str]
    places: Places


@asynccontextmanager
async def installed(
    own_cluster: Cluster, own_database: Database, redis_url: str, tmp_path: Path
) -> AsyncIterator[Running]:
    """Nora has lived; the processes can be started."""
    business = await make.business(own_database)
    life = await lived(own_database, business, f"{LOCAL}@example.com", NAME)
    for name in ("tmp", "journal", "logs"):
        (tmp_path / name).mkdir()
    async with smtpd() as relay:
        environ = {
            "CRM_DATABASE_URL": own_cluster.app_url,
            "CRM_REDIS_URL": redis_url,
            "CRM_LINK_KEYS": "1:" + "31" * 32,
            "CRM_STORAGE_KEYS": "1:" + "73" * 32,
            "CRM_PEPPER": "70" * 32,
            "CRM_SMTP__HOST": "127.0.0.1",
            "CRM_SMTP__PORT": str(relay.port),
            "CRM_JOURNAL": str(tmp_path / "journal"),
            "CRM_LOG_LEVEL": "debug",
            "CRM_WEB__HOST": "127.0.0.1",
            "CRM_WEB__PORT": str(_port()),
            "TMPDIR": str(tmp_path / "tmp"),
        }
        places = Places(own_cluster.superuser_url, redis_url, (tmp_path,))
        keep = Keeper(journal_of(Settings.read(environ)))
        async with open_database(own_cluster.app_url, KEYS, keep=keep) as kept:
            yield Running(own_cluster, kept, life, relay, tmp_path, environ, places)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


@asynccontextmanager
async def process(here: Running, name: str) -> AsyncIterator[None]:
    """Run a process of the service; all it says goes into a file."""
    log = here.folder / "logs" / f"{name}.log"
    async with commands.process(name, environ=here.environ, log=log):
        yield


@asynccontextmanager
async def served(here: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser at the web process, once it answers."""
    host = here.life.business.origin.removeprefix("http://")
    base = f"http://127.0.0.1:{here.environ['CRM_WEB__PORT']}"
    async with (
        process(here, "web"),
        httpx2.AsyncClient(base_url=base, headers={"host": host}, timeout=_PATIENCE) as web,
    ):
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    await web.get("/health")
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
        yield web


async def _mailed(here: Running, word: str, *, nth: int = 1) -> str:
    """Wait until the relay has so many mails to her with a word in them; return the last."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            texts = [
                message.content.decode().replace("=\r\n", "")
                for message in here.relay.messages
                if LOCAL in " ".join(message.recipients)
            ]
            found = [text for text in texts if word in text]
            if len(found) >= nth:
                return found[nth - 1]
            # The relay tells nobody what it took.
            await asyncio.sleep(0.05)


async def traffic(here: Running) -> None:
    """What leaves traces: pages, mistakes, searches, a newsletter, and mail that comes back."""
    address = here.life.customer.address
    async with process(here, "worker"), served(here) as web:
        await _mailed(here, "/sign-in/")
        await web.post("/sign-in", data={"address": address})
        text = await _mailed(here, "/sign-in/", nth=2)
        link = text.partition("/sign-in/")[2].split()[0].strip("<>=\"'")
        await web.get(f"/sign-in/{link}")
        entered = await web.post(f"/sign-in/{link}")
        assert entered.status_code == 303, entered.text
        for path in ("/me", "/me/consent", "/me/mails", "/me/delete", f"/me/{LOCAL}?a={address}"):
            await web.get(path)
        await web.post("/leave", data={"address": address})
        await web.post("/sign-up", data={"email": address, "name": NAME})
        await _program(here, web)
        await _campaign(here)
        await web.post("/sign-in", data={"address": address})
    await _come_back(here)


async def _program(here: Running, web: httpx2.AsyncClient) -> None:
    """A program looks her up, rightly and wrongly."""
    async with here.database.write(here.life.business.id) as db:
        new = NewKey(name="Shop", scopes=list(Scope), reason="to answer her")
        _, key = await staff.add_key(db, Actor.system(), new)
    headers = {"authorization": f"Bearer {key}"}
    address = here.life.customer.address
    for body in ({"address": address}, {"address": f"{address} "}, {"adress": address}):
        await web.post("/v1/customers/search", json=body, headers=headers)
    await web.get(f"/v1/customers?address={address}", headers=headers)
    path = f"/v1/customers/{here.life.customer.id}"
    assert (await web.get(path, headers=headers)).status_code == 200
    kept = headers | {"idempotency-key": LOCAL}
    said = {"kind": "note", "title": NAME, "detail": f"Rang {address}"}
    await web.post(f"{path}/interactions", json=said, headers=kept)
    assert (await web.post(f"{path}/copies", json={}, headers=kept)).status_code == 202


async def _campaign(here: Running) -> None:
    async with here.database.write(here.life.business.id) as db:
        # She had paused; now she wants mail again.
        await rhythm.change(db, here.life.customer.id, Wanted(5, None))
        campaign = await make.campaign(db, here.life.notice.purpose_id, subject="For everybody")
        await campaigns.start(db, Actor.system(), campaign.id)
    await _mailed(here, "rye bread")


async def _come_back(here: Running) -> None:
    """A soft bounce of a letter to her, and an answer in her own words."""
    business = here.life.business
    folded = customers.fold(here.life.customer.address)
    fingerprint = KEYS.address_hash(business.id, folded)
    sender = return_address(KEYS, business.id, DOMAIN, Way.service, fingerprint, uuid4())
    report = arrived(sender, dsn("4.2.2", f"{here.life.customer.address} is full"))
    await hear_arrival(here.database, business.id, report, Via.listener)
    answer = f"From: {folded}\r\nSubject: {NAME}\r\nMessage-ID: <{LOCAL}@x.example>\r\n\r\n{NAME}"
    letter = arrived(f"letter@{DOMAIN}", answer.encode())
    await hear_arrival(here.database, business.id, letter, Via.listener)


async def seeded(here: Running) -> list[Mark]:
    """Mark every column of hers that takes a mark, besides what traffic has put there."""
    business = here.life.business
    async with here.database.read(business.id) as db:
        formers = await access.former_addresses(db, here.life.customer.id)
    fingerprint = KEYS.address_hash(business.id, customers.fold(here.life.customer.address))
    hers: dict[str, list[Any]] = {
        "customer_id": [here.life.customer.id],
        "address_hash": [fingerprint, *(each.address_hash for each in formers)],
    }
    rows = {
        table: (place.key, hers[place.key])
        for table, place in KNOWS.items()
        if table not in {"suppression", "erasure", "kept_proof"}
    }
    marks = await seed(here.cluster.superuser_url, business.id, rows)
    marks += [Mark("name", NAME.encode()), Mark("address", LOCAL.encode())]
    marks.append(Mark("number", str(here.life.customer.id).encode()))
    return [*marks, *(Mark("fingerprint", each) for each in hers["address_hash"])]


async def erase(here: Running, fingerprint: Fingerprint = Fingerprint.keep) -> None:
    async with here.database.write(here.life.business.id) as db:
        await privacy.erase(db, here.life.actor, here.life.customer.id, fingerprint=fingerprint)
    async with here.database.write(here.life.business.id) as db:
        await erase_traces(db)


def only_what_stays(after: list[Trace], fingerprint: Fingerprint) -> None:
    """Fail where anything is found of her but what is declared to stay, and where that is not."""
    journal = {each for each in after if each.place.startswith("file journal/")}
    numbers = {each.place for each in after if each.mark == "number"} - {x.place for x in journal}
    under = {Trace("suppression", "fingerprint"), Trace("kept_proof", "fingerprint")}
    kept = under if fingerprint is Fingerprint.keep else set()
    assert {each for each in after if each.mark != "number"} - journal == kept
    assert {"customer", "delivery", "erasure", "event"} <= numbers <= NUMBERED
    # What a restored backup is put right by: numbers and keyed hashes.
    assert {each.mark for each in journal} == {"number", "fingerprint"}
