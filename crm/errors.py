"""Refusals: the request was understood, and the answer is no."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from crm.languages import gettext

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class Problem(Struct, frozen=True):
    """What is wrong with one value; `field` is a form field or a JSON pointer without its `#/`."""

    field: str
    message: str


class Refused(Exception):
    """The request was understood, and the answer is no."""

    def __init__(self, message: str = "", problems: Sequence[Problem] = ()) -> None:
        """Say no with `message`, or else with the first line of the class's docstring.

        Both in the language that is spoken; `message` is said in it by whoever refuses.
        """
        self.message = message or gettext((type(self).__doc__ or "").split("\n", maxsplit=1)[0])
        self.problems = tuple(problems)
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The stable name for machines: `AlreadyWithdrawn` is `already_withdrawn`."""
        return _CAPITAL.sub("_", type(self).__name__).lower()


class NotFound(Refused):
    """There is no such thing, or not for you."""


class Invalid(Refused):
    """The values do not make sense."""


class Conflict(Refused):
    """The present state does not allow it."""


class Forbidden(Refused):
    """You may not do this."""


class Unauthenticated(Refused):
    """Sign in first, or send a key that is known."""


class TooMany(Refused):
    """Too often; try again later."""

    def __init__(self, message: str = "", *, retry_after: int = 60) -> None:
        """Say how many seconds to wait before another try can succeed."""
        super().__init__(message)
        self.retry_after = retry_after
