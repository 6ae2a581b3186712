"""One message to one address, on the wire; and the addresses that must not be mailed.

Owns `service_message` and `suppression`. A service message goes at once and a way of its own; a
suppression is a fingerprint, and only its owner's mailbox lifts it.
"""

from crm.mail.actions import (
    LETTERS_KEPT,
    decided_against,
    export,
    forget,
    forget_address,
    lapse_letters,
    letter,
    lift,
    lift_move,
    post_letter,
    post_written,
    rehearse_letter,
    stop_letters,
    suppress,
    suppress_many,
    suppressed,
    suppressed_among,
    texts,
    works_again,
)
from crm.mail.files import Attachment, Inline
from crm.mail.keeping import drop as drop_texts
from crm.mail.model import (
    HeldLetter,
    Letter,
    LetterKind,
    Scope,
    SentLetter,
    Suppression,
    TooManyLetters,
    Why,
)

__all__ = [
    "LETTERS_KEPT",
    "Attachment",
    "HeldLetter",
    "Inline",
    "Letter",
    "LetterKind",
    "Scope",
    "SentLetter",
    "Suppression",
    "TooManyLetters",
    "Why",
    "decided_against",
    "drop_texts",
    "export",
    "forget",
    "forget_address",
    "lapse_letters",
    "letter",
    "lift",
    "lift_move",
    "post_letter",
    "post_written",
    "rehearse_letter",
    "stop_letters",
    "suppress",
    "suppress_many",
    "suppressed",
    "suppressed_among",
    "texts",
    "works_again",
]
