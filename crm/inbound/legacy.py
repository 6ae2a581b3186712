"""Bounces in no standard form: who sends them, for whom, and what the text says.

`flufl.bounce` knows many old formats, and finds addresses; what happened is judged here.
"""

import re
from email.message import Message

from flufl.bounce import all_failures

from crm.inbound import dsn, parts
from crm.inbound.heard import Bounce, Failure, Verdict
from crm.inbound.judging import judge

_DAEMON = re.compile(
    r"(?:^|[<\s\"'])(?:mailer[-_]?daemon|post[-_]?master|mail[-_]?(?:daemon|delivery)|no-?reply)\b|"
    r"mail delivery (?:sub)?system|system administrator",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver|unzustellbar|deliver(y|ed)[^:]{0,30}(fail|status|problem|report|error|delay)|"
    r"fail(ed|ure)[^:]{0,20}(notice|deliver|mail)|deliver(y)? fail|returned (e-?)?mail|"
    r"mail (delivery|failure|system error)|failed mail|not (yet )?(been )?delivered|"
    r"could not be delivered|mail failure|non[- ]remis|bounce notification|"
    r"(smtp|mail) server: errors|delayed mail",
    re.IGNORECASE,
)
_TEXT = re.compile(
    r"(could not|couldn't|can ?not|can't|was not|wasn't|been|not|unable to)( be)? (deliver|reach)|"
    r"did not reach|deliver[^.]{0,30}(fail|error|unsuccess)|fail[^.]{0,20}deliver|undeliver|"
    r"permanent (fatal )?error|error[^.]{0,30}deliver|message was rejected|invalid user address|"
    r"failure reasons|transcript of session|returned message",
    re.IGNORECASE,
)
# Where the report ends and the mail it returns begins.
_CITED = re.compile(
    r"^[ \t>]*-{2,}.{0,40}(copy of|original|returned|unsent|header|below this line|message)"
    r"|^[ \t]*(below is|message headers follow|the original message|original message follows)"
    r"|^(return-path|received):\s?\S",
    re.IGNORECASE | re.MULTILINE,
)
_DELAYED = re.compile(
    r"(not|no) (yet )?been delivered|still being (re)?tried|will (continue|keep|be)[^.]{0,20}"
    r"(try|retr)|warning message only|delayed|need not (re)?send|do not need to resend",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^\s<>\"'(),;:\[\]=]{1,64}@[^\s<>\"'(),;:\[\]]{1,255}")
_MESSAGE_ID = re.compile(r"^message-id:\s*(\S{3,998})", re.IGNORECASE | re.MULTILINE)
_SCANNED = 64 * 1024
_AROUND = 700
_MOST_RECIPIENTS = 50


def read(mail: Message, raw: bytes) -> Bounce | None:
    """The bounce that this mail is by who wrote it and what it says, or nothing."""
    text = _report(mail)
    if not _is_bounce(mail, text):
        return None
    fields = [group for group in dsn.groups_of(text) if "action" in group]
    standard = dsn.of_groups(mail, fields) if fields else None
    if standard is not None and any(failure.recipient for failure in standard.failures):
        return standard
    told = text[: _told(text)]
    later, gone = _recipients(raw)
    named = _named(mail) or sorted(later | gone) or _in_lines(told)
    if named:
        failures = tuple(_failure(who, told, named, later) for who in named[:_MOST_RECIPIENTS])
    else:
        failures = (_delayed_or(judge("", _nearest(told)), told),)
    return Bounce(failures, _original_id(mail, text))


def _report(mail: Message) -> str:
    found = [
        parts.text_of(part) for part in parts.leaves(mail) if part.get_content_type() == "text/plain"
    ]
    text = "\n".join(found) if found else parts.written(mail)
    return text[: parts.LONGEST_TEXT]


def _is_bounce(mail: Message, text: str) -> bool:
    if parts.field(mail, "x-failed-recipients"):
        return True
    machine = _DAEMON.search(parts.field(mail, "from")) is not None
    if not machine and parts.field(mail, "return-path") != "<>":
        return False
    subject = _SUBJECT.search(parts.field(mail, "subject")) is not None
    says = _TEXT.search(text[:_SCANNED]) is not None
    # A vacation notice comes with an empty return path as well, and may speak of reaching somebody.
    return (subject or says) if machine else (subject and says)


def _named(mail: Message) -> list[str]:
    return list(dict.fromkeys(_LINE.findall(parts.field(mail, "x-failed-recipients"))))


def _recipients(raw: bytes) -> tuple[set[str], set[str]]:
    """Who, after the library that knows old formats: for now, and for good."""
    try:
        later, gone = all_failures(parts.parse(raw[:_SCANNED]))
    except (*parts.BROKEN, StopIteration):
        return set(), set()
    return _decoded(later), _decoded(gone)


def _decoded(found: frozenset[bytes]) -> set[str]:
    return {one for one in (address.decode("ascii", "replace") for address in found) if "@" in one}


def _in_lines(told: str) -> list[str]:
    """Addresses that begin a line, or that a sentence of failure ends with."""
    found = [
        match[0].rstrip(".")
        for line in told[:_SCANNED].splitlines()
        if (match := _LINE.search(line)) and _begins(line, match) and ":" not in line[: match.start()]
    ]
    return list(dict.fromkeys(found))


def _begins(line: str, match: re.Match[str]) -> bool:
    before = line[: match.start()].strip(" \t<\"'*-")
    return not before or bool(_TEXT.search(before)) or before.casefold().endswith(" to")


def _told(text: str) -> int:
    found = _CITED.search(text)
    # What begins with the returned mail tells nothing itself: then all of it is looked at.
    return found.start() if found and found.start() > 0 else len(text)


def _failure(who: str, told: str, named: list[str], later: set[str]) -> Failure:
    failure = judge(who, _about(who, told, named))
    if who in later and failure.verdict is not Verdict.delivered:
        return Failure(
            who, Verdict.delayed, failure.enhanced, failure.code, "delayed", failure.text
        )
    return _delayed_or(failure, told)


def _delayed_or(failure: Failure, told: str) -> Failure:
    if failure.verdict in (Verdict.soft, Verdict.unknown) and _DELAYED.search(told[:_SCANNED]):
        return Failure(
            failure.recipient, Verdict.delayed, failure.enhanced, failure.code, "delayed",
            failure.text,
        )  # fmt: skip
    return failure


def _about(who: str, told: str, named: list[str]) -> str:
    """What is said after the last mention of an address, up to the next one's."""
    folded = told.casefold()
    start = folded.rfind(who.casefold())
    first = folded.find(who.casefold())
    if start < 0:
        return _nearest(told)
    ends = [
        at
        for other in named
        if other != who and (at := folded.find(other.casefold(), first + len(who))) > 0
    ]
    end = min([first + _AROUND, *ends])
    if len(named) == 1:
        return _nearest(told[max(0, first - _AROUND) : max(end, start + _AROUND)])
    return told[first + len(who) : end]


def _nearest(told: str) -> str:
    """The paragraphs that speak in codes, or else all of it without the words of politeness."""
    paragraphs = re.split(r"\n\s*\n", told)
    coded = [one for one in paragraphs if re.search(r"\b[45]\d\d[ -]|\b[45]\.\d{1,3}\.\d", one)]
    return "\n".join(coded) if coded else told[-2 * _AROUND :]


def _original_id(mail: Message, text: str) -> str:
    known = dsn.original_id(mail)
    if known:
        return known
    found = _MESSAGE_ID.search(text)
    return parts.message_id(found[1]) if found else ""
