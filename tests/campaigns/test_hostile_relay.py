"""A relay that stalls, cannot be trusted or cannot be found: what goes, what waits, and why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme

from crm.businesses import Business
from crm.campaigns import Counts, jobs
from crm.db import open_database
from crm.mail import away, relays
from crm.settings import Sending, Settings, Smtp
from tests import make
from tests.campaigns.test_relays import counted, relay, waits
from tests.campaigns.test_send import started
from tests.conftest import KEYS, Cluster
from tests.smtpd import OFFERS, Fault, smtpd

PATIENCE = 0.3


def context(database: Any, *, timeout: float = PATIENCE) -> jobs.Ctx:
    """A worker that does not wait long, and whose own relay is nowhere."""
    return {
        "database": database,
        "settings": Settings(
            link_keys="1:" + "31" * 32,
            storage_keys="1:" + "73" * 32,
            pepper="70" * 32,
            smtp=Smtp(port=1, timeout=timeout, patience=PATIENCE, local_relays=True),
            sending=Sending(batch=20, connections=1, range=40),
        ),
        "sending": asyncio.Lock(),
    }


async def worked(ctx: jobs.Ctx, business: Business, campaign_id: UUID) -> Counts:
    await jobs.fill(ctx, str(business.id), str(campaign_id))
    await jobs.send(ctx, str(business.id), str(campaign_id))
    return await counted(ctx["database"], business, campaign_id)


@asynccontextmanager
async def later(cluster: Cluster) -> AsyncIterator[jobs.Ctx]:
    """A worker an hour on, when no relay rests any more."""
    at = datetime.now(UTC) + timedelta(hours=1)
    async with open_database(cluster.app_url, KEYS, size=4, clock=lambda: at) as database:
        yield context(database)


async def why(database: Any, business: Business) -> str:
    """What staff read on the page of the relays."""
    async with database.read(business.id) as db:
        (known,) = await relays.all_of(db)
    return away.sentence(known.trouble or "")


# Stalling ----------------------------------------------------------------------------------------

NEVER = {"greeting", "ehlo", "starttls", "auth"}


@pytest.mark.parametrize("step", [*sorted(NEVER), "mail", "rcpt", "data", "dot", "quit"])
async def test_each_step_is_waited_for_only_so_long(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """In doubt is only what was handed over whole; before that it waits, or goes anew."""
    served = trusted(tmp_path, monkeypatch, "localhost")
    given: dict[str, Any] = {"host": "localhost", "tls": "starttls", "connections": 1}
    async with (
        open_database(own_cluster.app_url, KEYS, size=4) as database,
        smtpd(offers=(*OFFERS, "AUTH PLAIN"), tls=served) as server,
    ):
        business = await make.business(database)
        campaign_id, _ = await started(database, business, 3)
        await relay(database, business, server.port, username="u", password="p", **given)
        server.fails(step, *[Fault(until=asyncio.Event())] * (50 if step in NEVER else 1))
        counts = await worked(context(database), business, campaign_id)
        found = await waits(database, business, campaign_id)

    accepted = sorted(server.accepted())
    assert len(set(accepted)) == len(accepted)
    if step in NEVER:
        assert (counts.waiting, accepted, found) == (3, [], {"relay no_answer": 3})
        return
    assert counts.uncertain == (step == "dot")
    assert counts.sent + counts.uncertain == len(accepted) == 3


async def test_a_relay_that_takes_no_connection_is_no_answer(
    database: Any, business: Business
) -> None:
    """Its queue is full: the system itself would knock for two minutes."""
    campaign_id, _ = await started(database, business, 3)
    with full() as port:
        await relay(database, business, port)
        counts = await worked(context(database), business, campaign_id)

    assert counts.waiting == 3
    assert await waits(database, business, campaign_id) == {"relay no_answer": 3}
    assert await why(database, business) == "It does not answer in time."


@contextmanager
def full() -> Iterator[int]:
    """A port whose queue of connections is full, so that it answers no other."""
    knocking = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            knocking.append(one := socket.socket())
            one.setblocking(False)  # noqa: FBT003  (its only argument)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
    for one in knocking:
        one.close()


# TLS ---------------------------------------------------------------------------------------------


def trusted(
    directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, **issued: Any
) -> ssl.SSLContext:
    """A server's certificate, from an authority that this machine believes."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(directory / "authority.pem"))
    return certified(authority, name, **issued)


def certified(authority: trustme.CA, name: str, **issued: Any) -> ssl.SSLContext:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **issued).configure_cert(served)
    return served


@pytest.mark.parametrize("wrong", ["of another name", "expired", "of nobody known", "not offered"])
async def test_without_a_certificate_that_holds_all_waits_until_it_is_mended(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Nothing goes in clear, staff read why, and afterwards everybody gets it once."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    long_ago = datetime.now(UTC) - timedelta(days=1)
    presented = {
        "of another name": certified(authority, "other.example"),
        "expired": certified(authority, "localhost", not_after=long_ago),
        "of nobody known": certified(trustme.CA(), "localhost"),
        "not offered": None,
    }[wrong]
    async with (
        open_database(own_cluster.app_url, KEYS, size=4) as database,
        smtpd(tls=presented) as server,
    ):
        business = await make.business(database)
        campaign_id, _ = await started(database, business, 30)
        await relay(database, business, server.port, host="localhost", tls="starttls")
        first = await worked(context(database, timeout=5), business, campaign_id)
        found = await waits(database, business, campaign_id)
        words = await why(database, business)
        spoken = {command.partition(" ")[0] for _, command in server.commands}

        server.tls = certified(authority, "localhost")
        async with later(own_cluster) as ctx:
            await jobs.send(ctx, str(business.id), str(campaign_id))
            after = await counted(ctx["database"], business, campaign_id)

    reason = "tls_not_offered" if wrong == "not offered" else "certificate_wrong"
    assert (first.waiting, found) == (30, {f"relay {reason}": 30})
    assert spoken <= {"EHLO", "STARTTLS", "QUIT"}
    assert "Nothing is handed over" in words
    assert (after.sent, len(server.accepted()), len(set(server.accepted()))) == (30, 30, 30)


async def test_what_is_offered_inside_tls_is_what_counts(
    own_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was said in clear before, which anybody may have written into the connection."""
    served = trusted(tmp_path, monkeypatch, "localhost")
    async with (
        open_database(own_cluster.app_url, KEYS, size=4) as database,
        smtpd(offers=(*OFFERS, "AUTH PLAIN"), tls=served, offers_in_tls=["8BITMIME"]) as server,
    ):
        business = await make.business(database)
        campaign_id, _ = await started(database, business, 20)
        given: dict[str, Any] = {"host": "localhost", "tls": "starttls", "connections": 2}
        relay_id = await relay(database, business, server.port, username="u", password="p", **given)
        first = await worked(context(database, timeout=5), business, campaign_id)
        words = await why(database, business)
        async with database.write(business.id) as db:
            new = relays.NewRelay(name="open", port=server.port, **given)
            await relays.change(db, make.SYSTEM, relay_id, new, db.now.date())
        async with later(own_cluster) as ctx:
            await jobs.send(ctx, str(business.id), str(campaign_id))
            after = await counted(ctx["database"], business, campaign_id)

    assert (first.waiting, first.uncertain) == (20, 0)
    assert "sign" in words
    assert not [each for _, each in server.commands if each.startswith("AUTH")]
    assert (after.sent, len(set(server.accepted()))) == (20, 20)
    # Not one command before the answer to the last, and no size that nobody asked for.
    assert all(each.endswith(">") for _, each in server.commands if each.startswith("MAIL"))


# Names -------------------------------------------------------------------------------------------


class Silent:
    """A resolver that never answers for some names, as where no name server can be reached."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heard = threading.Semaphore(0)
        self.over = threading.Event()
        self._ask = socket.getaddrinfo

    def __call__(self, host: str, *given: Any, **named: Any) -> Any:
        if not str(host).endswith(".silent.example"):
            return self._ask(host, *given, **named)
        self.asked.append(host)
        self.heard.release()
        self.over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    resolver = Silent()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.over.set()


async def test_a_silent_name_server_holds_up_nobody_else(
    database: Any, business: Business, other_business: Business, silent: Silent
) -> None:
    """Neither the mail of others, nor the threads that are for all; a name is asked for once."""
    campaign_id, _ = await started(database, business, 3)
    names = [f"relay{number}.silent.example" for number in range(20)]
    for host in names:
        await relay(database, business, 587, host=host, tls="starttls", connections=10)
    others, _ = await started(database, other_business, 20)
    async with smtpd() as server:
        await relay(database, other_business, server.port, host="localhost")
        # Longer than the others' mail takes on a machine that is busy.
        ctx = context(database, timeout=4.0)
        held = asyncio.create_task(worked(ctx, business, campaign_id))
        for _ in names:
            await asyncio.to_thread(silent.heard.acquire)
        sent = await worked(context(database), other_business, others)
        assert not held.done()
        first = await held
    found = await waits(database, business, campaign_id)

    assert (sent.sent, len(server.accepted())) == (20, 20)
    assert (first.waiting, found) == (3, {"relay name_no_answer": 3})
    assert sorted(silent.asked) == sorted(names)
