"""What we know ourselves of a domain that mail is sent from."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from crm.mail.sending_domain import DkimKey


class Facts(Struct, frozen=True):
    """What DNS is compared with."""

    domain: str
    keys: tuple[DkimKey, ...]
    # Where mail comes back: the domain of the envelope's sender, whose SPF counts.
    return_domain: str
    # The hosts that take our mail and of which nobody said from which addresses they hand it on.
    relays: tuple[str, ...]
    # What we call ourselves there; empty where not said.
    hello: str
    now: datetime
    # The addresses from which the other relays hand it on, as staff have said.
    sends_from: tuple[str, ...] = ()
