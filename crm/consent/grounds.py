"""What a decision taken elsewhere rests on, and which of it a notice accepts (promise 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from typing import Any

from crm.errors import Conflict, Invalid, Problem

# Evidence is kept for ever in one record; a photograph of a form is kept elsewhere and named here.
_MOST_EVIDENCE = 30
_LONGEST_EVIDENCE = 1000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Whole numbers that every reader of JSON reads alike (RFC 8785 §3.2.2.3).
_EXACT = 2**53


class EvidenceKind(StrEnum):
    """Evidence collected elsewhere; a notice version says which of it it accepts (promise 7)."""

    former_double_opt_in = "former_double_opt_in"
    former_single_opt_in = "former_single_opt_in"
    signed_form = "signed_form"
    # A box ticked, or a button pressed, in the business's own shop, site or till.
    own_form = "own_form"


# A yes for which no mailbox was asked, nor a signature given.
WITHOUT_MAILBOX = frozenset({EvidenceKind.former_single_opt_in, EvidenceKind.own_form})

# What a soft opt-in rests on; no notice accepts it as a consent.
SALE = "sale"


class EvidenceNotAccepted(Conflict):
    """The notice does not accept this evidence, so it gives no consent."""


class WeakEvidence(Invalid):
    """A purpose that asks for a confirmation from the mailbox accepts no evidence without one."""


class BadEvidence(Invalid):
    """Evidence is a few short texts, whole numbers and yes-or-no values with plain names."""


def check_foreign_evidence(
    version: int, accepts: frozenset[EvidenceKind], evidence: dict[str, Any]
) -> None:
    """Refuse evidence collected elsewhere of a kind that this version of the notice accepts not."""
    kind = kind_of(evidence)
    if kind in {each.value for each in accepts}:
        return
    accepted = ", ".join(sorted(accepts)) or "no evidence from elsewhere"
    sentence = f"Version {version} of this notice accepts {accepted}, not {kind or 'none'}."
    raise EvidenceNotAccepted(sentence)


def kind_of(evidence: Mapping[str, Any]) -> str | None:
    """Return of which kind evidence is, or None where it does not say so by a text."""
    kind = evidence.get("kind")
    return kind if isinstance(kind, str) else None


def check_accepts(accepts: list[EvidenceKind], *, double_opt_in: bool) -> None:
    """Refuse with WeakEvidence what says yes without the mailbox, where the purpose asks for it."""
    weak = sorted(set(accepts) & WITHOUT_MAILBOX)
    if double_opt_in and weak:
        raise WeakEvidence(problems=[Problem("accepts", f"Not {', '.join(weak)}.")])


def checked_evidence(given: dict[str, Any]) -> dict[str, Any]:
    """Return evidence that can be kept for ever exactly as it came, or refuse with BadEvidence.

    A withdrawal is never refused: with it, what `fitting_evidence` leaves is kept.
    """
    problems = [
        Problem(f"evidence/{name}" if _NAME.fullmatch(name) else "evidence", wrong)
        for name, value in given.items()
        if (wrong := _wrong_evidence(name, value))
    ]
    if len(given) > _MOST_EVIDENCE:
        problems.append(Problem("evidence", f"There is room for {_MOST_EVIDENCE} values."))
    if problems:
        raise BadEvidence(problems=problems)
    return given


def fitting_evidence(given: dict[str, Any]) -> dict[str, Any]:
    """Return of evidence what can be kept for ever, and leave out the rest."""
    fitting = {name: value for name, value in given.items() if not _not_kept(name, value)}
    return dict(islice(fitting.items(), _MOST_EVIDENCE))


def _wrong_evidence(name: str, value: object) -> str:
    if name == "kind" and not isinstance(value, str):
        return "A kind is a text."
    return _not_kept(name, value)


def _not_kept(name: str, value: object) -> str:
    if not _NAME.fullmatch(name):
        return "A name has up to 40 small letters, digits and underscores, and begins with one."
    if isinstance(value, str):
        if len(value) > _LONGEST_EVIDENCE or "\0" in value:
            return f"A text has up to {_LONGEST_EVIDENCE} characters and no NUL."
        return ""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int) and abs(value) < _EXACT:
        return ""
    return "A value is a text, a whole number below 2^53, true or false."
