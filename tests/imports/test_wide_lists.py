"""How wide a list may be of which staff say what its columns mean, and how long its titles."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tests.staff.site import Browser


async def test_a_list_may_be_as_wide_as_a_mapping_and_has_long_titles(owner: Browser) -> None:
    """A form on the web puts the words of a consent above its column."""
    titles = ["E-Mail", "Yes, I want the letter. " + "And so on. " * 60, *map(str, range(198))]
    asked = await _looked_at(owner, titles)
    assert asked.status_code == 200
    found = re.findall(r'name="header" value="([^"]*)"', asked.text)
    assert [html.unescape(each) for each in found] == [" ".join(each.split()) for each in titles]
    sent: dict[str, Any] = {name: html.unescape(value) for name, value in _hidden(asked.text)}
    sent |= {f"means-{at}": "leave" for at in range(200)} | {"means-0": "address"}
    sent |= {"header": found, "otherwise": "unknown", "name": "Survey"}

    kept = await owner.post("/staff/imports/mappings", data=sent)

    assert kept.headers["location"] == "/staff/imports/mappings"


@pytest.mark.parametrize(
    ("titles", "said"),
    [
        (["E-Mail", *map(str, range(200))], "There are 201 columns"),
        (["E-Mail", "y" * 1001], "A header has more than 1,000 characters."),
    ],
)
async def test_a_list_beyond_a_mapping_is_refused_at_once_and_by_each_way(
    owner: Browser, program: Browser, titles: list[str], said: str
) -> None:
    asked = await _looked_at(owner, titles)
    assert (asked.status_code, said in asked.text) == (422, True)
    csrf = dict(_hidden(asked.text))["csrf"]
    means = {f"means-{at}": "leave" for at in range(len(titles))} | {"means-0": "address"}
    form = {"csrf": csrf, "header": titles, "otherwise": "unknown", "name": "Till"}
    saved = await owner.post("/staff/imports/mappings", data=form | means)
    assert (saved.status_code, said in saved.text) == (422, True)

    columns = [{"header": each, "means": means[f"means-{at}"]} for at, each in enumerate(titles)]
    answer = await program.put("/v1/import-mappings/Till", json={"columns": columns})
    assert answer.status_code == 422


async def _looked_at(owner: Browser, titles: list[str]) -> Any:
    """Show the columns of a list with these titles and three rows that are full."""
    page = (await owner.get("/staff/imports/mappings")).text
    row = ["nora@example.com", *(f"cell {each}" for each in range(1, len(titles)))]
    rows = [titles, row, ["a" + each for each in row], ["b" + each for each in row]]
    text = "".join(";".join(each) + "\n" for each in rows)
    return await owner.post(
        "/staff/imports/mappings/columns",
        data={"csrf": dict(_hidden(page))["csrf"]},
        files={"file": ("till.csv", text.encode(), "text/csv")},
    )


def _hidden(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
