"""Saved mappings for staff: look at the columns of a list, say what each means, keep it by name."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import customers
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.imports import mappings
from crm.imports.guessing import Head, guess
from crm.imports.mapping import Column, Means, NewMapping, TooManyMappings, beyond
from crm.imports.table import head
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_PATH = "/staff/imports/mappings"
_IMPORTS = [may(Right.import_customers)]
# Only the first lines are read.
_BODY = 1_010_000_000
_HEAD = 1 << 18

_WORDS = {
    Means.leave: "left behind",
    Means.address: "the e-mail address",
    Means.name: "the whole name",
    Means.first_name: "the first name",
    Means.last_name: "the last name",
    Means.status: "the status, in words",
    Means.subscribed: "subscribed: yes or no",
    Means.unsubscribed: "unsubscribed: yes or no",
    Means.left_at: "when somebody left",
    Means.bounced_at: "when mail bounced for good",
    Means.opted_in_at: "evidence: when somebody signed up",
    Means.opted_in_ip: "evidence: from where somebody signed up",
    Means.confirmed_at: "evidence: when somebody confirmed",
    Means.confirmed_ip: "evidence: from where somebody confirmed",
    Means.listed_at: "since when the address is on the list, no evidence",
    Means.left_because: "why somebody left",
    Means.tags: "tags, with commas between them",
}
_OTHERWISE = (
    ("unknown", "nothing"),
    ("subscribed", "that everybody in it is subscribed"),
    ("unsubscribed", "that everybody in it has left"),
)


@get("/imports/mappings", guards=_IMPORTS)
async def get_mappings(db: NamedDependency[ReadDb]) -> Response[Any]:
    """List the saved mappings beside the form that begins another."""
    return await _list(db, Form())


@post(
    "/imports/mappings/columns",
    opt={"right": Right.import_customers},
    request_max_body_size=_BODY,
    status_code=200,
)
async def post_columns(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> Response[Any]:
    """Show the columns of a list, to say what each means; nothing of the list is kept.

    What stands in them goes back and forth with the form.
    """
    form = await read_form(request)
    file = form.file("file")
    found: Head | None = None
    if file:
        try:
            found = head(await file.read(_HEAD))
        except Refused as refusal:
            form.wrong("file", refusal.message)
    for wrong in beyond([each.name for each in found.headings]) if found else ():
        # Before anybody has said of hundreds what they mean.
        form.wrong("file", wrong.message)
    if found is None or form.problems:
        return await _list(db, form)
    return await _columns(db, await _guessed(db, found))


@post("/imports/mappings", guards=_IMPORTS, status_code=303)
async def post_mapping(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Save what the columns mean under a name."""
    form = await read_form(request)
    found = form.values.get("header", [])
    name = form.text("name", max=mappings.LONGEST_NAME)
    otherwise = form.choice("otherwise", [value for value, _ in _OTHERWISE])
    columns = [_column(header, form.typed(f"means-{at}")) for at, header in enumerate(found)]
    if not form.problems:
        new = NewMapping(columns=columns, otherwise=otherwise or "unknown")  # type: ignore[arg-type]
        try:
            async with db.together():
                await mappings.save(db, who.actor, name, new)
            return redirect(_PATH, say=f"{name} is saved. Lists with these columns are read by it.")
        except TooManyMappings as full:
            form.wrong("name", full.message)
        except Refused as refusal:
            for wrong in refusal.problems:
                at = wrong.field.split("/")[1] if wrong.field.startswith("columns/") else ""
                form.wrong(f"means-{at}" if at else "name", wrong.message)
    return await _columns(db, form)


@post("/imports/mappings/removal", guards=_IMPORTS, status_code=303)
async def post_removal(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Remove a saved mapping."""
    form = await read_form(request)
    name = form.typed("name")
    await mappings.remove(db, who.actor, name)
    return redirect(_PATH, say=f"{name} is removed.")


async def _list(db: ReadDb, form: Form) -> Response[Any]:
    return page(
        "imports/pages/mappings.html",
        status=422 if form.problems else 200,
        form=form,
        saved=await mappings.saved(db),
    )


async def _guessed(db: ReadDb, found: Head) -> Form:
    """Fill the form with what the columns may hold, for whoever knows it to look at."""
    attributes = {each.name: each.label for each in await customers.attributes(db)}
    means = [
        f"{means}:{attribute}" if attribute else means.value
        for means, attribute in guess(found.headings, attributes)
    ]
    return Form.of(
        header=[each.name for each in found.headings],
        encoding=found.encoding,
        separator=found.separator,
        guessed="yes" if found.guessed else "",
        **{f"means-{at}": each for at, each in enumerate(means)},
        **{f"cells-{at}": " · ".join(each.cells) for at, each in enumerate(found.headings)},
    )


async def _columns(db: ReadDb, form: Form) -> Response[Any]:
    declared = [(f"attribute:{each.name}", each.label) for each in await customers.attributes(db)]
    return page(
        "imports/pages/mapping.html",
        status=422 if form.problems else 200,
        form=form,
        means=[*((each.value, words) for each, words in _WORDS.items()), *declared],
        otherwise=_OTHERWISE,
    )


def _column(header: str, chosen: str) -> Column:
    means, _, attribute = chosen.partition(":")
    known = Means(means) if means in set(Means) else Means.leave
    return Column(header, known, attribute)


handlers = [get_mappings, post_columns, post_mapping, post_removal]
