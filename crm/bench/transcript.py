"""What a request asks PostgreSQL, taken down while the product answers it, as a pgbench script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import ASGIApp

from crm import app
from crm.bench.relay import Failed
from crm.clock import utc_now
from crm.connections import Connection, Connections, connected
from crm.db import Database, no_wake
from crm.settings import Settings

_NUMBERED = "lpad(to_hex({label}), 4, '0') || lpad(to_hex(:n::bigint), 28, '0')"
_SCRIPT = """\
\\set n :first + :client_id * :each + :i
\\set i :i + 1
{statements}
"""


class Said(msgspec.Struct, frozen=True):
    """One statement as it was sent, with its values."""

    sql: str
    values: tuple[Any, ...]


TakeDown = Callable[[bytes], Awaitable[list[Said]]]


@asynccontextmanager
async def taking_down(settings: Settings) -> AsyncIterator[TakeDown]:
    """Answer requests in this process by the whole product, and tell all that each has sent.

    From BEGIN to COMMIT: the look-up of the key, the claim of the Idempotency-Key and what the
    handler does.
    """
    said: list[Said] = []

    async def recorded() -> Connection:
        conn = await connected(settings.database_url)
        conn.add_query_logger(lambda sent: said.append(Said(sent.query, tuple(sent.args))))
        return conn

    connections = Connections(recorded, 1)
    try:
        async with app.opened(settings) as state:
            state["database"] = Database(connections, settings.keys(), no_wake, utc_now)
            served = app.served(app.application(settings, state))

            async def take_down(request: bytes) -> list[Said]:
                said.clear()
                status = await _answered(served, request)
                # The last of it is told in the next turn of the loop.
                await asyncio.sleep(0)
                if not 200 <= status < 300:  # noqa: PLR2004
                    message = f"the request to take down was answered with {status}"
                    raise Failed(message)
                return list(said)

            yield take_down
    finally:
        await connections.close()


async def _answered(served: ASGIApp, request: bytes) -> int:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.decode().split(" ")
    scope: Any = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(b":") for line in lines)
        ],
    }
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await served(scope, receive, send)
    return statuses[0]


def script(first: Sequence[Said], second: Sequence[Said]) -> str:
    """Write the transaction for any customer from that for customer 1 and that for customer 2.

    What is the same in both is a constant. An id or a text that differs is made from pgbench's
    number, so that rows stay distinct; times and opaque bytes are taken from the first.
    """
    labels: dict[UUID, int] = {UUID(int=1): 0}
    texts = []
    for one, other in zip(first, second, strict=True):
        sql = one.sql
        pairs = list(enumerate(zip(one.values, other.values, strict=True), 1))
        for number, (value, changed) in reversed(pairs):  # $12 before $1
            sql = sql.replace(f"${number}", _written(value, changed, labels))
        texts.append(f"{sql};")
    return _SCRIPT.format(statements="\n".join(texts))


def _written(value: Any, changed: Any, labels: dict[UUID, int]) -> str:
    if isinstance(value, list) and len(value) == len(changed):
        each = [_written(*pair, labels) for pair in zip(value, changed, strict=True)]
        return f"ARRAY[{', '.join(each)}]"
    if isinstance(value, UUID) and value != changed:
        label = labels.setdefault(value, len(labels))
        return f"({_NUMBERED.format(label=label)})::uuid"
    if isinstance(value, str) and value != changed:
        return _counted(value, changed)
    return _constant(value)


def _counted(value: str, changed: str) -> str:
    """Put the number where the text of customer 1 has a 1 and that of customer 2 a 2."""
    for at, pair in enumerate(zip(value, changed, strict=False)):
        if pair == ("1", "2") and value[at + 1 :] == changed[at + 1 :]:
            return f"({_constant(value[:at])} || :n::text || {_constant(value[at + 1 :])})"
    return f"({_constant(value)} || :n::text)"


def _constant(value: Any) -> str:
    match value:
        case None:
            written = "NULL"
        case bool() | int():
            written = str(value)
        case bytes():
            written = f"'\\x{value.hex()}'::bytea"
        case dict():
            written = f"'{_quoted(msgspec.json.encode(value).decode())}'::jsonb"
        case UUID():
            written = f"'{value}'::uuid"
        case datetime():
            written = f"'{value.isoformat()}'::timestamptz"
        case list() | tuple():
            written = f"ARRAY[{', '.join(_constant(each) for each in value)}]"
        case _:
            written = f"'{_quoted(str(value))}'::text"
    return written


def _quoted(text: str) -> str:
    return text.replace("'", "''")
