"""Every page in Chromium: found in every combination, and reached with the keyboard alone.

`make check` opens each page of a customer's twice: narrow and wide, with a script and without, by
turns in one of few combinations, of which any two choices meet: width, scheme, script, direction;
of the languages that read from left to right each page has another one by turns. `make browser`
opens each in all.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest

from crm.languages import LANGUAGES
from tests.chromium.desk import Desk, Opened, Seat, judged, looked, toured
from tests.chromium.pairs import pairwise
from tests.chromium.world import NO_PAGES, Place
from tests.routes import ROUTES

# Bytes of a page with its sheets and pictures, as they go over the wire.
HEAVIEST = 30_000
PAGES = sorted(
    {route.path for route in ROUTES if route.method == "GET" and not route.path.startswith("/v1/")}
    - NO_PAGES.keys()
)
# Staff and programmers read these.
THEIRS = ("/staff", "/docs")
HERS = [path for path in PAGES if not path.startswith(THEIRS)]
ROOMS = [path for path in PAGES if path.startswith(THEIRS)]
AXES: dict[str, list[Any]] = {
    "language": list(LANGUAGES),
    "width": [320, 768, 1280],
    "scheme": ["light", "dark"],
    "script": [True, False],
}
NARROW = min(AXES["width"])
ALL = os.environ.get("CRM_TEST_BROWSER") == "all"


LEFT_TO_RIGHT = [code for code in LANGUAGES if code != "ar"]


def _seats(path: str) -> list[Seat]:
    if ALL:
        return [
            Seat(**dict(zip(AXES, row, strict=True))) for row in itertools.product(*AXES.values())
        ]
    turn = HERS.index(path)
    languages = {"rtl": "ar", "ltr": LEFT_TO_RIGHT[turn // len(PAIRS) % len(LEFT_TO_RIGHT)]}
    return [
        Seat(language=languages[row["direction"]], **{name: row[name] for name in OTHERS})
        for row in _narrow_and_wide(turn)
    ]


def _narrow_and_wide(turn: int) -> list[dict[str, Any]]:
    """Choose two combinations by turns, of which one is narrow and one has a script."""
    first = PAIRS[turn % len(PAIRS)]
    fitting = [
        row
        for row in PAIRS
        if (row["width"] == NARROW) != (first["width"] == NARROW)
        and row["script"] != first["script"]
    ]
    return [first, fitting[turn // len(PAIRS) % len(fitting)]]


OTHERS = [name for name in AXES if name != "language"]
PAIRS = pairwise({"direction": ["ltr", "rtl"], **{name: AXES[name] for name in OTHERS}})


def test_any_two_choices_meet() -> None:
    """The rows are few, and no pair is missing."""
    axes = {"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2], "d": [1, 2]}
    rows = pairwise(axes)
    for one, other in itertools.combinations(axes, 2):
        met = {(row[one], row[other]) for row in rows}
        assert met == set(itertools.product(axes[one], axes[other]))
    assert len(rows) < 3 * 3 * 2


def test_each_page_is_opened_narrow_and_wide() -> None:
    """Once with a script and once without; and every combination comes to its turn."""
    opened = [seat for path in HERS for seat in _seats(path)]
    for path in HERS:
        assert {seat.width == NARROW for seat in _seats(path)} == {True, False}
        assert {seat.script for seat in _seats(path)} == {True, False}
    assert {(each.direction, each.width, each.scheme, each.script) for each in opened} >= {
        (row["direction"], row["width"], row["scheme"], row["script"]) for row in PAIRS
    }
    assert {seat.language for seat in opened} == set(LANGUAGES)


async def _wrong(
    desk: Desk, place: Place, seat: Seat, *, judge: bool, tour: bool
) -> dict[str, Any]:
    """Open a place and collect what is wrong there."""
    opened = await desk.open(place, seat)
    found = await looked(opened)
    # Without scripts axe does not run either.
    if judge and seat.script and (judgement := await judged(opened)):
        found["axe"] = judgement
    if tour and (missed := await toured(opened.page)):
        found["keyboard"] = missed
    if place.path.startswith(THEIRS):
        found |= await _wide_when_narrow(opened)
    else:
        found |= await _heavy_or_scripted(opened)
        found |= await _in_another_language(opened, seat)
    return {f"{place.path} {seat}": found} if found else {}


async def _wide_when_narrow(opened: Opened) -> dict[str, Any]:
    await opened.page.set_viewport_size({"width": NARROW, "height": 800})
    found = await opened.page.evaluate("firsthand.wide()")
    return {"beyond the sides when narrow": found} if found else {}


async def _heavy_or_scripted(opened: Opened) -> dict[str, Any]:
    said = await opened.page.evaluate("firsthand.said()")
    weight = await opened.weight()
    found = {"scripts": said["scripts"], "weight": weight if weight >= HEAVIEST else 0}
    return {name: value for name, value in found.items() if value}


async def _in_another_language(opened: Opened, seat: Seat) -> dict[str, Any]:
    """An issue is in the language it was written in; what programmers read is in English."""
    said = await opened.page.evaluate("firsthand.said()")
    if opened.place.path.startswith(("/archive/", "/problems/")):
        return {}
    wanted, found = (seat.language, seat.direction), (said["lang"], said["dir"])
    return {} if found == wanted else {"language": found}


def _told(wrong: dict[str, Any]) -> str:
    return json.dumps(wrong, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("path", HERS)
async def test_a_page_of_hers(desk: Desk, path: str) -> None:
    """Nothing beyond the sides, nothing foreign, nothing heavy, no complaint, nothing for axe.

    What costs most is done in one of the combinations, unless everything is asked for: axe where
    there is a script, the keyboard by turns with and without one.
    """
    seats = _seats(path)
    judge, tour = max(seats, key=lambda seat: seat.script), seats[0]
    wrong: dict[str, Any] = {}
    for place, seat in itertools.product(desk.world.places[path], seats):
        wrong |= await _wrong(
            desk, place, seat, judge=ALL or seat == judge, tour=ALL or seat == tour
        )
    assert not wrong, _told(wrong)


@pytest.mark.parametrize("path", ROOMS)
async def test_a_room_of_the_console(desk: Desk, path: str) -> None:
    """The same for staff, by turns wide by day and narrow in the dark; their pages bring a script.

    Where a room is opened wide, it is made narrow too.
    """
    wrong: dict[str, Any] = {}
    seats = [Seat(), Seat(width=NARROW, scheme="dark")]
    for place, seat in itertools.product(
        desk.world.places[path], seats if ALL else [seats[ROOMS.index(path) % 2]]
    ):
        wrong |= await _wrong(desk, place, seat, judge=True, tour=True)
    assert not wrong, _told(wrong)


async def test_the_focus_stays_where_a_page_is_asked_for_anew(desk: Desk) -> None:
    """A part that is swapped every two seconds does not throw out whoever is in it."""
    (place,) = desk.world.places["/staff/campaigns/{id}/review"]
    page = (await desk.open(place, Seat())).page
    await page.focus("#look-again")
    await page.evaluate("document.querySelector('#look-again').dataset.before = 'yes'")
    await page.wait_for_selector("#look-again:not([data-before])")
    assert await page.evaluate("document.activeElement.id") == "look-again"


_PRINTED = """() => ({
  pressed: [...document.querySelectorAll("button, .button, .tabs, .skip")]
    .filter((el) => el.checkVisibility()).length,
  folded: [...document.querySelectorAll("details > :not(summary)")]
    .filter((el) => !el.getBoundingClientRect().height).length,
  ink: getComputedStyle(document.querySelector(".business")).color,
  paper: getComputedStyle(document.body).backgroundColor,
})"""


@pytest.mark.parametrize(
    "path", ["/me", "/me/consent", "/me/receipts/{event_id}", "/why/{token}", "/trust"]
)
async def test_a_page_prints_as_a_paper(desk: Desk, path: str) -> None:
    """In the dark too: black on white, all of it unfolded, and nothing that one could press."""
    opened = await desk.open(desk.world.places[path][0], Seat(scheme="dark"))
    await opened.page.emulate_media(media="print")
    try:
        said = await opened.page.evaluate(_PRINTED)
    finally:
        await opened.page.emulate_media(media="screen")
    assert said == {
        "pressed": 0,
        "folded": 0,
        "ink": "rgb(0, 0, 0)",
        "paper": "rgba(0, 0, 0, 0)",
    }


async def test_every_page_has_its_place(desk: Desk) -> None:
    """A page without one is opened by none of these tests."""
    assert desk.world.places.keys() == set(PAGES)
