"""Every field says what is wrong with it, and no field reaches the database unreadable."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from time import process_time
from typing import Any

import httpx2
import pytest
from litestar import Litestar, Request, post

from crm.errors import Invalid, Problem
from crm.web.forms import Form, read_form
from crm.web.refusals import PROBLEMS
from tests.web.sample import client


def value(read: Callable[[Form], Any], *typed: str) -> tuple[Any, str]:
    form = Form({"x": typed})
    return read(form), form.problem("x")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("  Nora ", "Nora"),
        ("Cafe\u0301", "Café"),
        ("ن\u200cم", "ن\u200cم"),
        ("👩\u200d🍳", "👩\u200d🍳"),
    ],
)
def test_text_is_kept_as_meant(typed: str, read: str) -> None:
    assert value(lambda form: form.text("x"), typed) == (read, "")


@pytest.mark.parametrize("typed", ["a\0b", "a\x1bb", "\ud800", "a\nb", "x" * 201, "", "  "])
def test_text_that_cannot_be_kept_is_told(typed: str) -> None:
    read, problem = value(lambda form: form.text("x"), typed)
    assert (read, bool(problem)) == ("", True)


def test_a_letter_that_is_typed_in_pieces_counts_once() -> None:
    assert value(lambda form: form.text("x", max=2), "\u03b1\u0313\u0300\u0345" * 2)[0] == "ᾂᾂ"
    assert value(lambda form: form.text("x", max=2, lines=True), "a\r\n" * 3)[1]
    assert "has 9 characters" in value(lambda form: form.text("x", max=2), "e\u0301\u0301" * 3)[1]


@pytest.mark.parametrize(("most", "said"), [(200, "room for 200"), (1_000_000, "more marks")])
def test_a_pile_of_marks_is_told_in_linear_time(most: int, said: str) -> None:
    def took(size: int) -> float:
        began = process_time()
        read, problem = value(
            lambda form: form.text("x", max=most), "a" + "\u0301\u0316" * (size // 2)
        )
        assert read == ""
        assert said in problem
        return process_time() - began

    assert took(300_000) < 40 * max(took(30_000), 0.005)


def test_lines_may_be_kept() -> None:
    typed = "one\r\ntwo\tthree"
    assert value(lambda form: form.text("x", lines=True), typed) == ("one\ntwo\tthree", "")


@pytest.mark.parametrize("typed", ["nora@example.com", "Nora@Bäckerei.example", "n+1@a.test"])
def test_an_address_stays_as_typed(typed: str) -> None:
    assert value(lambda form: form.address("x"), typed) == (typed, "")


@pytest.mark.parametrize(
    "typed", ["nora", "nora@", "@example.com", "a b@example.com", "a@b@c.de", "nora@exa mple.com"]
)
def test_what_is_no_address_is_told(typed: str) -> None:
    read, problem = value(lambda form: form.address("x"), typed)
    assert read == ""
    assert "name@example.com" in problem


@pytest.mark.parametrize(
    ("typed", "ticked"), [("on", True), ("yes", True), ("1", True), ("", False), ("false", False)]
)
def test_a_box_is_ticked_or_not(typed: str, ticked: bool) -> None:  # noqa: FBT001
    assert value(lambda form: form.boolean("x"), typed) == (ticked, "")
    assert not Form().boolean("x")


def test_only_what_was_offered_is_taken() -> None:
    assert value(lambda form: form.choice("x", ["a", "b"]), "b") == ("b", "")
    assert value(lambda form: form.choice("x", ["a", "b"]), "c")[1]
    assert value(lambda form: form.choice("x", ["a"], required=False)) == (None, "")
    assert value(lambda form: form.choices("x", ["a", "b"]), "b", "a", "a") == (["a", "b"], "")
    assert value(lambda form: form.choices("x", ["a", "b"]), "b", "c")[1]
    assert value(lambda form: form.choices("x", ["a"], required=True))[1]


@pytest.mark.parametrize(
    ("typed", "number"),
    [("7", 7), (" 7 ", 7), ("٧", 7), ("7.5", None), ("1_0", None), ("-1", None), ("9" * 39, None)],
)
def test_a_number_is_within_bounds(typed: str, number: int | None) -> None:
    read, problem = value(lambda form: form.integer("x"), typed)
    assert (read, bool(problem)) == (number, number is None)


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("2026-06-04T07:00", datetime(2026, 6, 4, 5, tzinfo=UTC)),
        ("2026-01-04T07:00", datetime(2026, 1, 4, 6, tzinfo=UTC)),
        # The hour that comes twice is its first.
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        # The hour that does not come at all.
        ("2026-03-29T02:30", None),
        ("2026-06-04T07:00Z", datetime(2026, 6, 4, 7, tzinfo=UTC)),
        ("9999-12-31T23:59", None),
        ("0001-01-01T00:00", None),
        ("tomorrow", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_a_wall_clock_becomes_an_instant(typed: str, at: datetime | None) -> None:
    read, problem = value(lambda form: form.instant("x", "Europe/Berlin"), typed)
    assert (read, bool(problem)) == (at, at is None)


def test_what_is_given_back_is_said_only_where_it_is() -> None:
    """Not of a page with one field, and not where a password or a file is to be chosen anew."""
    form = Form({"address": ["nora"], "name": ["Nora"], "empty": [""]})
    form.problem("address", "E-mail address")
    assert not form.keeps_all_but("address")
    form.problem("empty", "Nothing")
    assert not form.keeps_all_but("address")
    form.problem("name", "Name")
    assert form.keeps_all_but("address")
    form.problem("password", "Password", gives_back=False)
    assert not form.keeps_all_but("password")
    assert not form.keeps_all_but("address")


def test_all_problems_are_kept_and_the_first_of_a_field_is_shown() -> None:
    def refuse(_: str) -> str:
        raise Invalid("Not this one.")

    form = Form({"a": ["1"]})
    assert form.parsed("a", refuse) is None
    form.wrong("a", "Later.")
    form.text("b")
    form.take(Invalid("All of it is wrong."))
    assert [wrong.field for wrong in form.problems] == ["a", "b", ""]
    assert form.problem("a") == "Not this one."
    with pytest.raises(Invalid) as refused:
        form.refuse()
    assert refused.value.problems[0] == Problem("a", "Not this one.")


@post("/echo", request_max_body_size=100_000, status_code=200)
async def post_echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Give back what was read."""
    form = await read_form(request)
    again = await read_form(request)
    assert again.values == form.values
    file = form.file("list", required=False)
    return {"values": form.values, "file": (await file.read()).decode() if file else None}


def echo() -> httpx2.AsyncClient:
    """Ask an application that gives back what it read."""
    return client(
        Litestar([post_echo], exception_handlers=PROBLEMS, logging_config=None, openapi_config=None)
    )


async def test_both_encodings_are_read() -> None:
    async with echo() as web:
        short = await web.post("/echo", data={"a": ["1", "2"], "ü": "ü", "b": ""})
        long = await web.post(
            "/echo", data={"a": ["1", "2"], "b": ""}, files={"list": ("l.csv", b"x,y")}
        )
    assert short.json()["values"] == {"a": ["1", "2"], "ü": ["ü"], "b": [""]}
    assert long.json() == {"values": {"a": ["1", "2"], "b": [""]}, "file": "x,y"}


def _in_charset(name: str, text: bytes) -> bytes:
    kind = f"\r\nContent-Type: text/plain; charset={name}".encode()
    head = b'--B\r\nContent-Disposition: form-data; name="a"' + kind
    return head + b"\r\n\r\n" + text + b"\r\n--B--\r\n"


_PART = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=\xff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(1001)), "application/x-www-form-urlencoded", 400),
        (b"a=" + b"1" * 100_001, "application/x-www-form-urlencoded", 413),
        (_PART + b"\xff\r\n--B--\r\n", "multipart/form-data; boundary=B", 400),
        (_PART + b"1", "multipart/form-data; boundary=B", 400),
        (_PART + b"1", "multipart/form-data", 400),
        (_in_charset("utf-7", b"+2AA-"), "multipart/form-data; boundary=B", 400),
        (_in_charset("unicode_escape", b"\\ud800"), "multipart/form-data; boundary=B", 400),
        (_in_charset("undefined", b"a"), "multipart/form-data; boundary=B", 400),
        (_in_charset("iso-8859-1", b"\xe9"), "multipart/form-data; boundary=B", 200),
        (b"", "multipart/form-data; boundary=B", 200),
        (b"a=1", "text/plain", 200),
    ],
)
async def test_a_broken_form_is_told(body: bytes, kind: str, status: int) -> None:
    async with echo() as web:
        answer = await web.post("/echo", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text


@post("/files", request_max_body_size=100_000_000, status_code=200)
async def post_files(request: Request[Any, Any, Any]) -> int:
    """Say how large the file was."""
    form = await read_form(request)
    file = form.file("list", required=False)
    return len(await file.read()) if file else 0


@post("/pages", request_max_body_size=100_000_000, opt={"typed": 5_000_000}, status_code=200)
async def post_pages(request: Request[Any, Any, Any]) -> int:
    """Say how much was typed."""
    return len((await read_form(request)).typed("a"))


def with_files() -> Litestar:
    """Make an application that takes files, and with them a million bytes of what is typed."""
    return Litestar(
        [post_files, post_pages],
        exception_handlers=PROBLEMS,
        request_max_body_size=1_000_000,
        logging_config=None,
        openapi_config=None,
    )


_FILE = b'--B\r\nContent-Disposition: form-data; name="list"; filename="l.csv"\r\n\r\n'
_PLAIN = "application/x-www-form-urlencoded"
_MIXED = "multipart/form-data; boundary=B"


@pytest.mark.parametrize(
    ("path", "head", "kind", "size", "status"),
    [
        ("/files", b"a=", _PLAIN, 50_000_000, 413),
        ("/files", _PART, _MIXED, 50_000_000, 413),
        ("/files", b"", "text/plain", 50_000_000, 413),
        ("/files", _FILE, _MIXED, 50_000_000, 200),
        ("/pages", b"a=", _PLAIN, 4_000_000, 200),
        ("/pages", _PART, _MIXED, 4_000_000, 200),
        ("/pages", b"a=", _PLAIN, 6_000_000, 413),
    ],
)
async def test_what_is_typed_is_bounded_and_a_file_is_not_held(
    path: str, head: bytes, kind: str, size: int, status: int
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield head
        for _ in range(size // 50_000):
            yield b"1" * 50_000
        yield b"\r\n--B--\r\n" if kind == _MIXED else b""

    async with client(with_files()) as web:
        tracemalloc.start()
        answer = await web.post(path, content=pieces(), headers={"content-type": kind})
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status_code == status
    assert status == 413 or answer.json() == size
    if status == 413:
        assert most < 30_000_000


@pytest.mark.parametrize("head", [_PART, _FILE.replace(b"list", b"a")], ids=["typed", "file"])
@pytest.mark.parametrize("letter", ["a", "ü"])
async def test_the_names_of_what_is_typed_count_with_it(head: bytes, letter: str) -> None:
    name = (letter * (4_000 // len(letter.encode()))).encode()
    part = _PART.replace(b'"a"', b'"' + name + b'"') + b"\r\n"
    async with client(with_files()) as web:
        few, many = [
            await web.post(
                "/files",
                content=part * names + head + b"\r\n--B--\r\n",
                headers={"content-type": _MIXED},
            )
            for names in (249, 250)
        ]
    assert (few.status_code, many.status_code) == (200, 413)


async def test_a_form_has_a_few_files() -> None:
    async with echo() as web:
        few = await web.post("/echo", files=[("list", ("l.csv", b"x"))] * 3)
        many = await web.post("/echo", files=[("list", ("l.csv", b"x"))] * 4)
    assert (few.status_code, many.status_code) == (200, 400)
