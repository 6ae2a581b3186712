"""What the columns of a list mean, as somebody says it: for the lists of any other tool."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from crm.customers.text import UnusableText, clean
from crm.errors import Conflict, Invalid, NotFound, Problem
from crm.imports.columns import Columns, Says, Unreadable
from crm.imports.model import RowStatus, Tool

# No business has so many tools; each upload that names no mapping looks through all of them.
MOST_MAPPINGS = 200
_MOST_COLUMNS = 200
# A form on the web puts a whole question, or the words of a consent, above its column. An import
# keeps the mappings that it was read by, hence the room for all titles of one together.
_LONGEST_HEADER = 1000
_MOST_CHARACTERS = 40_000


class UnknownMapping(NotFound):
    """There is no mapping of this name here."""


class BadMapping(Invalid):
    """This mapping does not hold together."""


class TooManyMappings(Conflict):
    """A business saves two hundred mappings at most. Remove one that is not needed first."""


class Means(StrEnum):
    """What a column holds; `leave` leaves it behind."""

    leave = "leave"
    address = "address"
    name = "name"
    first_name = "first_name"
    last_name = "last_name"
    # Words such as “subscribed” or “bounced”.
    status = "status"
    # Yes or no.
    subscribed = "subscribed"
    unsubscribed = "unsubscribed"
    # Times: whoever has one has left, or bounced.
    left_at = "left_at"
    bounced_at = "bounced_at"
    # The evidence.
    opted_in_at = "opted_in_at"
    opted_in_ip = "opted_in_ip"
    confirmed_at = "confirmed_at"
    confirmed_ip = "confirmed_ip"
    # Since when the address is on the list, which proves nothing.
    listed_at = "listed_at"
    left_because = "left_because"
    # Words between commas.
    tags = "tags"
    attribute = "attribute"


class Column(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column by its header, and what it holds; for an attribute, which that is declared."""

    header: Annotated[str, Meta(min_length=1, max_length=_LONGEST_HEADER)]
    means: Means
    attribute: Annotated[str, Meta(max_length=63)] = ""


class NewMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each column of a list means.

    `otherwise` is what the list says of a row of which no column says more: that everybody in it is
    subscribed, that everybody has left, or nothing.
    """

    columns: Annotated[list[Column], Meta(min_length=1, max_length=_MOST_COLUMNS)]
    otherwise: Literal["unknown", "subscribed", "unsubscribed"] = "unknown"


class Mapping(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mapping under its name."""

    name: str
    columns: list[Column]
    otherwise: Literal["unknown", "subscribed", "unsubscribed"] = "unknown"
    changed_at: datetime | None = None


class Separator(StrEnum):
    """What stands between two cells."""

    comma = "comma"
    semicolon = "semicolon"
    tab = "tab"
    pipe = "pipe"


SIGNS = {
    Separator.comma: ",",
    Separator.semicolon: ";",
    Separator.tab: "\t",
    Separator.pipe: "|",
}


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a file is to be read; what is not said is found out.

    Of `mappings` the one counts whose headers are exactly those of the list. Where they were named
    (`only`), a list that none fits is refused.
    """

    encoding: str = ""
    separator: Separator | None = None
    mappings: list[Mapping] = field(default_factory=list)
    only: bool = False


FOUND_OUT = Reading()


class Given(Struct, frozen=True):
    """Where rows come from: whose format it is, the SHA-256 of the file in hex, how it was read.

    `encoding`, `separator` and `mapping` are as found out or as said, for people; an archive may
    have several. `reading` reads it so once more.
    """

    tool: Tool
    sha256: str
    encoding: str = ""
    separator: str = ""
    mapping: str = ""
    reading: Reading = FOUND_OUT


_SAYS = {
    Means.status: Says.status,
    Means.subscribed: Says.yes_is_in,
    Means.unsubscribed: Says.yes_is_out,
    Means.left_at: Says.left_at,
    Means.bounced_at: Says.cleaned_at,
}
_MANY = frozenset({Means.leave, Means.attribute})
_NOT_KEPT = "This header has a character that cannot be kept. Rename the column in the list."


def beyond(headers: Sequence[str]) -> list[Problem]:
    """What is too much for a mapping, which has to name every column of a list."""
    problems: list[Problem] = []
    if len(headers) > _MOST_COLUMNS:
        problems.append(
            Problem(
                "columns",
                f"There are {len(headers):,} columns, and a mapping has at most {_MOST_COLUMNS}. "
                "Take out of the list those that are not needed.",
            )
        )
    if sum(map(len, headers)) > _MOST_CHARACTERS:
        problems.append(
            Problem(
                "columns",
                f"All headers together have more than {_MOST_CHARACTERS:,} characters. "
                "Shorten those of the list.",
            )
        )
    problems.extend(
        Problem(
            f"columns/{at}/header",
            f"A header has more than {_LONGEST_HEADER:,} characters. Shorten it in the list.",
        )
        for at, header in enumerate(headers)
        if len(header) > _LONGEST_HEADER
    )
    return problems


def checked(columns: Sequence[Column], declared: frozenset[str]) -> list[Column]:
    """Refuse a mapping in which a header or a meaning comes twice, or that has no address.

    So is one that is too large.
    """
    problems = beyond([_plain(each.header) for each in columns])
    headers: set[str] = set()
    taken: set[tuple[Means, str]] = set()
    for at, column in enumerate(columns):
        header = _plain(column.header)
        what = (column.means, column.attribute if column.means is Means.attribute else "")
        if header in headers or not header:
            problems.append(Problem(f"columns/{at}/header", "This header stands here twice."))
        if not _keepable(header):
            problems.append(Problem(f"columns/{at}/header", _NOT_KEPT))
        if what in taken and column.means is not Means.leave:
            problems.append(Problem(f"columns/{at}/means", "Another column means this already."))
        if column.means is Means.attribute and column.attribute not in declared:
            sentence = "There is no such attribute. Declare it first, or leave the column behind."
            problems.append(Problem(f"columns/{at}/attribute", sentence))
        headers.add(header)
        taken.add(what)
    if (Means.address, "") not in taken:
        problems.append(Problem("columns", "Say which column holds the address."))
    if problems:
        raise BadMapping(problems=problems)
    return [
        Column(
            _plain(each.header),
            each.means,
            each.attribute if each.means is Means.attribute else "",
        )
        for each in columns
    ]


def fitting(header: Sequence[str], mappings: Sequence[Mapping]) -> Mapping | None:
    """Find the mapping whose headers are exactly those of a list, in whatever order."""
    cells = sorted(filter(None, map(_plain, header)))
    return next(
        (each for each in mappings if cells == sorted(c.header for c in each.columns)), None
    )


def refused(mappings: Sequence[Mapping]) -> Unreadable:
    """The refusal of a list whose headers are not those of the mapping that was named."""
    name = mappings[0].name if mappings else ""
    return Unreadable(
        f"The columns of this list are not those of the mapping “{name}”: each header has to be "
        "there, and no other. Save a mapping of these columns, or name none."
    )


def mapped(header: Sequence[str], mapping: Mapping) -> Columns:
    """Where to find what in a list, as a mapping says."""
    at = {_plain(cell): number for number, cell in enumerate(header)}
    where = {each.means: at[each.header] for each in mapping.columns if each.means not in _MANY}
    says = tuple((where[means], how) for means, how in _SAYS.items() if means in where)
    names = (Means.first_name, Means.name, Means.last_name)
    otherwise = RowStatus(mapping.otherwise)
    return Columns(
        tool=Tool.table,
        words={},
        dropped=tuple(each.header for each in mapping.columns if each.means is Means.leave),
        width=len(header),
        address=where[Means.address],
        name=tuple(where[means] for means in names if means in where),
        opted_in_at=where.get(Means.opted_in_at, -1),
        opted_in_ip=where.get(Means.opted_in_ip, -1),
        confirmed_at=where.get(Means.confirmed_at, -1),
        confirmed_ip=where.get(Means.confirmed_ip, -1),
        listed_at=where.get(Means.listed_at, -1),
        left_because=where.get(Means.left_because, -1),
        tags=where.get(Means.tags, -1),
        attributes=-1,
        says=says,
        other=tuple(
            (at[each.header], each.attribute)
            for each in mapping.columns
            if each.means is Means.attribute
        ),
        otherwise=otherwise,
        mixed=bool(says) and otherwise is not RowStatus.unsubscribed,
        decisive=1 + max((number for number, _ in says), default=where[Means.address]),
    )


def _keepable(header: str) -> bool:
    try:
        clean(header)
    except UnusableText:
        return False
    return True


def _plain(header: str) -> str:
    return " ".join(header.split())
