"""Read a posted form and collect what is wrong with every field (WCAG 2.2, 3.3.1).

A handler asks for each value, then looks at `form.problems` once; the same form fills the page
that is shown again, so that nothing has to be typed twice (3.3.7).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email
from litestar import Request
from litestar.datastructures import UploadFile

from crm.characters import piled
from crm.errors import Invalid, Problem, Refused
from crm.languages import gettext, marked
from crm.time_zones import FIRST_YEAR, LAST_YEAR
from crm.web.posted import posted

S = TypeVar("S", bound=str)
T = TypeVar("T")

_MAX_TEXT = 200
# A letter is typed in at most so many characters, and a line ends in two: longer is too long.
_SPELT = 4
# PostgreSQL's bigint, so that no number that passes here fails there.
_MAX_INTEGER = 2**63 - 1

_MISSING = marked("Please fill this in.")
_ADDRESS_LENGTH = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets


class Form:
    """What was typed, and what is wrong with it so far."""

    def __init__(
        self,
        values: Mapping[str, Sequence[str]] | None = None,
        files: Mapping[str, UploadFile] | None = None,
    ) -> None:
        """Hold posted values; a GET makes an empty form, or one with what is there already."""
        self.values = {name: list(given) for name, given in (values or {}).items()}
        self.files = dict(files or {})
        self.problems: list[Problem] = []
        # What a page calls its fields, as far as it has shown them.
        self.labels: dict[str, str] = {}
        # Of those the ones that it fills with what was typed: no password, and no file.
        self.given_back: set[str] = set()

    @classmethod
    def of(cls, **values: str | Sequence[str]) -> Form:
        """Fill a form that nobody has sent yet."""
        lists = {
            name: [given] if isinstance(given, str) else list(given)
            for name, given in values.items()
        }
        return cls(lists)

    def typed(self, name: str) -> str:
        """Give back exactly what was typed, or nothing."""
        given = self.values.get(name)
        return given[0] if given else ""

    def chosen(self, name: str, value: str) -> bool:
        """Say whether `value` was among the boxes ticked under `name`."""
        return value in self.values.get(name, ())

    def problem(self, name: str, label: str = "", *, gives_back: bool = True) -> str:
        """Say what is wrong with this field, or nothing; the summary calls it by its label."""
        if label:
            self.labels[name] = label
            if gives_back:
                self.given_back.add(name)
        return next((wrong.message for wrong in self.problems if wrong.field == name), "")

    def keeps_all_but(self, name: str) -> bool:
        """Say whether the page has more than this field, and all of it as it was typed."""
        if self.labels.keys() != self.given_back:
            return False
        return any(each != name and any(self.values.get(each, ())) for each in self.given_back)

    def wrong(self, name: str, message: str) -> None:
        """Note what is wrong with this field; its first problem is the one shown."""
        if not self.problem(name):
            self.problems.append(Problem(name, message))

    def take(self, refusal: Refused) -> None:
        """Note what an action refused, so that the page can be shown again with it."""
        for wrong in refusal.problems or (Problem("", refusal.message),):
            self.wrong(wrong.field, wrong.message)

    def refuse(self) -> None:
        """Raise Invalid with every problem found, where no page is shown again."""
        if self.problems:
            raise Invalid(problems=self.problems)

    def text(
        self, name: str, *, required: bool = True, max: int = _MAX_TEXT, lines: bool = False
    ) -> str:
        """Read words: trimmed, in composed form (NFC), without control characters."""
        typed = self.typed(name).strip()
        if len(typed) > _SPELT * max:
            self.wrong(name, _too_long(len(typed), max))
            return ""
        if piled(typed):
            self.wrong(
                name, gettext("A letter in this has more marks than can be kept. Type it anew.")
            )
            return ""
        value = unicodedata.normalize("NFC", typed.replace("\r\n", "\n")).strip()
        wrong = _unkept(value, max, lines=lines)
        if wrong and (value or required):
            self.wrong(name, wrong)
        return "" if wrong else value

    def address(self, name: str, *, required: bool = True) -> str:
        """Read an e-mail address as typed; the domain that keeps it folds it."""
        value = self.text(name, required=required, max=_ADDRESS_LENGTH)
        if not value:
            return ""
        wrong = _wrong_address(value)
        if wrong:
            self.wrong(name, wrong)
            return ""
        return value

    def boolean(self, name: str) -> bool:
        """Read one box: a browser sends `on`, or whatever the page gave it, or nothing."""
        return self.typed(name).lower() not in ("", "0", "false", "off", "no")

    def choice(self, name: str, among: Iterable[S], *, required: bool = True) -> S | None:
        """Read one of the values the page offered."""
        value = self.typed(name)
        for option in among:
            if option == value:
                return option
        if value or required:
            self.wrong(name, gettext("Please choose one of these."))
        return None

    def choices(self, name: str, among: Iterable[S], *, required: bool = False) -> list[S]:
        """Read all boxes ticked under one name, in the order the page offered them."""
        given = [value for value in self.values.get(name, ()) if value]
        found = [option for option in among if option in given]
        if len(found) != len(set(given)):
            self.wrong(name, gettext("Please choose only among these."))
        elif required and not found:
            self.wrong(name, gettext("Please choose at least one."))
        return found

    def integer(
        self, name: str, *, required: bool = True, min: int = 0, max: int = _MAX_INTEGER
    ) -> int | None:
        """Read a whole number within bounds."""
        value = self.text(name, required=required, max=40)
        if not value:
            return None
        try:
            number = int(value) if "_" not in value else None
        except ValueError:
            number = None
        if number is None:
            self.wrong(name, gettext("This is a whole number, written in digits."))
        elif not min <= number <= max:
            self.wrong(name, gettext("This is a number from %(min)s to %(max)s.", min=min, max=max))
        else:
            return number
        return None

    def instant(self, name: str, zone: str, *, required: bool = True) -> datetime | None:
        """Read a wall-clock time in `zone` (an `<input type=datetime-local>`) as an instant."""
        value = self.text(name, required=required, max=40)
        if not value:
            return None
        wall, wrong = _wall(value, zone)
        if wall is None:
            self.wrong(name, wrong)
            return None
        return wall.astimezone(UTC)

    def parsed(
        self,
        name: str,
        parse: Callable[[str], T],
        *,
        required: bool = True,
        max: int = _MAX_TEXT,
        lines: bool = False,
    ) -> T | None:
        """Read words by a domain's own rule, which refuses what it does not accept."""
        value = self.text(name, required=required, max=max, lines=lines)
        if not value:
            return None
        try:
            return parse(value)
        except Refused as refusal:
            self.wrong(name, refusal.message)
            return None

    def file(self, name: str, *, required: bool = True) -> UploadFile | None:
        """Give the uploaded file; its size is bounded by the route's `request_max_body_size`."""
        found = self.files.get(name)
        if found is None and required:
            self.wrong(name, gettext("Please choose a file."))
        return found


def shown_as(name: str) -> str:
    """Name the hidden field that says what a page showed in the field `name`."""
    return f"shown/{name}"


def touched(form: Form, name: str, now: str) -> bool:
    """Say whether a reader changed a field: from what its page showed, or else from what is now.

    A field that was not on the page is none. Line feeds count as browsers send them.
    """
    if name not in form.values:
        return False
    given = form.values.get(shown_as(name))
    return _sent(form.typed(name)) != _sent(given[0] if given else now)


def _sent(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """Read the body once, whoever asks."""
    state = request.scope["state"]
    if "form" not in state:
        state["form"] = await posted(request)
    values, files = state["form"]
    return Form(values, files)


def _too_long(found: int, room: int) -> str:
    return gettext(
        "This has %(found)s characters; there is room for %(room)s.", found=found, room=room
    )


def _unkept(value: str, most: int, *, lines: bool) -> str:
    """Say why a text cannot be kept as it is, or nothing."""
    if not value:
        return gettext(_MISSING)
    if len(value) > most:
        return _too_long(len(value), most)
    if any(_control(char) and not (lines and char in "\n\t") for char in value):
        return gettext("There is a character in this that cannot be kept. Type it anew.")
    return ""


def _control(char: str) -> bool:
    # Cc: control, Cs: half of a pair. Cf stays: it joins letters in Arabic, Persian and emoji.
    return unicodedata.category(char) in ("Cc", "Cs")


def _wrong_address(value: str) -> str:
    if "@" not in value:
        return gettext("There is an @ missing. An address looks like name@example.com.")
    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return gettext(
            "This is not an address that mail can reach. One looks like name@example.com."
        )
    return ""


def _wall(value: str, zone: str) -> tuple[datetime | None, str]:
    """Place a wall-clock time; an hour that the clocks skip is refused, a double one is first."""
    try:
        naive = datetime.fromisoformat(value)
    except ValueError:
        return None, gettext("This is a date and a time, like 2026-06-04 07:00.")
    if not FIRST_YEAR <= naive.year <= LAST_YEAR:
        return None, gettext(
            "The year is from %(first)s to %(last)s.", first=FIRST_YEAR, last=LAST_YEAR
        )
    if naive.tzinfo is not None:
        return naive, ""
    wall = naive.replace(tzinfo=ZoneInfo(zone))
    if wall.astimezone(UTC).astimezone(wall.tzinfo).replace(tzinfo=None) != naive:
        return None, gettext("The clocks are put forward then; this time does not exist.")
    return wall, ""
