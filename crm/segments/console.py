"""Segments for staff: the list, and the sheet on which a rule is put together and counted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from crm import customers, segments
from crm.customers import AttributeType, Customer
from crm.db import Db, ReadDb
from crm.errors import Conflict, Forbidden, Invalid, Problem, Refused
from crm.segments.building import COMPARISONS, Names, Part, added, said
from crm.segments.model import BadRule, NewSegment, Segment, Vocabulary, Written
from crm.segments.rule import LONGEST, Allowing, Outcome
from crm.staff import LISTED, Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

SEE = [may(Right.see_campaigns), may(Right.see_customers)]
WRITE = [may(Right.write_campaigns), may(Right.see_customers)]

LIST = "/staff/segments"
_DAYS = 36525


class NotForYou(Forbidden):
    """This rule asks what customers decided about health, belief, politics or sexual life."""


class _Found(Struct, frozen=True):
    """Whom a rule selects, as the sheet shows it."""

    customers: int
    sample: list[Customer]
    words: str


@get("/segments", guards=SEE, include_in_schema=False)
async def get_segments(db: NamedDependency[ReadDb], who: NamedDependency[Member]) -> Response[Any]:
    """Show the segments, each in words."""
    names = await _names(db)
    found = await segments.segments(db)
    rules = await segments.checked_all(db, [each.rule for each in found])
    rows = [(each, said(rule, names)) for each, rule in zip(found, rules, strict=True)]
    return page("segments/pages/list.html", found=rows, may_write=who.may(Right.write_campaigns))


@get("/segments/new", guards=WRITE, include_in_schema=False)
async def get_new_segment(
    db: NamedDependency[ReadDb], who: NamedDependency[Member], looks: NamedDependency[Looks]
) -> Response[Any]:
    """Show an empty sheet."""
    return await _sheet(db, who, looks, Form(), None)


@post("/segments", guards=WRITE, request_max_body_size=LONGEST, include_in_schema=False)
async def post_segment(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
) -> Response[Any]:
    """Count what is on the sheet, add a test to it, or save it as a new segment."""
    form = await read_form(request)
    new = await _taken(db, who, form)
    if new is not None:
        try:
            segment = await segments.add(db, who.actor, new)
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
        else:
            return redirect(f"{LIST}/{segment.id}", say=f"Saved: {segment.name}.")
    return await _sheet(db, who, looks, form, None)


@get("/segments/{id:uuid}", guards=SEE, include_in_schema=False)
async def get_segment(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show a segment with whom it selects now."""
    segment = await segments.get(db, id)
    form = Form.of(
        name=segment.name, rule=_written(segment.rule), version=str(segment.version), then="count"
    )
    return await _sheet(db, who, looks, form, segment)


@post("/segments/{id:uuid}", guards=WRITE, request_max_body_size=LONGEST, include_in_schema=False)
async def post_segment_again(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Count what is on the sheet, add a test to it, or save it over the version that was read."""
    segment = await segments.get(db, id)
    form = await read_form(request)
    version = form.integer("version", max=2**31 - 1)
    new = await _taken(db, who, form)
    if new is not None:
        try:
            await segments.change(db, who.actor, id, new, expected=version)
        except (Invalid, Conflict) as refusal:
            form.take(refusal)
        else:
            return redirect(f"{LIST}/{id}", say="Saved.")
    return await _sheet(db, who, looks, form, segment)


@post("/segments/{id:uuid}/end", guards=WRITE, include_in_schema=False)
async def post_end(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Delete a segment that no campaign waits to go to."""
    await segments.drop(db, who.actor, id)
    return redirect(LIST, say="Deleted. Campaigns that have started keep whom they went to.")


async def _taken(db: ReadDb, who: Member, form: Form) -> NewSegment | None:
    """Read the sheet: a segment to save, or None where it is to be shown again."""
    then = form.choice("then", ("count", "add", "save"))
    rule = _rule(form)
    if then == "add" and rule is not None:
        await _add(db, form, rule)
    if then != "save":
        return None
    name = form.text("name")
    if rule == {}:
        form.wrong("rule", "Add a test first.")
    elif rule:
        try:
            await _check_seen(db, who, rule)
        except (Invalid, Forbidden) as refusal:
            _refused(form, refusal)
    return NewSegment(name=name, rule=rule) if rule and not form.problems else None


def _rule(form: Form) -> Written | None:
    """Read the rule as it was typed; nothing typed is an empty one."""
    text = form.text("rule", required=False, max=LONGEST, lines=True)
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as wrong:
        form.wrong("rule", f"This is not JSON as a rule is written: {wrong}.")
        return None


async def _add(db: ReadDb, form: Form, rule: Written) -> None:
    offered = await _offered(db, await segments.vocabulary(db))
    about = form.choice("about", [value for value, _ in offered])
    part = Part(
        about=about or "",
        compared=form.text("compared", required=False),
        value=form.text("value", required=False, max=2000),
        days=form.integer("days", required=False, min=0, max=_DAYS),
        negated=form.boolean("negated"),
    )
    if form.problems:
        return
    try:
        grown = added(rule, part, await segments.vocabulary(db))
        await segments.checked(db, grown)
    except BadRule as refusal:
        form.wrong("about", refusal.problems[0].message)
    except Invalid as refusal:
        form.take(refusal)
    else:
        form.values["rule"] = [_written(grown)]
        for name in ("about", "compared", "value", "days", "negated"):
            form.values.pop(name, None)


async def _sheet(
    db: ReadDb, who: Member, looks: Looks, form: Form, segment: Segment | None
) -> Response[Any]:
    found = None
    rule = _rule(form)
    if rule and not form.problems:
        try:
            found = await _counted(db, who, rule)
        except (Invalid, Forbidden) as refusal:
            _refused(form, refusal)
    if found is not None:
        await looks.record([each.id for each in found.sample], reason=LISTED)
    return page(
        "segments/pages/segment.html",
        status=422 if form.problems else 200,
        segment=segment,
        form=form,
        found=found,
        offered=await _offered(db, await segments.vocabulary(db)),
        comparisons=_COMPARISONS,
        may_write=who.may(Right.write_campaigns),
    )


async def _check_seen(db: ReadDb, who: Member, rule: Written) -> None:
    """Refuse a rule that tells of decisions which are not for this member (NotForYou)."""
    if not who.may(Right.see_special) and await segments.asks_special(db, rule):
        raise NotForYou


def _refused(form: Form, refusal: Refused) -> None:
    form.wrong("rule", " ".join(_placed(refusal.problems) or [refusal.message]))


def _placed(problems: tuple[Problem, ...]) -> list[str]:
    return [f"{each.field}: {each.message}" for each in problems]


async def _counted(db: ReadDb, who: Member, given: Written) -> _Found:
    rule = await segments.checked(db, given)
    await _check_seen(db, who, given)
    counted = await segments.count(db, given)
    known = await customers.of_ids(db, counted.sample)
    sample = [known[each] for each in counted.sample]
    return _Found(counted.customers, sample, said(rule, await _names(db)))


async def _names(db: ReadDb) -> Names:
    campaigns = await segments.campaigns_to_ask_about(db)
    return Names(await segments.vocabulary(db), {each.id: each.label for each in campaigns})


async def _offered(db: ReadDb, known: Vocabulary) -> list[tuple[str, str]]:
    """List what a test can be about, as a form offers it."""
    campaigns = await segments.campaigns_to_ask_about(db)
    dates = [each for each in known.attributes.values() if each.type is AttributeType.date]
    return [
        *((f"tag:{each.name}", f"Tag: {each.label}") for each in known.tags.values()),
        *((f"attribute:{each.name}", each.label) for each in known.attributes.values()),
        *((f"anniversary:{each.name}", f"{each.label} comes round") for each in dates),
        *(
            (f"interaction:{each.name}", f"It happened: {each.label}")
            for each in known.kinds.values()
        ),
        *((f"consent:{each}", f"Purpose: {name}") for each, name in known.purposes.items()),
        ("mailed:", "Mailed at all"),
        ("created:", "Record begun"),
        ("language:", "Language"),
        *((f"delivery:{each.id}", f"Campaign: {each.label}") for each in campaigns),
    ]


def _written(rule: Written) -> str:
    return msgspec.json.format(msgspec.json.encode(_ordered(rule)), indent=2).decode()


def _ordered(part: Any) -> Any:
    """Put first in each test which it is: PostgreSQL keeps no order of fields."""
    if isinstance(part, list):
        return [_ordered(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: _ordered(part[name]) for name in sorted(part, key=lambda name: name != "test")}


_COMPARISONS = [
    ("", "as usual"),
    *COMPARISONS,
    *((each.value, f"purpose: {each.value.replace('_', ' ')}") for each in Allowing),
    *((each.value, f"campaign: {each.value}") for each in Outcome),
]

handlers = [
    get_segments,
    get_new_segment,
    post_segment,
    get_segment,
    post_segment_again,
    post_end,
]
