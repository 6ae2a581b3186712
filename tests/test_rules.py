"""The house rules as code: how files are named, how long things are, and what must be declared."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx2
import litestar.handlers.base
import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from crm.errors import Refused
from crm.events import Kind
from crm.settings import Settings, names
from crm.web.docs import refusals
from crm.web.lean import lean
from crm.web.transaction import SAFE
from crm.worker import JOBS, SCHEDULE
from tests.routes import APP, ROUTES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "crm"
MODULES = sorted(PACKAGE.rglob("*.py"))
# The domains, and each module beside them.
FOLDERS = sorted({path.relative_to(PACKAGE).parts[0] for path in MODULES})
LONGEST_FUNCTION = 40
LONGEST_MODULE = 400
FORBIDDEN_NAMES = {
    "base",
    "common",
    "constants",
    "core",
    "dto",
    "handler",
    "helpers",
    "lib",
    "managers",
    "misc",
    "processor",
    "repository",
    "services",
    "types",
    "utils",
}
# Open to everybody without session, key or link: each has a reason.
OPEN = {
    "/",  # leads to the sign-up form
    "/health",  # for whoever watches the service
    "/docs",
    "/docs/openapi.json",  # what the API offers
    "/docs/api.md",  # the same, as plain text
    "/llms.txt",  # the same, as a list of links
    "/docs/{path}",
    "/problems/{code}",  # what a refusal means
    "/static/{name}",  # style sheets; nobody's data
    "/favicon.ico",  # the same
    "/language",  # a cookie that says which language, and nothing else
    "/look/{name}",  # colours and a logo, as every page shows them
    "/sign-in",
    "/sign-up",
    "/leave",  # mails the owner of an address
    "/sign-up/mailed",  # says so, to the browser that asked
    "/sign-in/mailed",
    "/leave/mailed",
    "/sign-up/again",  # the same form once more, as the browser kept it
    "/sign-in/code",
    "/confirm",
    "/staff/sign-in",
    "/staff/new-password",
    "/staff/second-factor",  # brings what shows that the password was right
    "/metrics",  # brings its own token
    "/.well-known/jwks.json",  # public keys
    "/mail-check",  # what is handed in is compared, and nothing of it is kept
    "/mail-check/{campaign}",  # what every reader of a campaign was sent
    "/mail-check/{campaign}/verdict.json",
    "/mail-check/{campaign}/skeleton/{seal}",
    "/poll/{campaign}/{number}",  # the same link in everybody's mail; only a press counts
    "/archive",  # issues that staff made public; nothing of it is anybody's
    "/archive/feed.xml",
    "/archive/{id}",
    "/archive/{id}/images/{name}",
    "/archive/logo",
    "/ledger",  # hashes, which name nobody
    "/trust",  # words and sums, which name nobody
    "/privacy",  # what is declared to be kept; nobody's data
    "/ledger/vkeys",
    "/ledger/endorsements",
    "/ledger/{number}/checkpoint",
    "/ledger/{number}/tile/{place}",
    "/ledger/consistency/{first}/{second}",
}


@cache
def _parsed(folder: str) -> list[tuple[Path, ast.Module]]:
    within = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] == folder]
    return [(path, ast.parse(path.read_text())) for path in within]


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_module_keeps_the_measure(folder: str) -> None:
    """Short modules, short functions, no import inside a function, a name that says something."""
    for path, tree in _parsed(folder):
        assert len(path.read_text().splitlines()) <= LONGEST_MODULE, path
        assert not {*path.relative_to(PACKAGE).parts, path.stem} & FORBIDDEN_NAMES, path
        for function in _functions(tree):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            assert length <= LONGEST_FUNCTION, (path, function.name)
            for node in ast.walk(function):
                assert not isinstance(node, ast.Import | ast.ImportFrom), (path, function.name)


def test_every_kind_of_event_is_recorded() -> None:
    """The console and the webhooks promise each: something of ours has to tell it."""
    recorded = {
        node.attr
        for folder in set(FOLDERS) - {"events"}
        for _, tree in _parsed(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Kind"
    }

    assert {kind.name for kind in Kind} <= recorded


@pytest.mark.parametrize("folder", FOLDERS)
def test_other_domains_are_entered_by_the_front_door(folder: str) -> None:
    """Nobody reaches around a domain's front door for its actions."""
    for path, tree in _parsed(folder):
        domain = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                if parts[0] == "crm" and len(parts) > 2 and parts[-1] == "actions":
                    assert parts[1] == domain, (path, node.module)


def test_every_route_knows_who_asks() -> None:
    """By the guards of its router, by a signed link, or it is in the short open list."""
    for route in ROUTES:
        guards = {getattr(guard, "__name__", "") for guard in route.handler.resolve_guards()}
        asked = guards & {"with_key", "signed_in", "signed_in_customer"}

        assert asked or "{token}" in route.path or route.path in OPEN, (route, guards)
        assert "with_key" in guards or not route.path.startswith("/v1/"), route


def test_a_large_body_of_the_console_is_read_of_nobody_without_the_right() -> None:
    """A guard of the handler comes after the one that reads the form; `opt` is asked before."""
    most = APP.request_max_body_size
    assert isinstance(most, int)
    large = [
        route for route in ROUTES if (route.handler.resolve_request_max_body_size() or 0) > most
    ]
    behind = [route for route in large if route.path.startswith("/staff/")]

    assert behind
    assert [str(route) for route in behind if "right" not in route.handler.opt] == []


def test_a_handler_of_the_console_opens_nothing_unasked() -> None:
    """Where it takes no `db` it opens transactions by what asks its guard's question again."""
    own = {
        route.handler.fn.__module__
        for route in ROUTES
        if route.path.startswith("/staff/") and route.method not in SAFE
        if "db" not in route.handler.parsed_fn_signature.parameters
    }
    assert own
    for module in sorted(own):
        tree = ast.parse((PACKAGE.parent / Path(*module.split("."))).with_suffix(".py").read_text())
        assert [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if node.func.attr in {"read", "write"}
        ] == [], module


def test_what_changes_something_of_hers_holds_her_row_first() -> None:
    """The transaction of `db` asks for that; without it only the choice before a page is taken."""
    changing = [
        route for route in ROUTES if route.path.startswith("/me/") and route.method not in SAFE
    ]
    without = [
        str(route) for route in changing if "db" not in route.handler.parsed_fn_signature.parameters
    ]

    assert len(changing) > len(without)
    assert without == ["POST /me/deletion"]
    # These hold it by themselves, with the change that they confirm.
    own = [str(route) for route in changing if route.handler.opt.get("holds_her")]
    assert own == ["POST /me/address/code", "POST /me/address/{token}"]
    for route in changing:
        guards = {getattr(guard, "__name__", "") for guard in route.handler.resolve_guards()}
        assert "signed_in_customer" in guards, route


def test_a_get_cannot_write() -> None:
    """Promise 8: what answers a GET asks for no transaction that writes."""
    wanted = {
        str(route): str(getattr(route.handler.fn, "__annotations__", {}).get("db", ""))
        for route in ROUTES
        if route.method in SAFE
    }

    assert wanted
    assert [route for route, db in wanted.items() if re.search(r"\bDb\b", db)] == []


def _lean_routes() -> list[HTTPRoute]:
    found = [route for route in APP.routes if isinstance(route, HTTPRoute)]
    assert found
    return found


def test_no_task_is_started_for_a_dependency() -> None:
    """Litestar does so where a handler has several at once; each costs as much as a statement."""
    for route in _lean_routes():
        for _, model in route.route_handler_map.values():
            assert [len(batch) for batch in model.dependency_batches if len(batch) != 1] == []


async def test_no_handler_is_copied_for_its_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Litestar's own way of asking them is the one that copies."""
    copied: list[object] = []
    monkeypatch.setattr(litestar.handlers.base, "copy", copied.append)
    seen: list[object] = []

    async def guard(_: object, handler: object) -> None:
        seen.append(handler)

    @get("/", guards=[guard, guard])
    async def get_root() -> None:
        """Answer with nothing."""

    app = lean(Litestar([get_root], openapi_config=None, logging_config=None))
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://a.example") as client:
        assert (await client.get("/")).status_code == 200
    (route,) = (route for route in app.routes if isinstance(route, HTTPRoute))
    assert seen == [route.route_handler_map["GET"][0]] * 2
    assert copied == []


def test_every_wake_is_a_job() -> None:
    """A wake for a job that no worker knows would be lost without a word."""
    text = "\n".join(path.read_text() for path in MODULES)
    wakes = set(re.findall(r"\.wake\(\s*\"([a-z.]+)\"", text))

    assert wakes
    assert wakes <= set(JOBS)


def test_every_waking_domain_sweeps() -> None:
    """Redis may forget every wake: the rows are looked at by schedule as well."""
    assert {name.split(".")[0] for name in JOBS} <= {name.split(".")[0] for name in SCHEDULE}


def test_every_setting_is_documented() -> None:
    """`deploy/env.example` names exactly the settings there are."""
    example = (ROOT / "deploy" / "env.example").read_text()
    named = set(re.findall(r"^#?\s?(CRM_[A-Z0-9_]+)=", example, re.MULTILINE))

    assert named - {"CRM_DATA"} == set(names(Settings))


def test_a_pattern_ends_where_its_text_does() -> None:
    """Python's `$` also stands before a last line feed, which would break a header."""
    open_ended = re.compile(r'''pattern=r?f?"(?:[^"]*(?<!\(\?!\\n\)))\$"''')
    wrong = {
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in MODULES
        for found in open_ended.finditer(path.read_text())
    }

    assert open_ended.search('pattern=r"^[a-z]+$"')
    assert wrong == set()


def test_the_map_names_every_folder() -> None:
    """A newcomer finds each folder in the README, and no folder that is gone."""
    readme = (ROOT / "README.md").read_text()
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    mapped = set(re.findall(r"`crm/([a-z]+)/`", readme))

    assert mapped == folders


def test_a_refusal_has_a_code_of_its_own() -> None:
    """A program decides by the code, and `/problems/…` says one thing about it."""
    codes = Counter(refusal.__new__(refusal).code for refusal in refusals(Refused))

    assert [code for code, number in codes.items() if number > 1] == []


def test_what_the_security_tables_name_exists() -> None:
    tables = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    sources = "\n".join(each.read_text(encoding="utf-8") for each in (ROOT / "tests").rglob("*.py"))
    tests = set(re.findall(r"`(test_\w+)`", tables))
    assert tests
    assert [name for name in tests if f"def {name}(" not in sources] == []
    paths = set(re.findall(r"`((?:crm|tests)/[\w/.]+)`", tables))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_project_speaks_of_itself_alone() -> None:
    """No host of a package registry and no path of one machine."""
    hosts = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org|/root/")
    found = [
        str(path.relative_to(ROOT))
        for folder in ("crm", "sql", "deploy", "docs", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".md", ".txt", ".yaml", ".html"}
        if path != Path(__file__).resolve() and hosts.search(path.read_text(errors="replace"))
    ]

    assert found == []
