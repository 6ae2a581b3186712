"""One call and its answer: the key, the body, and trying again where that is safe.

Safe are GET, PUT without If-Match, and what carries an Idempotency-Key: its repetition is answered
as the first request was. All else is tried once, and its failure is the caller's to judge.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx2
import msgspec
from msgspec import Struct

from crm.client.refusals import Problem, refused

T = TypeVar("T")

# An id as an answer has it, or as the text that a program kept of it.
Id = UUID | str
Values = Mapping[str, Any]

JSON = "application/json"
# Statuses that pass: a limit, a restart, a database that changes over.
_PASSING = frozenset({429, 502, 503, 504})
# The first request with the same Idempotency-Key is still being worked on.
_IN_FLIGHT = "in_flight"
# Seconds: the first pause, the longest of our own, and the longest that a Retry-After may ask for.
_FIRST, _LONGEST, _PATIENCE = 0.5, 30.0, 120.0
_DIGITS = 9

Pause = Callable[[float], Awaitable[None]]


class Asked(Struct, frozen=True):
    """A request as it goes out, as often as it takes."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes | None

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice comes to the same as doing it once."""
        plain = self.method in {"GET", "PUT"} and "if-match" not in self.headers
        return plain or "idempotency-key" in self.headers


class Exchange:
    """Sends what is asked with the key, and raises a Problem where the answer is no."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        attempts: int,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Try each safe call at most `attempts` times."""
        self._http = http
        self._attempts = attempts
        self._pause = pause

    async def send(self, asked: Asked) -> httpx2.Response:
        """Answer with a success, or raise a Problem or what httpx2 raises (TransportError)."""
        return await self._answered(asked)

    @asynccontextmanager
    async def opened(self, asked: Asked) -> AsyncIterator[httpx2.Response]:
        """Answer with a success of which nothing is read yet; read it within the block."""
        answer = await self._answered(asked, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _answered(self, asked: Asked, *, stream: bool = False) -> httpx2.Response:
        attempts = self._attempts if asked.repeatable else 1
        for number in range(1, attempts + 1):
            last = number == attempts
            try:
                request = self._http.build_request(
                    asked.method,
                    asked.path,
                    params=asked.query,
                    headers=asked.headers,
                    content=asked.content,
                )
                answer = await self._http.send(request, stream=stream)
                if not answer.is_success:
                    await answer.aread()
            except httpx2.TransportError:
                if last:
                    raise
                await self._pause(_pause_after(number))
                continue
            if answer.is_success:
                return answer
            problem = refused(answer)
            seconds = _wait(answer, problem, number)
            if last or seconds is None:
                raise problem
            await self._pause(seconds)
        raise AssertionError  # pragma: no cover  (the last attempt returns or raises)


class Resource:
    """What the calls of one subject have in common."""

    def __init__(self, exchange: Exchange) -> None:
        """Speak through this exchange."""
        self._exchange = exchange

    async def _answer(self, asked: Asked, to: type[T]) -> T:
        answer = await self._exchange.send(asked)
        return msgspec.json.decode(answer.content, type=to)

    async def _answer_or_none(self, asked: Asked, to: type[T]) -> T | None:
        answer = await self._exchange.send(asked)
        # A key that may write and not read is answered 204; where there is nothing, with null.
        if answer.content in {b"", b"null"}:
            return None
        return msgspec.json.decode(answer.content, type=to)

    async def _file(self, asked: Asked) -> bytes:
        return (await self._exchange.send(asked)).content

    async def _nothing(self, asked: Asked) -> None:
        await self._exchange.send(asked)


def ask(
    method: str,
    path: str,
    *,
    query: Values | None = None,
    body: Any = None,
    media: str = JSON,
    keyed: bool = False,
    idempotency_key: str | None = None,
    if_match: int | str | None = None,
) -> Asked:
    """Make a request; one that is `keyed` gets an Idempotency-Key that holds over its attempts."""
    headers: dict[str, str] = {}
    if keyed:
        headers["idempotency-key"] = f'"{idempotency_key or uuid4()}"'
    if if_match is not None:
        headers["if-match"] = f'"v{if_match}"' if isinstance(if_match, int) else if_match
    content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
    if content is not None:
        headers["content-type"] = media
    return Asked(method, path, _query(query or {}), headers, content)


def part(value: Id) -> str:
    """Write a value as one part of a path; ValueError for what would make it another path."""
    text = str(value)
    if text in {"", ".", ".."}:
        raise ValueError("An id or a name is needed here: without one this would be another call.")
    return quote(text, safe="")


def _query(values: Values) -> dict[str, list[str]]:
    return {name: _several(name, value) for name, value in values.items() if value is not None}


def _several(name: str, value: Any) -> list[str]:
    """Write each value of a name; ValueError for none, which would go out as if not asked for."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [_text(value)]
    written = [_text(each) for each in value]
    if not written:
        raise ValueError(
            f"“{name}” has no value in it, and would not be sent. Leave it out to ask for all, or "
            "do not call."
        )
    return written


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wait(answer: httpx2.Response, problem: Problem, number: int) -> float | None:
    """Say how many seconds to wait before the next attempt; None where it would not help."""
    if answer.status_code not in _PASSING and problem.code != _IN_FLIGHT:
        return None
    asked = answer.headers.get("retry-after", "")
    if not (asked.isascii() and asked.isdigit()):
        return _pause_after(number)
    # Of very many digits Python makes no number.
    return float(asked) if len(asked) <= _DIGITS and int(asked) <= _PATIENCE else None


def _pause_after(number: int) -> float:
    # By chance, so that those who were turned away together do not come back together.
    return random.uniform(0, min(_LONGEST, _FIRST * 2**number))  # noqa: S311
