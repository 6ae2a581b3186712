"""How a customer gets in and out: sign-up, confirmation, the portal's door, and leaving by link.

Owns `signup`, `portal_link` and `portal_session`. A sign-up that nobody confirmed is no customer
and is forgotten. Nothing here tells a stranger whose address is known. Leaving needs no sign-in
and is never refused (promise 8).
"""

from crm.access.actions import (
    confirm,
    confirm_by_code,
    confirmed_before,
    export,
    forget,
    offers,
    seal_form,
    start,
    tidy,
    unseal_form,
    waiting,
)
from crm.access.asking_out import send_way_out
from crm.access.form import BadForm, Shown
from crm.access.leaving import leave, leave_by_address, purpose_of, standings
from crm.access.model import (
    Choice,
    Confirmed,
    Entered,
    Export,
    Link,
    LinkOver,
    NewSignup,
    Offer,
    OtherBrowser,
    Session,
    SignedOut,
    Signup,
    Stopped,
    TooManyCodes,
    WrongCode,
)
from crm.access.receipts import mail_receipt
from crm.access.sessions import (
    link,
    of_browser,
    open_by_code,
    open_link,
    open_session,
    send_link,
)

__all__ = [
    "BadForm",
    "Choice",
    "Confirmed",
    "Entered",
    "Export",
    "Link",
    "LinkOver",
    "NewSignup",
    "Offer",
    "OtherBrowser",
    "Session",
    "Shown",
    "SignedOut",
    "Signup",
    "Stopped",
    "TooManyCodes",
    "WrongCode",
    "confirm",
    "confirm_by_code",
    "confirmed_before",
    "export",
    "forget",
    "leave",
    "leave_by_address",
    "link",
    "mail_receipt",
    "of_browser",
    "offers",
    "open_by_code",
    "open_link",
    "open_session",
    "purpose_of",
    "seal_form",
    "send_link",
    "send_way_out",
    "standings",
    "start",
    "tidy",
    "unseal_form",
    "waiting",
]
