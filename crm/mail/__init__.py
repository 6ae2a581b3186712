"""One message to one address, on the wire; and the addresses that must not be mailed.

Owns `service_message`, `service_purpose` and `suppression`. A service message goes at once and a
way of its own, one that a program wrote for a declared purpose; a suppression is a fingerprint, and
what somebody decided only her mailbox lifts.
"""

from crm.mail.actions import (
    LETTERS_KEPT,
    decided_against,
    end_move,
    export,
    forget,
    forget_address,
    lapse_letters,
    letter,
    lift,
    lift_bounce,
    lift_former,
    lift_heard,
    lift_move,
    post_letter,
    post_written,
    rehearse_letter,
    stop_letters,
    suppress,
    suppress_many,
    suppressed,
    suppressed_among,
    suppressions,
    suppressions_among,
    texts,
    works_again,
    write,
)
from crm.mail.files import Attachment, Inline
from crm.mail.keeping import drop as drop_texts
from crm.mail.model import (
    HeldLetter,
    HeldSuppression,
    Letter,
    LetterKind,
    Scope,
    SentLetter,
    Suppression,
    TooManyLetters,
    Why,
    Written,
)
from crm.mail.service import ServiceMessage, check_room
from crm.mail.service import came_back as service_message_came_back
from crm.mail.service import get as service_message
from crm.mail.service import post as post_service_message
from crm.mail.service_purpose import (
    NewServicePurpose,
    ServicePurpose,
    declare_service_purpose,
    service_purpose,
    service_purposes,
)

__all__ = [
    "LETTERS_KEPT",
    "Attachment",
    "HeldLetter",
    "HeldSuppression",
    "Inline",
    "Letter",
    "LetterKind",
    "NewServicePurpose",
    "Scope",
    "SentLetter",
    "ServiceMessage",
    "ServicePurpose",
    "Suppression",
    "TooManyLetters",
    "Why",
    "Written",
    "check_room",
    "decided_against",
    "declare_service_purpose",
    "drop_texts",
    "end_move",
    "export",
    "forget",
    "forget_address",
    "lapse_letters",
    "letter",
    "lift",
    "lift_bounce",
    "lift_former",
    "lift_heard",
    "lift_move",
    "post_letter",
    "post_service_message",
    "post_written",
    "rehearse_letter",
    "service_message",
    "service_message_came_back",
    "service_purpose",
    "service_purposes",
    "stop_letters",
    "suppress",
    "suppress_many",
    "suppressed",
    "suppressed_among",
    "suppressions",
    "suppressions_among",
    "texts",
    "works_again",
    "write",
]
