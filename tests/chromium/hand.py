"""A customer who has no mouse: she goes by Tab, presses Enter, Space or an arrow, and types."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct, field
from playwright.async_api import Download

from tests.chromium.desk import Opened, judged, looked
from tests.chromium.world import Place
from tests.routes import ROUTES

# More than the stops of any page of hers, and than the choices of any field.
_FAR = 120
# How many stops of Tab something is away from where the focus is: 0 where it has it.
_AWAY = """(selector) => {
  const wanted = document.querySelector(selector);
  if (!wanted || document.activeElement.matches(selector)) return 0;
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((el) => el.tabIndex >= 0 && el.type !== "hidden" && el.checkVisibility());
  // Of a group of radios Tab stops at one.
  const stops = all.filter((el) => el.type !== "radio"
    || el === all.find((other) => other.name === el.name));
  return Math.max(0, stops.indexOf(wanted) - stops.indexOf(document.activeElement) - 1);
}"""
# Each button of each form that posts: where to, and what it says.
_HELD = """[...document.querySelectorAll("button")].filter((el) => el.form?.method === "post")
  .map((el) => [el.form.getAttribute("action"), el.name, el.value])"""
_PRESSED = """() => { const el = document.activeElement; return el.form?.method === "post"
  ? [el.form.getAttribute("action"), el.name, el.value] : null; }"""
_KIND = """[document.title,
  ...[...document.querySelectorAll("h2, button")].map((el) => el.innerText)].join()"""
# Where a page posts to, the plainest first: `/me/address/code` is no `/me/address/{token}`.
_FORMS = [
    (route.path, re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path)))
    for route in sorted(ROUTES, key=lambda each: each.path.count("{"))
    if route.method == "POST"
]
# What these buttons say is one of as many as there are languages or purposes.
_MANY = {"language"}


class Press(Struct, frozen=True, order=True):
    """A button of a form: the route that its form posts to, and what it adds."""

    route: str
    name: str = ""
    value: str = ""


class Hand(Struct):
    """Her keyboard on one page; whatever she comes to is looked at.

    `held` are the buttons of all the forms that she came by, `pressed` those that did their work.
    """

    opened: Opened
    script: bool
    wrong: list[Any] = []
    seen: set[str] = set()
    held: set[Press] = field(default_factory=set)
    pressed: set[Press] = field(default_factory=set)
    slugs: set[str] = field(default_factory=set)

    async def open(self, path: str, *, status: int = 200) -> None:
        """Follow a link of a mail, or type an address."""
        self.opened.begin(Place(path, status=status))
        answer = await self.opened.page.goto(path)
        assert answer is not None
        assert answer.status == status, (path, answer.status)
        await self._look(judge=False)

    async def to(self, selector: str) -> None:
        """Press Tab until something is reached, as far as the page goes."""
        page = self.opened.page
        # To what is far away the key is held, and it is not asked after at each stop.
        for _ in range(await page.evaluate(_AWAY, selector)):
            await page.keyboard.down("Tab")
        await page.keyboard.up("Tab")
        for _ in range(_FAR):
            if await self._at(selector):
                return
            await page.keyboard.press("Tab")
        message = f"{selector} is not reached by Tab on {page.url}"
        raise AssertionError(message)

    async def type(self, selector: str, text: str) -> None:
        """Go to a field and type over what is in it."""
        await self.to(selector)
        await self.opened.page.keyboard.press("Control+a")
        await self.opened.page.keyboard.type(text)

    async def paste(self, selector: str, text: str) -> None:
        """Go to a field and put in what is too long to type."""
        await self.to(selector)
        await self.opened.page.keyboard.insert_text(text)

    async def tick(self, selector: str) -> None:
        """Go to a box and set it, or take it out."""
        await self.to(selector)
        await self.opened.page.keyboard.press("Space")

    async def pick(self, name: str, value: str) -> None:
        """Go to a group of radios, and down to one of them."""
        await self.to(f'input[name="{name}"]')
        await self.opened.page.keyboard.press("Space")
        await self._down(f'input[name="{name}"][value="{value}"]:checked')

    async def choose(self, selector: str, value: str) -> None:
        """Go to a list, to its beginning, and down to one of its choices."""
        await self.to(selector)
        await self.opened.page.keyboard.press("Home")
        await self._down(f'{selector}:has(option[value="{value}"]:checked)')

    async def press(self, selector: str, *, status: int | None = 200) -> int:
        """Go to a button or link and press it; the page that comes is looked at.

        Returns the status, of which `None` takes any.
        """
        await self.to(selector)
        page = self.opened.page
        button = await page.evaluate(_PRESSED)
        self.opened.begin(Place(page.url, status=status or 422))
        async with page.expect_navigation() as led:
            await page.keyboard.press("Enter")
        answer = await led.value
        assert answer is not None
        assert status in {None, answer.status}, (selector, answer.status, answer.url)
        if button and answer.ok:
            self.pressed.add(self._known(*button))
        await self._look(judge=button is not None)
        return answer.status

    async def take(self, selector: str) -> Download:
        """Go to a button that gives a file, and press it."""
        await self.to(selector)
        async with self.opened.page.expect_download() as given:
            await self.opened.page.keyboard.press("Enter")
        return await given.value

    async def says(self, selector: str) -> str:
        """Read a part of the page."""
        return await self.opened.page.inner_text(selector)

    def missed(self) -> set[Press]:
        """Return the buttons that she came by and never pressed to an end."""
        return self.held - self.pressed

    async def _at(self, selector: str) -> bool:
        there: bool = await self.opened.page.evaluate(
            "(it) => document.activeElement.matches(it)", selector
        )
        return there

    async def _down(self, selector: str) -> None:
        for _ in range(_FAR):
            if await self._at(selector):
                return
            await self.opened.page.keyboard.press("ArrowDown")
        message = f"{selector} is not reached by arrows on {self.opened.page.url}"
        raise AssertionError(message)

    def _known(self, action: str, name: str, value: str) -> Press:
        """Name a button by its route: `action` is "" for the page itself."""
        path = (action or self.opened.page.url.removeprefix(self.opened.origin)).partition("?")[0]
        route = next(known for known, pattern in _FORMS if pattern.fullmatch(path))
        return Press(route, name, "" if name in _MANY or value in self.slugs else value)

    async def _look(self, *, judge: bool) -> None:
        """Look at each kind of page once, and with axe at what answers a form.

        That costs most; what an address or a link opens, test_pages.py has judged already.
        """
        page = self.opened.page
        held, kind = await page.evaluate(f"[{_HELD}, {_KIND}]")
        self.held |= {self._known(*each) for each in held}
        found: dict[str, Any] = {}
        if kind not in self.seen:
            self.seen.add(kind)
            found = await looked(self.opened)
        title = kind.partition(",")[0]
        if judge and self.script and title not in self.seen:
            self.seen.add(title)
            if judgement := await judged(self.opened):
                found["axe"] = judgement
        if found:
            self.wrong.append([page.url, title, found])


def hers() -> set[str]:
    """Name the routes that a customer's forms post to: all but those of staff and of programs."""
    others = ("/staff", "/v1/", "/hooks/")
    return {path for path, _ in _FORMS if not path.startswith(others)}
