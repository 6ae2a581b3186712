"""Bounces in no standard form: who sends them, for whom, and what the text says.

`flufl.bounce` knows many old formats, and finds addresses; what happened is judged here.
"""

import re
from email.message import Message

from flufl.bounce import all_failures
from msgspec.structs import replace

from crm.inbound import dsn, parts
from crm.inbound.heard import Bounce, Failure, Verdict
from crm.inbound.judging import judge
from crm.inbound.telling import Report, told

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
_DELAYED = re.compile(
    r"(not|no) (yet )?been delivered|still being (re)?tried|will (continue|keep|be)[^.]{0,20}"
    r"(try|retr)|warning message only|delayed|need not (re)?send|do not need to resend",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^\s<>\"'(),;:\[\]=]{1,64}@[^\s<>\"'(),;:\[\]]{1,255}")
_MESSAGE_ID = re.compile(r"^message-id:\s*(\S{3,998})", re.IGNORECASE | re.MULTILINE)
_SCANNED = 64 * 1024
_PLAIN = bytes(range(128)) + b"?" * 128
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
    report = Report(told(text)[:_SCANNED])
    by_subject = _by_subject(mail)
    later, gone = _recipients(mail, raw)
    # Some formats name only the part before the @; else what the report does not name is cited.
    inside = sorted(who for who in later | gone if report.names(who))
    named = _named(mail) or inside or sorted(later | gone) or _in_lines(report.text)
    named = named[:_MOST_RECIPIENTS]
    failures = [_failure(who, report.about(who, named), who in later) for who in named] or [
        judge("", report.nearest)
    ]
    found = [_tempered(failure, report.text, by_subject=by_subject) for failure in failures]
    return Bounce(tuple(found), _original_id(mail, text))


def _report(mail: Message) -> str:
    found = parts.texts(part for part in parts.leaves(mail) if parts.kind(part) == "text/plain")
    text = "\n".join(found) if found else parts.written(mail)
    return text[: parts.LONGEST_TEXT]


def _is_bounce(mail: Message, text: str) -> bool:
    if parts.field(mail, "x-failed-recipients"):
        return True
    machine = _DAEMON.search(parts.field(mail, "from")) is not None
    if not machine and parts.field(mail, "return-path") != "<>":
        return False
    subject = _by_subject(mail)
    says = _TEXT.search(text[:_SCANNED]) is not None
    # A vacation notice comes with an empty return path as well, and may speak of reaching somebody.
    return (subject or says) if machine else (subject and says)


def _by_subject(mail: Message) -> bool:
    subject = parts.field(mail, "subject")
    return bool(_SUBJECT.search(subject) or parts.field(mail, "x-failed-recipients"))


def _named(mail: Message) -> list[str]:
    return list(dict.fromkeys(_LINE.findall(parts.field(mail, "x-failed-recipients"))))


def _recipients(mail: Message, raw: bytes) -> tuple[set[str], set[str]]:
    """Who, after the library that knows old formats: for now, and for good.

    It expects a sender and plain ASCII, and logs a traceback where it finds neither.
    """
    if not parts.address(mail, "from"):
        return set(), set()
    try:
        later, gone = all_failures(parts.parse(raw[:_SCANNED].translate(_PLAIN)))
    except (*parts.BROKEN, StopIteration):
        return set(), set()
    return _decoded(later), _decoded(gone)


def _decoded(found: frozenset[bytes]) -> set[str]:
    return {one for one in (address.decode("ascii", "replace") for address in found) if "@" in one}


def _in_lines(report: str) -> list[str]:
    """Addresses that begin a line, or that a sentence of failure ends with."""
    found = [
        match[0].rstrip(".")
        for line in report.splitlines()
        if (match := _LINE.search(line))
        and _begins(line, match)
        and ":" not in line[: match.start()]
    ]
    return list(dict.fromkeys(found))


def _begins(line: str, match: re.Match[str]) -> bool:
    before = line[: match.start()].strip(" \t<\"'*-")
    return not before or bool(_TEXT.search(before)) or before.casefold().endswith(" to")


def _failure(who: str, text: str, later: bool) -> Failure:  # noqa: FBT001
    failure = judge(who, text)
    return replace(failure, verdict=Verdict.delayed, reason="delayed") if later else failure


def _tempered(failure: Failure, report: str, *, by_subject: bool) -> Failure:
    """Without a form that says what is meant, only one that calls itself a failure can be hard."""
    if failure.verdict in (Verdict.soft, Verdict.unknown) and _DELAYED.search(report):
        return replace(failure, verdict=Verdict.delayed, reason="delayed")
    if failure.verdict is Verdict.hard and not by_subject:
        return replace(failure, verdict=Verdict.soft)
    return failure


def _original_id(mail: Message, text: str) -> str:
    known = dsn.original_id(mail)
    if known:
        return known
    found = _MESSAGE_ID.search(text)
    return parts.message_id(found[1]) if found else ""
