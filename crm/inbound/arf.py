"""Complaints: feedback reports of RFC 5965, redacted as RFC 6590 allows, by RFC 9477 or not."""

import re
from email.message import Message

from crm.characters import storable
from crm.inbound import dsn, parts
from crm.inbound.dsn import Fields
from crm.inbound.heard import Complaint

_REPORT = "message/feedback-report"
_OTHER = "other"  # RFC 5965 §7.3: what a kind that nobody knows is to be read as
_MOST_RECIPIENTS = 1_000


def read(mail: Message) -> Complaint | None:
    """The complaint that this mail is, or nothing."""
    found = [part for part in parts.leaves(mail) if part.get_content_type() == _REPORT]
    declared = (
        mail.get_content_type() == "multipart/report"
        and str(mail.get_param("report-type")).casefold() == "feedback-report"
    )
    if not found and not declared:
        return None
    fields: Fields = {}
    for part in found:
        for group in _groups(part):
            for name, values in group.items():
                fields.setdefault(name, []).extend(values)
    return _complaint(mail, fields)


def _groups(part: Message) -> list[Fields]:
    """The fields, also of a parser that took the report for a mail of its own."""
    inside = parts.inside(part)
    if inside:
        found: Fields = {}
        for name, value in inside[0].items():
            plain = storable(str(value)[: parts.LONGEST_FIELD])
            found.setdefault(name.casefold(), []).append(" ".join(plain.split()))
        return [found]
    return dsn.groups(part)


def _complaint(mail: Message, fields: Fields) -> Complaint:
    cited = dsn.original(mail)
    kind = re.split(r"[\s;(]", _first(fields, "feedback-type").casefold())[0]
    named = [
        value.partition(";")[2] or value
        for name in ("original-rcpt-to", "removal-recipient", "final-recipient")
        for value in fields.get(name, [])
    ]
    recipients = dict.fromkeys(
        address for value in named if "@" in (address := value.strip().strip("<>").strip())
    )
    arrived = _first(fields, "arrival-date") or _first(fields, "received-date")
    return Complaint(
        kind=kind or _OTHER,
        recipients=tuple(recipients)[:_MOST_RECIPIENTS],
        original_message_id=_cited(cited, "message-id")
        or parts.message_id(_first(fields, "original-message-id")),
        feedback_id=_first(fields, "cfbl-feedback-id") or _plain(cited, "cfbl-feedback-id"),
        reported_domain=_first(fields, "reported-domain").casefold(),
        arrived=parts.instant(arrived) if arrived else None,
    )


def _cited(cited: Message | None, name: str) -> str:
    return parts.message_id(_plain(cited, name))


def _plain(cited: Message | None, name: str) -> str:
    return parts.field(cited, name) if cited is not None else ""


def _first(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]
