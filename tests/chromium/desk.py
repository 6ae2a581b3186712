"""Somebody at a desk with Chromium: opens pages in every combination, and looks at each closely."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, CDPSession, ConsoleMessage, Page, Request

from crm.web import gzipped
from tests.chromium.world import Place, World

Who = Literal["nobody", "customer", "staff"]
_LOOK = (Path(__file__).parent / "look.js").read_text()
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Below this, letters of twice the size are no promise: WCAG 1.4.4 asks for the one or the other.
_WIDE = 640
# The focus is in a frame, or between two rounds.
_ELSEWHERE = -1
# Before what is wrong with a stop counts.
_GLANCES = 20
# All rules of WCAG 2.2 A and AA and the best practice; the mails in frames have their own tests.
# A selector for each element is what nobody reads: the element itself is told.
_RUN = """axe.run(document, {
  resultTypes: ["violations"], selectors: false, preload: false, iframes: false,
  rules: {"target-size": {enabled: true}},
}).then((found) => found.violations.map(
  (each) => [each.id, each.nodes.map((node) => node.html.slice(0, 160))]))"""
_JUDGE = f"{_AXE};{_RUN}"


class Seat(Struct, frozen=True, kw_only=True):
    """How somebody reads: with scripts, how wide, light or dark, in which language."""

    script: bool = True
    width: int = 1280
    scheme: Literal["light", "dark"] = "light"
    language: str = "en"

    @property
    def direction(self) -> str:
        """Which way she reads."""
        return "rtl" if self.language == "ar" else "ltr"


class Opened(Struct):
    """A page and what came of opening it."""

    page: Page
    settings: CDPSession
    place: Place
    origin: str
    said: list[str] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    def begin(self, place: Place) -> None:
        """Forget the page before."""
        self.place = place
        self.said.clear()
        self.asked.clear()

    def hear(self, message: ConsoleMessage) -> None:
        """Keep what the browser complains of; that a page we want is an error is none."""
        expected = f"status of {self.place.status} " in message.text
        if message.type in {"error", "warning"} and not (self.place.status >= 400 and expected):
            self.said.append(message.text)

    def miss(self, request: Request) -> None:
        """Keep what could not be fetched, but not what was still on its way when she went on."""
        if request.failure != "net::ERR_ABORTED":
            self.said.append(f"{request.failure}: {request.url}")

    def foreign(self) -> list[str]:
        """List what was asked of anybody else."""
        return [each.url for each in self.asked if not each.url.startswith((self.origin, "data:"))]

    async def wide_with_large_letters(self) -> list[str]:
        """Double the letters in the settings of the browser, as a customer would; and back."""
        size = self.page.viewport_size
        if size is None or size["width"] < _WIDE:
            return []
        await self.settings.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
        found: list[str] = await self.page.evaluate("firsthand.wide()")
        await self.settings.send("Page.setFontSizes", {"fontSizes": {"standard": 16, "fixed": 13}})
        return found

    async def weight(self) -> int:
        """Add up the bytes of everything that was fetched for this page, as it is served.

        What comes packed is packed again: a browser hands over what it has unpacked.
        """
        total = 0
        for each in self.asked:
            answer = await each.response()
            if answer is not None and (answer.ok or answer.status == self.place.status):
                body = await answer.body()
                small = answer.headers.get("content-encoding") == "gzip"
                total += len(gzipped.packed(body) if small else body)
        return total


class Desk:
    """One browser, with a context for each language, with and without scripts, signed in or not."""

    def __init__(self, chromium: Chromium, world: World) -> None:
        """Sit down."""
        self.chromium = chromium
        self.world = world
        self._pages: dict[tuple[Any, ...], Opened] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, chromium: Chromium, world: World) -> AsyncIterator[Desk]:
        """Close what was opened at the end."""
        desk = cls(chromium, world)
        yield desk
        for each in desk._pages.values():
            await each.page.context.close()

    async def context(
        self, seat: Seat, who: Who | None = None, *, origin: str = ""
    ) -> BrowserContext:
        """Begin anew as a browser of that language, at our business or another."""
        context = await self.chromium.new_context(
            java_script_enabled=seat.script,
            locale=seat.language,
            base_url=origin or self.world.origin,
            viewport={"width": seat.width, "height": 800},
            color_scheme=seat.scheme,
            reduced_motion="reduce",
        )
        host = urlsplit(self.world.origin).hostname or ""
        for name, value in self.world.cookies[who].items() if who else ():
            await context.add_cookies(
                [{"name": name, "value": value, "domain": host, "path": "/", "httpOnly": True}]
            )
        return context

    async def watched(self, context: BrowserContext, *, origin: str = "") -> Opened:
        """Open an empty page of which everything is heard."""
        page = await context.new_page()
        settings = await context.new_cdp_session(page)
        opened = Opened(page, settings, Place("/"), origin or self.world.origin)
        # Playwright would keep its own things on the object of a bound method, which has no room.
        page.on("console", lambda each: opened.hear(each))  # noqa: PLW0108
        page.on("request", lambda each: opened.asked.append(each))  # noqa: PLW0108
        page.on("requestfailed", lambda each: opened.miss(each))  # noqa: PLW0108
        page.on("pageerror", lambda each: opened.said.append(str(each)))
        return opened

    async def open(self, place: Place, seat: Seat) -> Opened:
        """Open a place; the contexts are kept, since opening changes nothing (promise 8)."""
        key = (place.who, seat.script, seat.language)
        if key not in self._pages:
            self._pages[key] = await self.watched(await self.context(seat, place.who))
        opened = self._pages[key]
        opened.begin(place)
        await opened.page.set_viewport_size({"width": seat.width, "height": 800})
        await opened.page.emulate_media(color_scheme=seat.scheme)
        answer = await opened.page.goto(place.path)
        assert answer is not None
        assert answer.status == place.status, (place.path, answer.status)
        return opened


async def looked(opened: Opened) -> dict[str, Any]:
    """Return everything that is wrong with how a page lies on the screen."""
    wide, small = await opened.page.evaluate(f"{_LOOK}; [firsthand.wide(), firsthand.small()]")
    wrong = {
        "beyond the sides": wide,
        "beyond the sides with large letters": await opened.wide_with_large_letters(),
        "too small to hit": small,
        "console": list(opened.said),
        "asked of others": opened.foreign(),
    }
    return {name: found for name, found in wrong.items() if found}


async def toured(page: Page) -> list[str]:
    """Go through a page by Tab alone; return each stop that is missed, unseen, hidden or astray.

    The key is held, as somebody in a hurry does: that leads from stop to stop as pressing does.
    """
    names: list[str]
    wrong: list[str]
    names, wrong = await page.evaluate(f"{_LOOK}; [firsthand.begin(), firsthand.jumps()]")
    reached = last = _ELSEWHERE
    # Fields of a date and frames hold the focus for several presses.
    for _ in range(3 * len(names) + 60):
        if reached == len(names) - 1:
            break
        await page.keyboard.down("Tab")
        now = await _focus(page)
        if last == _ELSEWHERE and now["index"] == reached + 2:
            # A frame is a process of its own: the focus may leave it while the next key goes down.
            await page.keyboard.press("Shift+Tab")
            now = await _focus(page)
        last = now["index"]
        if last in {reached, _ELSEWHERE}:
            continue
        if last != reached + 1:
            break
        reached = last
        if now["wrong"]:
            wrong.append(f"{names[reached]}: {now['wrong']}")
    await page.keyboard.up("Tab")
    if reached < len(names) - 1:
        before = names[reached] if reached >= 0 else "the top"
        wrong.append(f"{names[reached + 1]} was not reached after {before}")
    return wrong


async def _focus(page: Page) -> dict[str, Any]:
    """Say where the focus is; what comes out of a frame is scrolled to later."""
    now: dict[str, Any] = await page.evaluate("firsthand.focus()")
    for _ in range(_GLANCES - 1):
        if not now["wrong"]:
            break
        now = await page.evaluate("firsthand.focus()")
    return now


async def judged(opened: Opened) -> list[Any]:
    """Return what axe finds.

    It goes to the browser as a script, which is compiled once; to Playwright it would be a text
    that each page compiles anew.
    """
    asked = {"expression": _JUDGE, "awaitPromise": True, "returnByValue": True}
    answer = await opened.settings.send("Runtime.evaluate", asked)
    assert "exceptionDetails" not in answer, answer
    found: list[Any] = answer["result"]["value"]
    return found
