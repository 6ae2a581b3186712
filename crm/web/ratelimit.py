"""Limits per route: one Redis key per limit and caller, counted by GCRA in one round trip.

A `Limit` is a guard: `guards=[Limit("sign-in", quota=5, seconds=600, per=by_address)]`. The
answer says what is left (draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import Callable
from typing import Any

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crm.errors import Refused, TooMany
from crm.visitors import located
from crm.web.transaction import let_go

# Generic cell rate algorithm: the key holds when the bucket will be empty again (microseconds,
# by Redis's own clock, so that web processes need not agree on the time).
_GCRA = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local gap, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty = tonumber(redis.call('GET', KEYS[1]) or now)
if empty < now then empty = now end
local then_empty = empty + gap
if then_empty - now > full then
  return {0, 0, then_empty - now - full, empty - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', then_empty),
           'PX', math.ceil((then_empty - now) / 1000))
return {1, math.floor((full - (then_empty - now)) / gap), 0, then_empty - now}
"""
_MICROSECONDS = 1_000_000
# Seconds to wait for Redis before it counts as away.
_PATIENCE = 2.0
# A home is one /64; counting single addresses of it would be no limit.
_IPV6_PREFIX = 64

_log = structlog.get_logger(__name__)

Per = Callable[[ASGIConnection[Any, Any, Any, Any]], str]


class Exhausted(TooMany):
    """Too many requests; try again later."""

    def __init__(self, policy: str, retry_after: int) -> None:
        """Name the policy that ran out."""
        super().__init__(retry_after=retry_after)
        self.policy = policy


class Unavailable(Refused):
    """A part of us that this needs is not reachable. Nothing was changed; try again."""

    retry_after = 10


def by_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Count per network address of the client, as the trusted proxy gives it."""
    return network(connection.client.host if connection.client else "")


def network(host: str) -> str:
    """Name what a host is counted as; the text itself where it is no address of a network."""
    try:
        address = located(host)
    except ValueError:
        return host
    if address.version == 6:  # noqa: PLR2004
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


def by_business(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Count all of one business together."""
    return str(connection.scope["state"].get("business_id", ""))


class Limit(Struct, frozen=True):
    """At most `quota` requests per `seconds` for each `per`; as a burst or spread, as they like.

    Without Redis an `open` limit lets everybody pass, a closed one nobody: closed is for what
    guesses (passwords, codes), open for what people need (leaving!).
    """

    name: str
    quota: int
    seconds: int
    per: Per = by_address
    open: bool = True

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        """Count this request and refuse it when the quota is used up."""
        redis: Redis = connection.app.state.redis
        await let_go(connection)
        try:
            async with asyncio.timeout(_PATIENCE):
                left = await self.count(redis, self.per(connection))
        except (RedisError, OSError) as error:
            _log.warning("rate limit unreachable", limit=self.name, error=type(error).__name__)
            if not self.open:
                raise Unavailable from error
            return
        kept = connection.scope["state"].setdefault("rate_limit_headers", {})
        _add(kept, "ratelimit-policy", f'"{self.name}";q={self.quota};w={self.seconds}')
        _add(kept, "ratelimit", f'"{self.name}";r={left.remaining};t={left.reset}')
        if not left.passed:
            raise Exhausted(self.name, left.retry_after)

    async def count(self, redis: Redis, who: str) -> Left:
        """Take one from the quota of `who`; also for limits that are not of a route."""
        # Hashed: Redis holds no address, of the network or of a mailbox.
        mark = hashlib.blake2b(f"{self.name}\0{who}".encode(), digest_size=16).hexdigest()
        full = self.seconds * _MICROSECONDS
        gap = full / self.quota
        count = redis.register_script(_GCRA)
        answer = await count(keys=[f"limit:{mark}"], args=[str(gap), str(full)])
        passed, remaining, wait, reset = (int(number) for number in answer)
        return Left(
            passed=bool(passed),
            remaining=remaining,
            retry_after=max(1, math.ceil(wait / _MICROSECONDS)),
            reset=math.ceil(reset / _MICROSECONDS),
        )


class Left(Struct, frozen=True):
    """What is left of a quota: `reset` is when it is whole again, in seconds."""

    passed: bool
    remaining: int
    retry_after: int
    reset: int


def _add(headers: dict[str, str], name: str, value: str) -> None:
    headers[name] = f"{headers[name]}, {value}" if name in headers else value
