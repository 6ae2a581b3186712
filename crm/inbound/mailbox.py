"""A mailbox by IMAP (RFC 9051): the only file that knows its client, which blocks its thread."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses

from imap_tools import AND, BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError

from crm import names
from crm.inbound import parts
from crm.inbound.model import Mailbox, MailboxTrouble
from crm.return_path import FEEDBACK, parted

PORT_SECONDS = 20
# Larger mail is read in its beginning, which is all that reports and letters say.
LARGEST = 5_000_000
_MOST = 50
_MOST_LINES = 20
# Who delivered it says to whom, most certain first; the last is what its writer typed.
_RECIPIENT_HEADERS = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
_UID = re.compile(r"[0-9]+")


class Opened:
    """A folder of a mailbox that is open."""

    def __init__(self, box: BaseMailBox, kept_in: str) -> None:
        """Begin where `login` has left the folder."""
        self._box = box
        self._kept_in = kept_in

    def uids(self) -> list[str]:
        """List the mails that lie there, the oldest first, so many as one round reads."""
        found = self._box.client.uid("SEARCH", "ALL")
        _checked(found)
        words = (found[1][0] or b"").decode("ascii", "replace").split()
        return [each for each in words if _UID.fullmatch(each)][:_MOST]

    def raw(self, uid: str) -> bytes | None:
        """Fetch one mail without marking it as seen; None where it has gone."""
        found = self._box.client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LARGEST}>)")
        _checked(found)
        for part in found[1]:
            if isinstance(part, tuple) and len(part) > 1:
                return bytes(part[1])
        return None

    def delete(self, uid: str) -> None:
        """Take one mail away for good: a report that was heard."""
        self._box.delete(uid)

    def keep(self, uid: str) -> None:
        """Put one mail aside, where people find it."""
        if not self._box.folder.exists(self._kept_in):
            self._box.folder.create(self._kept_in)
        self._box.move(uid, self._kept_in)

    def clear(self, before: date) -> int:
        """Take away what was put aside and came before that day, some at a time; say how much."""
        if not self._box.folder.exists(self._kept_in):
            return 0
        self._box.folder.set(self._kept_in)
        old = self._box.uids(AND(date_lt=before))[:_MOST]
        if old:
            self._box.delete(old)
        return len(old)


@contextmanager
def opened(mailbox: Mailbox, password: str, *, local: bool) -> Iterator[Opened]:
    """Sign in and open the folder, or refuse with MailboxTrouble, which says what to look at.

    Without `local` only servers that everybody can reach are asked, and never without TLS.
    """
    _check_reachable(mailbox, local=local)
    try:
        box = _connected(mailbox)
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as wrong:
        raise MailboxTrouble(_why(mailbox, wrong)) from None
    try:
        _sign_in(box, mailbox, password)
        box.folder.set(mailbox.folder)
        yield Opened(box, mailbox.kept_in)
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as wrong:
        raise MailboxTrouble(_why(mailbox, wrong)) from None
    finally:
        with suppress(OSError, imaplib.IMAP4.error, ImapToolsError):
            box.logout()
        # After an error the client leaves its line open.
        with suppress(OSError):
            box.client.shutdown()


def recipient_of(raw: bytes, domain: str) -> str:
    """Say which address of ours a fetched mail came to: one with a token, else none.

    A header proves nothing; the token in it does. Of headers longer than any honest mail has, the
    beginning counts, where servers write to whom they delivered it.
    """
    head = message_from_bytes(raw[: parts.LONGEST_HEAD].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    plain = ""
    for address in _addresses(head):
        way, _, at = parted(address)
        if domain and at == domain and way is not None:
            return address
        if domain and at == domain and address.lower().startswith(f"{FEEDBACK}@"):
            plain = address
    return plain


def _addresses(head: Message) -> Iterator[str]:
    for name in _RECIPIENT_HEADERS:
        for line in head.get_all(name, [])[:_MOST_LINES]:
            # One that is broken hides no other.
            with suppress(*parts.BROKEN):
                found = getaddresses([str(line)[: parts.LONGEST_FIELD]])
                yield from (address for _, address in found)


def _sign_in(box: BaseMailBox, mailbox: Mailbox, password: str) -> None:
    try:
        box.login_utf8(mailbox.username, password, initial_folder=None)
    except imaplib.IMAP4.abort:
        # The line was cut, which says nothing of the password.
        raise
    except (imaplib.IMAP4.error, MailboxLoginError):
        where = f"{mailbox.host}:{mailbox.port}"
        raise MailboxTrouble(f"{where} refused this name and password.") from None


def _connected(mailbox: Mailbox) -> BaseMailBox:
    if mailbox.tls == "none":
        return MailBoxUnencrypted(mailbox.host, mailbox.port, timeout=PORT_SECONDS)
    context = ssl.create_default_context()
    if mailbox.tls == "starttls":
        return MailBoxStartTls(
            mailbox.host, mailbox.port, timeout=PORT_SECONDS, ssl_context=context
        )
    return MailBox(mailbox.host, mailbox.port, timeout=PORT_SECONDS, ssl_context=context)


def _check_reachable(mailbox: Mailbox, *, local: bool) -> None:
    """Keep staff of one business from asking what only this machine can reach."""
    if local:
        return
    if mailbox.tls == "none":
        raise MailboxTrouble("A password never goes without TLS; choose implicit or STARTTLS.")
    try:
        found = socket.getaddrinfo(mailbox.host, mailbox.port, proto=socket.IPPROTO_TCP)
    except OSError:
        raise MailboxTrouble(f"There is no server named {mailbox.host}.") from None
    if not names.public([(each[0], each[1], each[2], each[4]) for each in found]):
        raise MailboxTrouble(
            "This server is in a private network. Whoever runs this installation can allow that "
            "(CRM_INBOUND__LOCAL_MAILBOXES)."
        )


def _checked(answer: tuple[str, list[object]]) -> None:
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(answer[0])


def _why(mailbox: Mailbox, wrong: Exception) -> str:
    """Say what to look at; what the server said may quote a name."""
    where = f"{mailbox.host}:{mailbox.port}"
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"The certificate of {where} is not one for that name, or is not trusted."
    if isinstance(wrong, ssl.SSLError):
        return f"{where} does not speak TLS as chosen; try implicit with 993, STARTTLS with 143."
    if isinstance(wrong, TimeoutError):
        return f"{where} did not answer in {PORT_SECONDS} seconds."
    if isinstance(wrong, OSError):
        return f"{where} cannot be reached."
    if isinstance(wrong, imaplib.IMAP4.abort):
        return f"{where} ended the connection."
    return f"{where} refused to open or change the folders entered here."
