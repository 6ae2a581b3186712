"""All that is held of one customer: shown to her, taken with her, or deleted (promises 9 to 13).

One package per right: `copies` (Art. 15 and 20) and `brought`, a copy of elsewhere taken over;
`erasure` (Art. 17), planned, called off and certified; `restriction` (Art. 18); `merging`, two
records of one person made one (Art. 5(1)(d)); `requests`, what is asked in words and has its last
day (Art. 12); `retention`, how long all else is kept. `actions.py` erases and shows, by `export`
and `forget` of every domain that holds personal data: a test that reads the catalog finds what is
left out. `fulfilling.py` carries out what was asked for.

Owns `copy`, `copy_part`, `brought`, `privacy_request` with the log of its steps, `erasure_wish`,
`erasure` (the certificates, which name nobody), `restriction_end` and `retention_sweep`.
"""

from crm.access import fresh
from crm.privacy.actions import (
    erase,
    erase_again,
    erase_old_traces,
    erase_unknown,
    forget_address,
    forget_unknown,
    freeze,
    home,
    inventory,
    traces,
    unfreeze,
)
from crm.privacy.address_back import TakenBack, take_back
from crm.privacy.again import forget_stranger_again, silence_erased_again
from crm.privacy.copies.actions import ask
from crm.privacy.copies.model import Copy, NotReady, UnknownCopy
from crm.privacy.erasure.certificate import (
    Certificate,
    Signed,
    certificate_token,
    open_certificate,
)
from crm.privacy.erasure.certifying import UnknownErasure, certificate
from crm.privacy.erasure.grace import (
    GRACE,
    NothingToCallOff,
    call_off,
    carry_out,
    plan,
    wish_of_link,
)
from crm.privacy.erasure.wishes import call_off_again, plan_again, wish
from crm.privacy.fulfilling import (
    erase_herself,
    free_herself,
    freeze_herself,
    fulfil,
    object_herself,
    object_to_marketing,
    objected_at,
    remind,
)
from crm.privacy.model import (
    Before,
    Erased,
    Fingerprint,
    Home,
    Inventory,
    NotHerChoice,
    Wish,
)
from crm.privacy.requests.model import NewRequest, Request, RequestKind, RequestState
from crm.privacy.restriction.actions import stop_ends
from crm.privacy.retention.processing import Processing, processing

__all__ = [
    "GRACE",
    "Before",
    "Certificate",
    "Copy",
    "Erased",
    "Fingerprint",
    "Home",
    "Inventory",
    "NewRequest",
    "NotHerChoice",
    "NotReady",
    "NothingToCallOff",
    "Processing",
    "Request",
    "RequestKind",
    "RequestState",
    "Signed",
    "TakenBack",
    "UnknownCopy",
    "UnknownErasure",
    "Wish",
    "ask",
    "call_off",
    "call_off_again",
    "carry_out",
    "certificate",
    "certificate_token",
    "erase",
    "erase_again",
    "erase_herself",
    "erase_old_traces",
    "erase_unknown",
    "forget_address",
    "forget_stranger_again",
    "forget_unknown",
    "free_herself",
    "freeze",
    "freeze_herself",
    "fresh",
    "fulfil",
    "home",
    "inventory",
    "object_herself",
    "object_to_marketing",
    "objected_at",
    "open_certificate",
    "plan",
    "plan_again",
    "processing",
    "remind",
    "silence_erased_again",
    "stop_ends",
    "take_back",
    "traces",
    "unfreeze",
    "wish",
    "wish_of_link",
]
