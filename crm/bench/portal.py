"""How fast a customer's own pages come, one worker, one page at a time, among a million others."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

from crm import access, campaigns, consent
from crm.access import credentials
from crm.access.auth import SESSION, cookie_name
from crm.bench import copying
from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Say, Series, interleaved
from crm.bench.requests import served
from crm.bench.stage import Cast, Stage, audience, found
from crm.bench.traffic import drive
from crm.db import parse
from crm.ids import secret

# Of each page, half come within so many milliseconds.
_LIMIT_MS = 15.0
_MAILS, _EVENTS = 200, 1_000
# Of all requests of a round, as many for each page.
_SHARE = 80
_PAGES = (
    "/me", "/me/consent", "/me/rhythm", "/me/mails", "/me/looks", "/me/details", "/me/requests",
    "/me/copy", "/me/delete", "/me/sessions", "/me/address",
)  # fmt: skip

(_WAY_IN,) = parse(
    """
-- name: way_in
-- A way in like a mailed one.
INSERT INTO crm.portal_link (business_id, customer_id, address_hash, token_hash, code_hash,
                             browser_hash, created_at, expires_at)
SELECT :business_id, c.customer_id, c.address_hash, :hash, :hash, :hash, :now, :expires_at
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
"""
)


async def portal(
    stage: Stage, count: int, requests: int, rounds: int, say: Say
) -> list[Figure | Missing]:
    """Measure each page of a customer who has lived here for years, beside a page of nothing."""
    cast, times = await found(stage.quiet), max(requests // _SHARE, 1)
    say(f"adding {count:,} customers")
    everybody = await audience(stage.quiet, cast, count)
    her = everybody[count // 2]
    await copying.lived(stage, cast, her, _MAILS, _EVENTS)
    token = await _signed_in(stage, cast, her)
    await stage.settle()
    mail, receipt = await _newest(stage, cast, her)
    pages = {path: _asked(cast, path, token) for path in _PAGES}
    pages["/me/mails/{id}"] = _asked(cast, f"/me/mails/{mail}", token)
    pages["/me/receipts/{id}"] = _asked(cast, f"/me/receipts/{receipt}", token)
    nothing = _asked(cast, "/health", token)
    taken: dict[str, list[float]] = {path: [] for path in pages}
    async with served(stage) as port:
        for page in (nothing, *pages.values()):
            await drive(port, [page] * 3, 200, connections=1)

        async def ours(_: int) -> float:
            for path, page in pages.items():
                traffic = await drive(port, [page] * times, 200, connections=1)
                taken[path].append(traffic.median_ms)
            return max(each[-1] for each in taken.values())

        async def ceiling(_: int) -> float:
            return (await drive(port, [nothing] * times, 200, connections=1)).median_ms

        runs = await interleaved(
            rounds, {"portal": ("ms", ours), "GET /health": ("ms", ceiling)}, say
        )
    lived: Notes = {"customers": count, "her_mails": _MAILS, "her_events": _EVENTS}
    notes: Notes = {**lived, **{path: median(each) for path, each in taken.items()}}
    limit = Beside(Series("the goal", "ms", [_LIMIT_MS]), Goal(1, at_most=True))
    slowest = Series("portal, the slowest page", "ms", runs["portal"].runs)
    return [Figure(slowest.what, slowest, [Beside(runs["GET /health"]), limit], notes)]


async def _signed_in(stage: Stage, cast: Cast, customer_id: UUID) -> str:
    """Sign her in as the button of a mailed way in does."""
    async with stage.quiet.write(cast.business.id) as db:
        token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
        await db.run(
            _WAY_IN,
            customer_id=customer_id,
            hash=credentials.fingerprint(token),
            expires_at=db.now + timedelta(hours=1),
        )
        return await access.open_session(db, await access.open_link(db, token, token))


async def _newest(stage: Stage, cast: Cast, customer_id: UUID) -> tuple[UUID, UUID]:
    """Find a mail of hers, and a decision."""
    async with stage.quiet.read(cast.business.id) as db:
        mails = [each async for each in campaigns.export(db, customer_id)]
        return mails[-1].campaign_id, (await consent.history(db, customer_id))[-1].id


def _asked(cast: Cast, path: str, token: str) -> bytes:
    host = urlsplit(cast.business.origin).netloc
    cookie = f"{cookie_name(cast.business, SESSION)}={token}"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n".encode()
