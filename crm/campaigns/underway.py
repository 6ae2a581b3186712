"""What a relay did to the name and the date of a mail, and who signed it.

Some write both anew, though RFC 6409 §8 lets them only add what lacks. That is no difference to who
reads, but breaks every signature that covers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from crm.campaigns.comparing import Difference
from crm.campaigns.reader import Message, read


class Sent(Struct, frozen=True):
    """A mail as it was handed over: its name and its date, and who could have signed it."""

    message_id: str
    date: str
    domain: str
    selectors: frozenset[str]


class _Signature(Struct, frozen=True):
    domain: str
    selector: str
    covers: frozenset[str]


class Found(Struct, frozen=True):
    """What harms, and what is only worth knowing."""

    differences: tuple[Difference, ...]
    remarks: tuple[str, ...]


def underway(raw: bytes, sent: Sent) -> Found:
    """Compare what a relay may write anew; our own signature must not cover what it did."""
    message = read(raw)
    replaced = dict(_replaced(message, sent))
    signatures = [_signature(value) for value in message.every("DKIM-Signature")]
    ours = [each for each in signatures if each.selector in sent.selectors]
    broken = [name for name in replaced if any(name.lower() in each.covers for each in ours)]
    differences = tuple(
        Difference(
            f"The relay wrote a {name} of its own, which our DKIM signature covers: receivers find "
            "it broken. Have the relay keep it, or say under Sending domains that the relay signs.",
            was=sent.message_id if name == _ID else sent.date,
            now=replaced[name],
        )
        for name in broken
    )
    return Found(differences, tuple(_remarks(replaced, signatures, ours, sent)))


_ID, _DATE = "Message-ID", "Date"


def _replaced(message: Message, sent: Sent) -> Iterator[tuple[str, str]]:
    for name, was in ((_ID, sent.message_id), (_DATE, sent.date)):
        values = message.every(name)
        if values != [was]:
            yield name, " | ".join(values)[:300] or "missing"


def _remarks(
    replaced: dict[str, str],
    signatures: Sequence[_Signature],
    ours: Sequence[_Signature],
    sent: Sent,
) -> Iterator[str]:
    if _ID in replaced:
        yield (
            f"The relay wrote a Message-ID of its own: {replaced[_ID]}. Nothing that a reader sees "
            "rests on it; but answers are then known by who writes them, not by what they answer, "
            "and its log has its own names."
        )
    if _DATE in replaced:
        yield f"The relay wrote a Date of its own: {replaced[_DATE]}."
    if ours:
        return
    names = ", ".join(sorted({each.domain for each in signatures if each.domain}))
    if not names:
        yield "It arrived without a DKIM signature."
    elif any(each.domain == sent.domain for each in signatures):
        yield f"It is signed by {names}, and not by us. Whether these hold is not looked at here."
    else:
        yield (
            f"It is signed by {names}, and by nobody as {sent.domain} itself. Whether these hold, "
            "and count for DMARC, is not looked at here."
        )


def _signature(value: str) -> _Signature:
    said = {}
    for part in value.split(";"):
        name, _, what = part.partition("=")
        said[name.strip().lower()] = "".join(what.split())
    covers = frozenset(said.get("h", "").lower().split(":"))
    return _Signature(said.get("d", "").lower(), said.get("s", ""), covers)
