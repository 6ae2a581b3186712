"""One mail that came back, read once; whatever its bytes."""

from email.message import Message

from crm.inbound import answering, arf, dsn, legacy, parts
from crm.inbound.heard import Heard, Unreadable, Unsubscribe


def read(raw: bytes, *, to_leave: bool = False) -> Heard:
    """Say what a mail says; never raises, and never takes long.

    `to_leave`: it came to the address for leaving (List-Unsubscribe, RFC 2369 §3.2), where a mail
    that is no bounce and no complaint is an `Unsubscribe` whatever it says, and though nothing can
    be made of it.
    """
    if not raw.strip():
        why = "The mail is empty."
    else:
        try:
            mail = parts.parse(raw)
            return _read(mail, raw, to_leave=to_leave)
        except parts.TooMuch as too_much:
            why = f"The mail was not looked at: {too_much}."
        except parts.BROKEN:
            why = "The mail is broken in a way that hides what it says."
    return unread(why, to_leave=to_leave)


def unread(why: str, *, to_leave: bool) -> Heard:
    """Take a mail that could not be read for a wish where the address alone says so."""
    return Unsubscribe("mailto") if to_leave else Unreadable(why)


def _read(mail: Message, raw: bytes, *, to_leave: bool) -> Heard:
    report = arf.read(mail) or dsn.read(mail) or legacy.read(mail, raw)
    if report is not None:
        return report
    if to_leave:
        return answering.asked(mail, by_mail=True)
    return answering.automatic(mail) or answering.leaving(mail) or answering.ordinary(mail)
