"""From what a report says about one recipient to a verdict, by the one table of `crm.mail.outcome`.

Enhanced codes first, then the text, then the reply code. In doubt nobody loses an address.
"""

import re

from crm.inbound.heard import Failure, Verdict
from crm.inbound.wording import TEMPORARY, status_of
from crm.mail import outcome
from crm.mail.outcome import Outcome, Reply, Step, Whose

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_CODE = re.compile(r"(?<![\d.])[245][0-5]\d(?=[\s\-#:(,]|$)")
_REPEATED = re.compile(r"(?<=\s)[245]\d\d-\s?(?:[245]\.\d{1,3}\.\d{1,3}\s)?")
_SAYS_NOTHING = re.compile(r"[245]\.0\.\d{1,3}")
# A report without a code: one that leaves the meaning to the wording alone.
_PERMANENT, _FOR_NOW = 553, 450
_SENDERS_NULL_MX, _NULL_MX = "5.7.27", "5.1.10"
_LONGEST = 2_000
# What the table makes of a reply of no known wording.
_NO_REASON = "address_refused"

_BY_WHOM = {
    Whose.recipient: Verdict.soft,
    Whose.relay: Verdict.soft,
    Whose.policy: Verdict.policy,
    Whose.content: Verdict.content,
    Whose.protocol: Verdict.protocol,
    Whose.ours: Verdict.protocol,
    Whose.nobody: Verdict.unknown,
}


def judge(recipient: str, text: str, status: str = "", *, a_reply: bool = True) -> Failure:
    """The failure that this text reports; `status` is what the report itself calls it.

    `a_reply`: the text is, or may be, what an SMTP server answered. The word of a program that
    delivers locally (x-unix) is about the program, which may be set up wrongly for everybody.
    """
    text = " ".join(_REPEATED.sub(" ", text[:_LONGEST]).split())
    said = _first(_STATUS, text)
    enhanced = next((code for code in (said, status) if _tells(code)), said or status)
    code = int(_first(_CODE, text) or 0)
    wording = status_of(text)
    # Sendmail's null MX: the code is the one for a sender's (RFC 7505 §4.2), the text is not.
    null_mx = _SENDERS_NULL_MX in (enhanced, status)
    if null_mx and wording == _NULL_MX:
        status = enhanced = wording
    known = enhanced if _tells(enhanced) else wording
    found = _look_up(known, code, enhanced or known, text, recipient)
    verdict = _BY_WHOM[found.whose]
    if code == outcome.CLOSING or _is_policy(status):
        verdict = Verdict.policy
    elif found.hard and not _doubted(text, status, enhanced, wording, a_reply=a_reply):
        verdict = Verdict.hard
    elif not known and not code and found.whose is Whose.recipient:
        verdict = Verdict.soft if text else Verdict.unknown
    return Failure(recipient, verdict, enhanced or known, code, found.reason, found.text)


def silent(failure: Failure, text: str) -> bool:
    """Whether this text, from which the failure was judged, says neither why nor for how long."""
    told = failure.enhanced or failure.code or failure.reason != _NO_REASON
    return not told and not TEMPORARY.search(text[:_LONGEST])


def _first(wanted: re.Pattern[str], text: str) -> str:
    """The first that reports a failure, or else the first of all."""
    found: list[str] = wanted.findall(text)
    return next((one for one in found if one[0] in "45"), found[0] if found else "")


def _tells(status: str) -> bool:
    return bool(status) and not _SAYS_NOTHING.fullmatch(status)


def _is_policy(status: str) -> bool:
    return status[1:].startswith(".7.")


def _look_up(known: str, code: int, enhanced: str, text: str, recipient: str) -> Outcome:
    temporary = enhanced.startswith("4") or str(code).startswith("4")
    # Who was asked is told by the report, so the step is RCPT; a code of no use there is left out.
    reply = Reply(code or (_FOR_NOW if temporary else _PERMANENT), f"{known} {text}")
    if reply.first not in (outcome.LATER, outcome.NEVER):
        reply = Reply(_FOR_NOW if temporary else _PERMANENT, reply.text)
    return outcome.verdict(Step.rcpt, reply, recipient)


def _doubted(text: str, status: str, enhanced: str, wording: str, *, a_reply: bool) -> bool:
    """A code says that the address is gone, and something else in the report disagrees."""
    if "4" in (status[:1], enhanced[:1]) or TEMPORARY.search(text):
        return True
    return not a_reply or wording.startswith(("5.1.8", "5.7.", "5.3.4", "5.2.2", "4."))
