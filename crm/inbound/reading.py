"""One mail that came back, read once; whatever its bytes."""

from email.message import Message

from crm.inbound import answering, arf, dsn, legacy, parts
from crm.inbound.heard import Heard, Unreadable


def read(raw: bytes, *, to_leave: bool = False) -> Heard:
    """Say what a mail says; never raises, and never takes long.

    `to_leave`: it came to the address for leaving (List-Unsubscribe, RFC 2369 §3.2), where a mail
    that is no bounce and no complaint is an `Unsubscribe` whatever it says.
    """
    if not raw.strip():
        return Unreadable("The mail is empty.")
    try:
        mail = parts.parse(raw)
        return _read(mail, raw, to_leave=to_leave)
    except parts.TooMuch as too_much:
        return Unreadable(f"The mail was not looked at: {too_much}.")
    except parts.BROKEN:
        return Unreadable("The mail is broken in a way that hides what it says.")


def _read(mail: Message, raw: bytes, *, to_leave: bool) -> Heard:
    report = arf.read(mail) or dsn.read(mail) or legacy.read(mail, raw)
    if report is not None:
        return report
    if to_leave:
        return answering.asked(mail, by_mail=True)
    return answering.automatic(mail) or answering.leaving(mail) or answering.ordinary(mail)
