"""The statements of one transaction, taken down while the product runs it, as a pgbench script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.db import Db, Statement

_NUMBERED = "lpad(to_hex({label}), 4, '0') || lpad(to_hex(:n::bigint), 28, '0')"
_SCRIPT = """\
\\set n :first + :client_id * :each + :i
\\set i :i + 1
BEGIN;
SELECT crm.begin_business('{business_id}');
{statements}
COMMIT;
"""


class Said(msgspec.Struct, frozen=True):
    """One statement as it was run, with its values."""

    statement: Statement
    values: tuple[Any, ...]


class Recording(Db):
    """A transaction that takes down what it runs, and runs it."""

    said: list[Said]

    def _args(self, statement: Statement, params: dict[str, Any]) -> list[Any]:
        values = super()._args(statement, params)
        self.__dict__.setdefault("said", []).append(Said(statement, tuple(values)))
        return values


def script(business_id: UUID, first: Sequence[Said], second: Sequence[Said]) -> str:
    """Write the transaction for any customer from that for customer 1 and that for customer 2.

    What is the same in both is a constant. An id or a text that differs is made from pgbench's
    number, so that rows stay distinct; times and opaque bytes are taken from the first.
    """
    labels: dict[UUID, int] = {UUID(int=1): 0}
    texts = []
    for one, other in zip(first, second, strict=True):
        sql = one.statement.sql
        pairs = list(enumerate(zip(one.values, other.values, strict=True), 1))
        for number, (value, changed) in reversed(pairs):  # $12 before $1
            sql = sql.replace(f"${number}", _written(value, changed, labels))
        texts.append(f"{sql};")
    return _SCRIPT.format(business_id=business_id, statements="\n".join(texts))


def _written(value: Any, changed: Any, labels: dict[UUID, int]) -> str:
    if isinstance(value, UUID) and value != changed:
        label = labels.setdefault(value, len(labels))
        return f"({_NUMBERED.format(label=label)})::uuid"
    if isinstance(value, str) and value != changed:
        return f"({_constant(value)} || :n::text)"
    return _constant(value)


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
