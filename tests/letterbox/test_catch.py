"""The letterbox catches mail, keeps it on disk and shows it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from msgspec import Struct

from crm.letterbox import Log, Ready, serve
from crm.letterbox.letter import framed, parse
from crm.mail.wire import Parcel, open_lanes, send_one

MAIL = (
    b"Subject: =?utf-8?q?R=C3=BCgbrot?=\r\nFrom: L <l@b.example>\r\nMessage-ID: <1@b.example>\r\n"
    b"List-Unsubscribe: <https://b.example/u/1>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="x"\r\n\r\n--x\r\n'
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello https://b.example/t.\r\n--x\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b'<script>alert(1)</script><a href="https://b.example/h?a=1&amp;b=2">x</a>\r\n--x--\r\n'
)


class Here(Struct, frozen=True):
    port: int
    host: str = "127.0.0.1"
    username: str = ""
    password: str = ""
    tls: str = "none"
    local: bool = True


class Box(Struct):
    smtp: Here
    http: httpx2.AsyncClient
    log: Path


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(tmp_path, ready=ready.set_result))
    ports = await ready
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{ports.http_port}") as http:
        yield Box(Here(ports.smtp_port), http, tmp_path / "letterbox.jsonl")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def send(box: Box, *names: str, content: bytes = MAIL) -> None:
    for name in names:
        parcel = Parcel(name, "n@b.example", f"{name}@example.com", content)
        assert (await send_one(box.smtp, parcel)).kind == "sent"


async def test_every_mail_is_in_the_log_and_on_the_page(box: Box) -> None:
    await send(box, "nora", "åsa")
    entries = list(Log.read(box.log))
    assert [entry.recipient for entry in entries] == ["nora@example.com", "åsa@example.com"]
    assert [entry.sequence for entry in entries] == [1, 2]
    assert {entry.message_id for entry in entries} == {"<1@b.example>"}
    assert entries[0].bytes == len(MAIL)
    page = (await box.http.get("/")).text
    assert page.index("åsa@example.com") < page.index("nora@example.com")
    assert "Rügbrot" in page


async def test_search_and_empty_states(box: Box) -> None:
    assert "No mail yet" in (await box.http.get("/")).text
    await send(box, "nora", "bob")
    found = (await box.http.get("/", params={"to": "NOR"})).text
    assert "nora@example.com" in found
    assert "bob@example.com" not in found
    assert "No mail to such" in (await box.http.get("/", params={"to": "<b>"})).text
    assert "&lt;b&gt;" in (await box.http.get("/", params={"to": "<b>"})).text


async def test_the_mail_is_shown_in_a_cage(box: Box) -> None:
    await send(box, "nora")
    page = await box.http.get("/messages/1")
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "alert(1)" not in page.text
    frame = await box.http.get("/messages/1/html")
    policy = frame.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "sandbox allow-popups" in policy
    assert 'target="_blank" rel="noopener noreferrer" href="https://b.example/h' in frame.text
    for view in ("text", "links", "source"):
        assert (
            "https://b.example/" in (await box.http.get("/messages/1", params={"view": view})).text
        )
    missing = await box.http.get("/messages/9")
    assert (missing.status_code, "No such mail" in missing.text) == (404, True)


async def test_json_has_everything_a_script_needs(box: Box) -> None:
    await send(box, "nora", "bob", "nora")
    first = (await box.http.get("/api/messages", params={"limit": 2})).json()
    assert [found["sequence"] for found in first["messages"]] == [1, 2]
    rest = await box.http.get("/api/messages", params={"since": first["next"]})
    assert [found["sequence"] for found in rest.json()["messages"]] == [3]
    mine = await box.http.get("/api/messages", params={"to": "Nora@example.com", "since": 1})
    assert [found["sequence"] for found in mine.json()["messages"]] == [3]
    whole = (await box.http.get("/api/messages/1")).json()["letter"]
    assert whole["subject"] == "Rügbrot"
    assert whole["links"] == [
        "https://b.example/h?a=1&b=2",
        "https://b.example/t",
        "https://b.example/u/1",
    ]
    assert (await box.http.delete("/api/messages")).status_code == 204
    assert list(Log.read(box.log)) == []
    await send(box, "nora")
    assert [entry.sequence for entry in Log.read(box.log)] == [4]


async def test_only_this_machine_may_look(box: Box) -> None:
    foreign = await box.http.get("/", headers={"Host": "evil.example"})
    assert foreign.status_code == 403
    crossed = await box.http.post("/emptying", headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403


async def test_wrong_values_are_refused(box: Box) -> None:
    assert (await box.http.put("/api/pace", json={"pace": 0})).status_code == 400
    assert (await box.http.get("/api/messages", params={"limit": 0})).status_code == 400
    assert (await box.http.get("/messages/1", params={"view": "x"})).status_code == 404


class Feed(Struct):
    left: int
    sent: int = 0

    def take(self) -> Parcel | None:
        self.left -= 1
        if self.left < 0:
            return None
        return Parcel(self.left, "n@b.example", f"p{self.left}@example.com", MAIL)

    def outcome(self, _parcel: Parcel, _result: object) -> None:
        self.sent += 1


async def test_the_pace_holds_over_all_connections(box: Box) -> None:
    await box.http.put("/api/pace", json={"pace": 100})
    lanes = await open_lanes(box.smtp, 5)
    feed = Feed(60)
    began = time.monotonic()
    lanes.deliver(feed, feed.outcome, lambda _: None)
    await lanes.settled()
    took = time.monotonic() - began
    await lanes.close()
    assert feed.sent == 60
    assert took >= 60 / 100 - 0.15  # never faster; how much slower is the machine's affair


async def test_dots_and_multiple_recipients(box: Box) -> None:
    content = b"Subject: x\r\n\r\n..\r\n...two\r\n"
    await send(box, "nora", content=content)
    source = (await box.http.get("/api/messages/1")).json()["letter"]["text"]
    assert source == ".\r\n..two\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", box.smtp.port)
    writer.write(
        b"EHLO me\r\nMAIL FROM:<> SIZE=10\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"
        b"DATA\r\nSubject: y\r\n\r\nhi\r\n.\r\n"
        b"MAIL FROM:<x> SIZE=99999999999\r\nNONSENSE\r\nQUIT\r\n"
    )
    answers = (await reader.read()).decode().splitlines()
    writer.close()
    await writer.wait_closed()
    codes = [line[:3] for line in answers if line[3:4] == " "]
    assert codes == ["220", "250", "250", "250", "250", "354", "250", "552", "500", "221"]
    assert [entry.recipient for entry in Log.read(box.log)][1:] == [
        "a@example.com",
        "b@example.com",
    ]


def test_a_log_cut_short_is_taken_up_again(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        log.append(b"one", "<1>", ["a@example.com"])
        log.append(b"second", "<2>", ["b@example.com"])
    with (tmp_path / "letterbox.jsonl").open("ab") as lines:
        lines.write(b'{"instant":"20')
    with (tmp_path / "letterbox.mail").open("ab") as bodies:
        bodies.write(b"half a messa")
    assert [entry.sequence for entry in Log.read(tmp_path / "letterbox.jsonl")] == [1, 2]
    with Log(tmp_path) as log:
        assert (log.last, log.message(2)) == (2, b"second")
        log.append(b"third", "<3>", ["A@example.com"])
        assert [entry.sequence for entry in log.after(0, 9, "a@EXAMPLE.com")] == [1, 3]
        assert log.message(3) == b"third"
        assert (log.message(4), log.entry(0)) == (b"", None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no headers at all",
        b"Subject: =?x-unknown?q?a?=\r\n\r\n\xff",
        b"Content-Type: text/html; charset=nonsense\r\n\r\n<a href=x>\xe9",
        b"Content-Type: multipart/mixed\r\n\r\n--",
        b"Content-Type: text/plain; charset=\xff\r\n\r\nx",
        b"Subject: \xff\xfe\r\nTo: ,,,@\r\nDate: never\r\n\r\n",
    ],
)
def test_no_message_is_too_broken_to_show(raw: bytes) -> None:
    parse(raw)


def test_links_open_in_a_page_of_their_own() -> None:
    assert framed("<a>x<abbr>") == '<a target="_blank" rel="noopener noreferrer">x<abbr>'
