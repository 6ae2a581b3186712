"""A customer who has no mouse: she goes by Tab, presses Enter or Space, and types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from playwright.async_api import Download

from tests.chromium.desk import Opened, judged, looked
from tests.chromium.world import Place

# More than the stops of any page of hers.
_FAR = 120


class Hand(Struct):
    """Her keyboard on one page; whatever she comes to is looked at."""

    opened: Opened
    script: bool
    wrong: list[Any] = []
    seen: set[str] = set()

    async def open(self, path: str, *, status: int = 200) -> None:
        """Follow a link of a mail, or type an address."""
        self.opened.begin(Place(path, status=status))
        answer = await self.opened.page.goto(path)
        assert answer is not None
        assert answer.status == status, (path, answer.status)
        await self._look()

    async def to(self, selector: str) -> None:
        """Press Tab until something is reached, as far as the page goes."""
        page = self.opened.page
        for _ in range(_FAR):
            if await page.evaluate("(it) => document.activeElement.matches(it)", selector):
                return
            await page.keyboard.press("Tab")
        message = f"{selector} is not reached by Tab on {page.url}"
        raise AssertionError(message)

    async def type(self, selector: str, text: str) -> None:
        """Go to a field and type over what is in it."""
        await self.to(selector)
        await self.opened.page.keyboard.press("Control+a")
        await self.opened.page.keyboard.type(text)

    async def tick(self, selector: str) -> None:
        """Go to a box and set it, or take it out."""
        await self.to(selector)
        await self.opened.page.keyboard.press("Space")

    async def press(self, selector: str, *, status: int = 200) -> None:
        """Go to a button or link and press it; the page that comes is looked at."""
        await self.to(selector)
        self.opened.begin(Place(self.opened.page.url, status=status))
        async with self.opened.page.expect_navigation() as led:
            await self.opened.page.keyboard.press("Enter")
        answer = await led.value
        assert answer is not None
        assert answer.status == status, (selector, answer.status, answer.url)
        await self._look()

    async def take(self, selector: str) -> Download:
        """Go to a button that gives a file, and press it."""
        await self.to(selector)
        async with self.opened.page.expect_download() as given:
            await self.opened.page.keyboard.press("Enter")
        return await given.value

    async def says(self, selector: str) -> str:
        """Read a part of the page."""
        return await self.opened.page.inner_text(selector)

    async def _look(self) -> None:
        found = await looked(self.opened)
        # Once for each kind of page, since it costs the most.
        title = await self.opened.page.title()
        if self.script and title not in self.seen:
            self.seen.add(title)
            if judgement := await judged(self.opened.page):
                found["axe"] = judgement
        if found:
            self.wrong.append([self.opened.page.url, title, found])


def selector_of(path: str, *more: Sequence[str]) -> str:
    """Name the button of the form that posts to a path."""
    return f'form[action="{path}"] button{"".join(*more)}'
