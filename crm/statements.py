"""The statements of `sql/`: named, commented, and with names for their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

_HERE = Path(__file__).resolve().parent
# The wheel carries the statements as crm/sql; a checkout has them beside the package.
SQL = next(path for path in (_HERE / "sql", _HERE.parent / "sql") if path.is_dir())

_HEADER = re.compile(r"^-- name: (.*)$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(
    r"'(?:[^']|'')*'"  # a string
    r"|--[^\n]*"  # a comment
    r"|::\w+"  # a cast
    r"|:(?P<param>[a-z_][a-z0-9_]*)"
)


class Statement(Struct, frozen=True):
    """One named statement: SQL with `$1`, `$2` … and the names that belong there."""

    name: str
    doc: str
    sql: str
    params: tuple[str, ...]

    def args(self, given: dict[str, Any]) -> list[Any]:
        """Order the keywords as the statement wants them; a missing or unknown one is our bug."""
        try:
            args = [given[name] for name in self.params]
        except KeyError:
            args = []
        if len(args) != len(given):
            message = f"{self.name} takes {self.params}, got {tuple(given)}"
            raise TypeError(message)
        return args


class Statements:
    """The statements of `sql/<domain>.sql` as attributes."""

    def __init__(self, domain: str) -> None:
        """Read and check the file at import, so that a broken one never serves."""
        self.domain = domain
        self._by_name = _of(domain)

    def __getattr__(self, name: str) -> Statement:
        """Find a statement by its name."""
        try:
            return self._by_name[name]
        except KeyError:
            message = f"sql/{self.domain}.sql has no statement {name!r}"
            raise AttributeError(message) from None

    def __iter__(self) -> Iterator[Statement]:
        """Walk all statements, in the order of the file."""
        return iter(self._by_name.values())


@cache
def _of(domain: str) -> Mapping[str, Statement]:
    """Read the file of a domain once: many modules ask for the same."""
    text = (SQL / f"{domain}.sql").read_text(encoding="utf-8")
    return {statement.name: statement for statement in parse(text)}


def parse(text: str) -> list[Statement]:
    """Cut a file into statements; refuse a bad name, a name given twice and a missing comment."""
    parts = _HEADER.split(text)[1:]
    found: dict[str, Statement] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        statement = _statement(name.strip(), body)
        if statement.name in found:
            message = f"the statement {statement.name} is there twice"
            raise ValueError(message)
        found[statement.name] = statement
    return list(found.values())


def _statement(name: str, body: str) -> Statement:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a name for a statement"
        raise ValueError(message)
    lines = body.strip().splitlines()
    doc = []
    while lines and lines[0].startswith("--"):
        doc.append(lines.pop(0).removeprefix("--").strip())
    if not doc:
        message = f"the statement {name} has no comment that says what it answers"
        raise ValueError(message)
    params: list[str] = []

    def number(match: re.Match[str]) -> str:
        param = match["param"]
        if param is None:
            return match[0]
        if param not in params:
            params.append(param)
        return f"${params.index(param) + 1}"

    sql = _TOKEN.sub(number, "\n".join(lines)).strip().removesuffix(";")
    return Statement(name, " ".join(doc), sql, tuple(params))
