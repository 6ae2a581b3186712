"""Delivery status notifications: RFC 3464, and RFC 6533 for addresses in UTF-8."""

import re
from email.message import Message
from quopri import decodestring

from crm.characters import storable
from crm.inbound import parts
from crm.inbound.heard import Bounce, Failure, Verdict
from crm.inbound.judging import judge
from crm.inbound.telling import Report, told

_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_GENERIC = re.compile(r"[245]\.0\.0|$")
_NO_FAILURE = {
    "delayed": Verdict.delayed,
    "delivered": Verdict.delivered,
    "relayed": Verdict.delivered,
    "expanded": Verdict.delivered,
}
_CITED = frozenset({"message/rfc822", "message/global"})
_CITED_HEADS = frozenset(
    {
        "text/rfc822-headers",
        "text/rfc822-header",
        "message/rfc822-headers",
        "message/global-headers",
    }
)
_UTF8_CHARACTER = re.compile(r"\\x\{([0-9a-f]{2,6})\}", re.IGNORECASE)
# One mail of ours has one recipient, who may hand on to others; what is worst counts.
_MOST_RECIPIENTS = 50

Fields = dict[str, list[str]]


def read(mail: Message) -> Bounce | None:
    """The bounce that this mail is by its form, or nothing."""
    for part in parts.leaves(mail):
        if part.get_content_type() in _STATUS_PARTS:
            bounce = of_groups(mail, groups(part))
            if bounce is not None:
                return bounce
    return None


def of_groups(mail: Message, found: list[Fields]) -> Bounce | None:
    """The bounce of these groups of fields; nothing where none of them is about a recipient."""
    about_mail: Fields = {}
    reports = []
    for group in found:
        if group.keys() & {"action", "final-recipient", "original-recipient", "status"}:
            reports.append(group)
        else:
            about_mail = group | about_mail
    reports = reports[:_MOST_RECIPIENTS]
    words = Report(_words(mail) if any(not _explains(group) for group in reports) else "")
    failures = tuple(_failure(group, words) for group in reports)
    if not failures:
        return None
    return Bounce(failures, original_id(mail), _first(about_mail, "original-envelope-id"))


def groups(part: Message) -> list[Fields]:
    """The groups of fields of a part that consists of them, each name in lower case."""
    if part.is_multipart():
        # The library takes one of the two types for groups, the other for a mail in the mail.
        apart = "\n" if part.get_content_type() == "message/delivery-status" else "\n\n"
        text = "\n\n".join(_as_lines(block, apart) for block in parts.inside(part))
        if "quoted-printable" in str(part.get("content-transfer-encoding", "")).casefold():
            text = decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    else:
        text = parts.text_of(part)
    return groups_of(storable(text))


def groups_of(text: str) -> list[Fields]:
    """The same of a text: blank lines part groups, an indented line goes on with its field.

    A group that says a second time for whom or how it ended is two that nothing parted.
    """
    found: list[Fields] = [{}]
    name = ""
    for line in text[: parts.LONGEST_TEXT].splitlines():
        if not line.strip():
            found.append({})
            name = ""
        elif line[0] in " \t" and name:
            found[-1][name][-1] += " " + line.strip()
        else:
            name, colon, value = line.partition(":")
            name = name.strip().casefold() if colon else ""
            if not re.fullmatch(r"[!-9;-~]+", name):
                name = ""
                continue
            if name in found[-1] and name in ("final-recipient", "action"):
                found.append({})
            found[-1].setdefault(name, []).append(value.strip())
    return [group for group in found if group]


def original_id(mail: Message) -> str:
    """The Message-ID of the mail that this one is about, from what it cites of it."""
    cited = original(mail)
    return parts.message_id(parts.field(cited, "message-id")) if cited is not None else ""


def original(mail: Message) -> Message | None:
    """The mail, or the headers of it, that a report carries."""
    for part in parts.leaves(mail):
        kind = part.get_content_type()
        if kind in _CITED_HEADS or kind in _CITED:
            found = parts.inside(part)
            return found[0] if found else parts.parse(parts.text_of(part).encode())
    return None


def _failure(group: Fields, words: Report) -> Failure:
    recipient = _address(group, "original-recipient") or _address(group, "final-recipient")
    action = re.split(r"[\s(;]", _first(group, "action"))[0].casefold()
    found = _STATUS.match(_first(group, "status"))
    status = found[0] if found else ""
    kind, text = _diagnosis(group)
    verdict = _NO_FAILURE.get(action)
    if verdict is None and not action and status.startswith("2"):
        verdict = Verdict.delivered
    if not _explains(group) and words.names(recipient):
        text = words.about(recipient, [recipient])
    failure = judge(recipient, text or _comment(group), status, a_reply=kind != "x-unix")
    if verdict is None:
        return failure
    return Failure(recipient, verdict, failure.enhanced, failure.code, action, failure.text)


def _explains(group: Fields) -> bool:
    """The fields say more than that it failed; else the words for people beside them may."""
    return bool(_first(group, "diagnostic-code")) or not _GENERIC.match(_first(group, "status"))


def _words(mail: Message) -> str:
    shown = [part for part in parts.leaves(mail) if parts.kind(part) == "text/plain"]
    return told(parts.text_of(shown[0])) if shown else ""


def _diagnosis(group: Fields) -> tuple[str, str]:
    """The type and text of the diagnostic code; some servers forget the type."""
    kind, parted, text = _first(group, "diagnostic-code").partition(";")
    if parted and re.fullmatch(r"[\w.-]+", kind.strip()):
        return kind.strip().casefold(), text.strip()
    return "", _first(group, "diagnostic-code")


def _comment(group: Fields) -> str:
    """What is said in words beside the status, where nothing else says it."""
    found = re.search(r"\(([^()]*)\)", _first(group, "status"))
    return found[1] if found else ""


def _address(group: Fields, name: str) -> str:
    kind, parted, value = _first(group, name).partition(";")
    value = (value if parted else kind).strip().strip("<>").strip()
    if kind.strip().casefold() == "utf-8":  # RFC 6533 §3: as it is, or \x{...} for a character
        value = _UTF8_CHARACTER.sub(_character, value)
    whole = "@" in value and ".." not in value  # not one that somebody made unreadable
    return value if whole and len(value) <= parts.LONGEST_ADDRESS else ""


def _character(found: re.Match[str]) -> str:
    try:
        return chr(int(found[1], 16)).encode().decode()
    except ValueError:  # beyond Unicode, or half a pair
        return "\ufffd"


def _first(group: Fields, name: str) -> str:
    return group.get(name, [""])[0]


def _as_lines(block: Message, apart: str) -> str:
    head = [f"{name}: {str(value)[: parts.LONGEST_FIELD]}" for name, value in block.raw_items()]
    rest = block.get_payload(decode=True)
    said = parts.decoded(rest, "utf-8") if isinstance(rest, bytes) else ""
    return storable(apart.join(["\n".join(head), said]))
