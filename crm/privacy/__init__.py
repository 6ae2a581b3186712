"""Everything we hold about one customer: shown to her, taken with her, or deleted.

It calls `export` and `forget` of every domain that holds personal data, in one visible tuple
(`actions.py`), and a test that reads the catalog finds what the tuple leaves out (promises 8 to
11). Owns `privacy_request` and the log of its steps: what customers ask under the GDPR, and until
when it has to be answered; and `erasure`, the certificates of erasures, which name nobody.
"""

from crm.access import fresh
from crm.privacy.actions import copy, erase, erase_traces, freeze, home, inventory, unfreeze
from crm.privacy.answering import (
    erase_herself,
    free_herself,
    freeze_herself,
    fulfil,
    object_herself,
    object_to_marketing,
    remind,
)
from crm.privacy.certificate import (
    Certificate,
    Signed,
    certificate_token,
    open_certificate,
)
from crm.privacy.certifying import UnknownErasure, certificate, drop_old_certificates
from crm.privacy.grace import GRACE, NothingToCallOff, call_off, carry_out, plan, wish_of_link
from crm.privacy.model import (
    Copy,
    Erased,
    Fingerprint,
    Home,
    Inventory,
    NotHerChoice,
    Wish,
)
from crm.privacy.processing import Processing, processing
from crm.privacy.request import NewRequest, Request, RequestKind, RequestState
from crm.privacy.wishes import wish

__all__ = [
    "GRACE",
    "Certificate",
    "Copy",
    "Erased",
    "Fingerprint",
    "Home",
    "Inventory",
    "NewRequest",
    "NotHerChoice",
    "NothingToCallOff",
    "Processing",
    "Request",
    "RequestKind",
    "RequestState",
    "Signed",
    "UnknownErasure",
    "Wish",
    "call_off",
    "carry_out",
    "certificate",
    "certificate_token",
    "copy",
    "drop_old_certificates",
    "erase",
    "erase_herself",
    "erase_traces",
    "free_herself",
    "freeze",
    "freeze_herself",
    "fresh",
    "fulfil",
    "home",
    "inventory",
    "object_herself",
    "object_to_marketing",
    "open_certificate",
    "plan",
    "processing",
    "remind",
    "unfreeze",
    "wish",
    "wish_of_link",
]
