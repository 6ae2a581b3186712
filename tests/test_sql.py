"""Every statement prepares on the real schema as the serving role, and keeps to its tables."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from crm import db
from crm.db import SQL, Statement, Statements, parse
from tests.conftest import Cluster

ROOT = SQL.parent / "crm"
DOMAINS = sorted(path.stem for path in SQL.glob("*.sql"))
TEXTS = {domain: (SQL / f"{domain}.sql").read_text() for domain in DOMAINS}
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(?:crm\.)?([a-z_]+)(?=[\s(])")
_OWNS = re.compile(r"Owns: ([a-z_,\s-]+)\.")


@pytest.fixture(scope="session")
async def as_application(shared_cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the role that serves."""
    conn = await asyncpg.connect(
        shared_cluster.app_url, server_settings={"search_path": "crm"}, statement_cache_size=0
    )
    yield conn
    await conn.close()


@pytest.mark.parametrize("domain", DOMAINS)
async def test_each_prepares(domain: str, as_application: asyncpg.Connection) -> None:
    """A column, a table or a type that is not there fails here, not in production."""
    unfit = {}
    for statement in parse(TEXTS[domain]):
        try:
            prepared = await as_application.prepare(statement.sql)
        except asyncpg.PostgresError as wrong:
            unfit[statement.name] = str(wrong)
            continue
        if len(prepared.get_parameters()) != len(statement.params):
            unfit[statement.name] = "other parameters than it is called with"

    assert unfit == {}


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_writes_only_what_its_domain_owns(domain: str) -> None:
    """A domain reads others through their tables' current state and writes none of them."""
    head = TEXTS[domain].split("-- name:")[0].replace("--", " ")
    owns = _OWNS.search(" ".join(head.split()))
    owned = set(re.findall(r"[a-z_]+", owns[1])) if owns else set()
    foreign = {
        statement.name: written - owned
        for statement in parse(TEXTS[domain])
        if (written := set(_WRITES.findall(_code(statement))) - {"set"}) - owned
    }

    assert foreign == {}


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_names_the_business_of_every_table(domain: str) -> None:
    """Row-level security stands behind, but each table in a statement has its own business_id."""
    for statement in parse(TEXTS[domain]):
        code = _code(statement)
        filled = re.findall(r"INTO\s+crm\.[a-z_]+(?:\s+AS \w+)?\s+\(([^)]*)\)", code)
        # Functions above one business are called as tables, with their arguments.
        read = re.findall(r"\b(?:FROM|JOIN|UPDATE)\s+crm\.[a-z_]+\b(?!\()", code)
        params = statement.params
        number = params.index("business_id") + 1 if "business_id" in params else 0
        kept = re.findall(rf"business_id = (?:\${number}\b|\w+\.business_id\b)", code)

        assert all("business_id" in columns for columns in filled), statement.name
        assert domain == "above" or len(kept) >= len(read), statement.name


def _code(statement: Statement) -> str:
    return re.sub(r"--[^\n]*", "", statement.sql)


def _used(domain: str) -> set[str]:
    """Find what Python takes from a domain's statements: `sql.NAME` where `sql` is that file."""
    paths = sorted(Path(db.__file__).parent.rglob("*.py"))
    texts = {path: path.read_text() for path in paths}
    readers = {path for path, text in texts.items() if f'Statements("{domain}")' in text}
    modules = {".".join(path.with_suffix("").parts[-2:]) for path in readers}
    borrowed = "|".join(rf"from crm\.{re.escape(each)} import .*\bsql\b" for each in modules)
    readers |= {path for path, text in texts.items() if re.search(borrowed, text)}
    return {
        node.attr
        for path in readers
        for node in ast.walk(ast.parse(texts[path]))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "sql"
    }


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_statement_is_used(domain: str) -> None:
    """A statement that nothing runs is deleted."""
    unused = {s.name for s in Statements(domain)} - _used(domain)

    assert not unused


def test_each_domain_takes_its_own_statements() -> None:
    """Whoever needs another domain's calls what that domain does; benchmarks measure statements."""
    taken = {
        (domain, path.relative_to(ROOT).parts[0].removesuffix(".py"))
        for path in ROOT.rglob("*.py")
        for domain in re.findall(r'Statements\("(\w+)"\)', path.read_text())
        if "bench" not in path.parts
    }

    assert {(domain, place) for domain, place in taken if domain != place} == {
        ("sending_domains", "mail")
    }
