"""Which column of a foreign list means what: the presets of other tools, by their headers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from msgspec import Struct

from crm.errors import Invalid
from crm.imports import presets
from crm.imports.model import RowStatus, Tool
from crm.imports.presets import words as _words
from crm.imports.showing import shown

# A tool writes a few dozen; each of them costs time while somebody waits for the answer.
MOST_COLUMNS = 1000

_NOT_A_WORD = re.compile(r"[\W_]+")


# Header words are compared in small letters without blanks and signs: "E-mail" is "email".
ADDRESS = _words(
    "email emailaddress mailaddress emailadresse email1value epost epostadress courriel "
    "correo correoelectronico электроннаяпочта"
)
FULL_NAME = _words("name fullname yourfullname namn nombre")
FIRST_NAME = _words("firstname givenname vorname prénom prenom förnamn fname")
LAST_NAME = _words("lastname surname familyname nachname nom efternamn lname")
STATUS = _words(
    "status state subscriptionstatus emailstatus memberstatus contactstatus subscriberstatus"
)
YES_IS_IN = _words("subscribed subscribedtoemails acceptsemailmarketing")
YES_IS_OUT = _words(
    "unsubscribed emaildisabled emailblacklisted blacklisted optedout optout disabled"
)
LEFT_AT = _words("unsubtime unsubscribedat unsubscribeddate unsubscribedon optoutdate optouttime")

_IN = RowStatus.subscribed
_OUT = RowStatus.unsubscribed
_YES = _words("1 true yes y on")
_NO = _words("0 false no n off")
_WORDS: Mapping[str, RowStatus] = {
    **dict.fromkeys(_words("subscribed active enabled confirmed"), _IN),
    **dict.fromkeys(
        _words(
            "unsubscribed unsubscribe optout optedout blocklisted blacklisted blocked suppressed "
            "complained spam cancelled canceled"
        ),
        _OUT,
    ),
    **dict.fromkeys(
        _words("cleaned bounced bounce hardbounce hardbounced unreachable undeliverable"),
        RowStatus.cleaned,
    ),
}


class Unreadable(Invalid):
    """This file cannot be read as a list of customers."""


class Says(IntEnum):
    """How a cell speaks about the subscription."""

    status = 0
    yes_is_in = 1
    yes_is_out = 2
    left_at = 3
    cleaned_at = 4


class Columns(Struct, frozen=True):
    """Where to find what in a row; -1 where the file has no such column.

    `words` are those of its tool about the status. `dropped` names the columns that are left
    behind. `otherwise` is the status of a row of which no cell says another. A row shorter than
    `decisive` lacks a cell that tells whether the person left.
    """

    tool: Tool
    words: Mapping[str, RowStatus]
    dropped: tuple[str, ...]
    width: int
    address: int
    name: tuple[int, ...]
    opted_in_at: int
    opted_in_ip: int
    confirmed_at: int
    confirmed_ip: int
    listed_at: int
    left_because: int
    tags: int
    attributes: int
    says: tuple[tuple[int, Says], ...]
    other: tuple[tuple[int, str], ...]
    otherwise: RowStatus
    mixed: bool
    decisive: int


def word(text: str) -> str:
    """A header or status cell as it is compared."""
    return _NOT_A_WORD.sub("", text.casefold())


def names_an_address(header: Iterable[str]) -> bool:
    """Whether one of the cells is the header of a column of addresses."""
    return any(word(cell) in ADDRESS for cell in header)


def check_width(header: Sequence[str]) -> None:
    """Refuse the header of a table with more columns than any tool writes, as Unreadable."""
    if len(header) > MOST_COLUMNS:
        raise Unreadable(
            f"The first line names {len(header):,} columns, and at most {MOST_COLUMNS:,} are read. "
            "Take out those that are not needed, and import the list again."
        )


def recognise(header: Sequence[str]) -> Columns:
    """Find the preset for a header, or raise Unreadable with the sentence for the uploader."""
    words = [word(cell) for cell in header]
    address = _address(header, words)
    has = frozenset(words)
    preset = presets.preset(has)
    says = _says(words)
    full = _first(words, FULL_NAME)
    given, family = _first(words, FIRST_NAME), _first(words, LAST_NAME)
    # "Name, Surname" splits a name as "First Name, Last Name" does.
    name = tuple(at for at in (given if given >= 0 else full, family) if at >= 0)
    named = {
        "opted_in_at": _at(words, "optintime"),
        "opted_in_ip": _at(words, "optinip"),
        "confirmed_at": _at(words, "confirmtime"),
        "confirmed_ip": _at(words, "confirmip"),
        "listed_at": _at(words, preset.listed_at),
        "left_because": _at(words, "unsubreason"),
        "tags": next((at for each in preset.tags if (at := _at(words, each)) >= 0), -1),
        "attributes": _at(words, preset.attributes),
    }
    taken = {address, *name, *named.values(), *(at for at, _ in says)}
    otherwise = _otherwise(preset.tool, says)
    return Columns(
        tool=preset.tool,
        words=preset.says,
        dropped=_dropped(header, words, taken),
        width=len(header),
        address=address,
        name=name,
        **named,
        says=says,
        other=_other(header, words, taken),
        otherwise=otherwise,
        mixed=bool(says) and otherwise not in (_OUT, RowStatus.cleaned),
        decisive=1 + max((at for at, _ in says), default=address),
    )


def speaks(how: Says, cell: str, words: Mapping[str, RowStatus] = {}) -> RowStatus | None:
    """What a cell that is not empty says about the subscription; None if nothing.

    `words` are those of the tool itself, and go before what they mean elsewhere.
    """
    if how is Says.left_at:
        return _OUT
    if how is Says.cleaned_at:
        return RowStatus.cleaned
    said = word(cell)
    if how is Says.status:
        return words.get(said) or _WORDS.get(said, RowStatus.unknown)
    out = said in (_NO if how is Says.yes_is_in else _YES)
    if out:
        return _OUT
    if said in (_YES if how is Says.yes_is_in else _NO):
        return _IN if how is Says.yes_is_in else None
    return RowStatus.unknown


def _address(header: Sequence[str], words: list[str]) -> int:
    found = [at for at, cell in enumerate(words) if cell in ADDRESS]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(shown(header[at].strip()) for at in found[:2])
        raise Unreadable(
            f"The columns {both} could both hold the e-mail address. Keep one of them."
        )
    if any("@" in cell for cell in header):
        raise Unreadable(
            "The first line holds an address instead of the names of the columns. "
            "Put a line above it that names them, such as: email,name"
        )
    raise Unreadable(
        "No column is called “Email” or “Email Address”. Name the column of the addresses so, or "
        "say by a mapping what the columns of this list mean."
    )


_SAYS = (
    (STATUS, Says.status),
    (YES_IS_IN, Says.yes_is_in),
    (YES_IS_OUT, Says.yes_is_out),
    (LEFT_AT, Says.left_at),
    (frozenset({"cleantime"}), Says.cleaned_at),
)


def _says(words: list[str]) -> tuple[tuple[int, Says], ...]:
    return tuple(
        (at, how) for at, cell in enumerate(words) for known, how in _SAYS if cell in known
    )


def _otherwise(tool: Tool, says: tuple[tuple[int, Says], ...]) -> RowStatus:
    """What a file as a whole says: Mailchimp exports its three kinds of members separately."""
    if tool is not Tool.mailchimp:
        return RowStatus.unknown
    kinds = {how for _, how in says}
    if Says.status in kinds:
        return RowStatus.unknown
    if Says.left_at in kinds and Says.cleaned_at not in kinds:
        return _OUT
    if Says.cleaned_at in kinds and Says.left_at not in kinds:
        return RowStatus.cleaned
    return _IN


def _other(header: Sequence[str], words: list[str], taken: set[int]) -> tuple[tuple[int, str], ...]:
    kept: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for at, cell in enumerate(header):
        if at in taken or not words[at] or presets.never_taken(words[at]):
            continue
        title = plain = " ".join(cell.split())
        while title in kept:
            # Where the last one of this title was kept: in all, no number is tried twice.
            numbers[plain] = number = numbers.get(plain, 1) + 1
            title = f"{plain} ({number})"
        kept[title] = at
    return tuple((at, title) for title, at in kept.items())


def _dropped(header: Sequence[str], words: list[str], taken: set[int]) -> tuple[str, ...]:
    return tuple(
        " ".join(cell.split())
        for at, cell in enumerate(header)
        if at not in taken and presets.never_taken(words[at])
    )


def _first(words: list[str], known: frozenset[str]) -> int:
    return next((at for at, cell in enumerate(words) if cell in known), -1)


def _at(words: list[str], name: str) -> int:
    """The one column of this name. Twice the same evidence column would be a choice of proof."""
    if not name:
        return -1
    if words.count(name) > 1:
        raise Unreadable(f"Two columns are called “{name.upper()}”. Keep one of them.")
    return words.index(name) if name in words else -1
