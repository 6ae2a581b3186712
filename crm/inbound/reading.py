"""One mail that came back, read once; whatever its bytes."""

from crm.inbound.heard import Heard, Unreadable


def read(raw: bytes, *, to_leave: bool = False) -> Heard:
    """Say what a mail says; never raises.

    `to_leave`: it came to the address for leaving (List-Unsubscribe, RFC 2369 §3.2), where a mail
    that is no bounce and no complaint is an `Unsubscribe` whatever it says.
    """
    raise NotImplementedError(raw, to_leave)


__all__ = ["Heard", "Unreadable", "read"]
