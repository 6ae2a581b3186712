"""A week's issues as one text, and when the week of a digest ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from html import escape
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from crm.campaigns.attached import Placed
from crm.campaigns.body import clean
from crm.campaigns.clock import instant
from crm.campaigns.merge import Marks, literal
from crm.campaigns.model import Format
from crm.campaigns.tree import Node, written

# What stands in a digest begins below the heading that names its issue.
_LOWER = {f"h{level}": f"h{min(level + 2, 6)}" for level in range(1, 7)}
# A subject is no mark: another issue may have the same, and staff may change it in the digest.
_MARKED = re.compile(r"<!-- issue [0-9a-f-]{36} -->")
# Issues so long before the end of a week may stand in its digest, if they stand in none yet.
REACHES = timedelta(days=15)


class Issue(Struct, frozen=True, kw_only=True):
    """One issue of the week; `kept`: somebody was left out of it for the digest."""

    id: UUID
    subject: str
    source: str
    format: Format
    public: bool
    # The names of its own pictures.
    images: list[str]
    # Whether it is written down by now for whom it is, and it has begun or is kept back.
    settled: bool
    # Whether it goes, or has gone: one that was paused, or whose canary is not back, may never.
    goes: bool
    kept: bool


def week_ends(after: datetime, weekday: int, hour: int, zone: str) -> datetime:
    """Return the next instant at which a clock shows this weekday (1 is Monday) and hour."""
    here = after.astimezone(ZoneInfo(zone))
    day = here.date() + timedelta(days=(weekday - here.isoweekday()) % 7)
    due = _at(day, hour, zone)
    return due if due > after else _at(day + timedelta(days=7), hour, zone)


def monday_of(ends: datetime, zone: str) -> date:
    """Return the Monday of the calendar week in which a week of a digest ends."""
    day = ends.astimezone(ZoneInfo(zone)).date()
    return day - timedelta(days=day.isoweekday() - 1)


def composed(intro: str, issues: Sequence[Issue], archive: str) -> str:
    """Write the issues one after the other, each under its subject, as HTML.

    Merge fields stay fields. Of pictures the descriptions stay. The subject of a public issue leads
    to its page below `archive`. Above each stands which it is, in a comment: that goes in no mail.
    """
    parts = [_text(intro, "markdown", ())] if intro.strip() else []
    for each in issues:
        heading = _line(each.subject)
        if each.public:
            heading = f'<a href="{escape(f"{archive}/{each.id}")}">{heading}</a>'
        text = _text(each.source, each.format, each.images)
        parts.append(f"{_marker(each.id)}\n<h2>{heading}</h2>\n{text}")
    return "\n<hr>\n".join(parts)


def stands_in(text: str, issue: UUID, subject: str) -> bool:
    """Say whether a digest's text still has an issue, under whatever heading.

    One that was composed before issues were marked in it is read by the subject.
    """
    if _MARKED.search(text):
        return _marker(issue) in text
    heading = _line(subject)
    return any(f">{heading}{end}</h2>" in text for end in ("", "</a>"))


def _marker(issue: UUID) -> str:
    return f"<!-- issue {issue} -->"


def _line(subject: str) -> str:
    marks = Marks()
    line = literal(marks.protect(" ".join(subject.split())))
    return _with_fields(marks, escape(line, quote=False))


def _text(source: str, kind: Format, images: Sequence[str]) -> str:
    marks = Marks()
    # At no address: only what describes them is taken over.
    placed = {name: Placed("#", None) for name in images}
    body = clean(marks.protect(source), kind, marks, placed)
    return _with_fields(marks, written(_lowered(body.root)))


def _with_fields(marks: Marks, html: str) -> str:
    """Write the fields again; braces that were meant literally must not become any."""
    return marks.restored(html.replace("{", "&#123;"))


def _lowered(node: Node) -> Node:
    children = [
        child
        if isinstance(child, str)
        else child.attributes.get("alt", "")
        if child.tag == "img"
        else _lowered(child)
        for child in node.children
    ]
    return Node(_LOWER.get(node.tag, node.tag), node.attributes, children)


def _at(day: date, hour: int, zone: str) -> datetime:
    return instant(datetime(day.year, day.month, day.day, hour), zone)  # noqa: DTZ001
