"""An SMTP client's side of one open session, without any I/O: RFC 5321 §4, RFC 2920 §3.1."""

import re
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

from msgspec import Struct

from crm.mail import outcome
from crm.mail.dsn import original, returning, within
from crm.mail.outcome import CLOSING, GO_ON, SEND_CONTENT, Kind, Outcome, Reply, Step, Whose

# A content up to here leaves with its final dot and the next envelope in one write. A larger one
# keeps its dot back until the rest has gone, so that a drop half-way is known not to be a delivery.
INLINE = 64 * 1024
BLOCK = 64 * 1024
# RFC 5321 §4.5.3.1.5 allows 512 octets a reply line; this only has to stop a stream of garbage.
MAX_REPLY = 16 * 1024

_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?$", re.DOTALL)
# RFC 5321 §4.1.2 path, loosely: what must never pass is what could end the command or the path.
_PATH = re.compile(
    r'(?:"[^"\\\x00-\x1f\x7f<>]+"|[^\s"<>\x00-\x1f\x7f]+)(?:@[^\s"<>\x00-\x1f\x7f]+)'
)
_MAX_PATH = 254


class Parcel(Struct, frozen=True):
    """One message for one address; content has CRLF ends, stuffed dots and no final dot line."""

    key: Hashable
    sender: str
    recipient: str
    content: bytes | tuple[bytes, ...]
    smtputf8: bool = False
    # What a report about this message cites (RFC 3461 §4.4), where the server offers DSN.
    envelope_id: str = ""
    # Its composer writes whole lines only, and none that is a dot: it is not searched for one.
    sound: bool = False


class Offers(Struct, frozen=True):
    """What the server announced in its answer to EHLO; `size` 0 means no limit was named."""

    pipelining: bool = False
    eightbit: bool = False
    smtputf8: bool = False
    size_known: bool = False
    size: int = 0
    dsn: bool = False


class Listener(Protocol):
    """Who wants to hear what becomes of the parcels of one session."""

    def take(self) -> Parcel | None:
        """The next parcel, or None when there is none now."""

    def handed(self, parcel: Parcel) -> None:
        """Its content is about to be written: from here on it may arrive."""

    def outcome(self, parcel: Parcel, result: Outcome) -> None:
        """It is over for this parcel."""

    def given_back(self, parcel: Parcel) -> None:
        """Nothing of its content was written; it is as if it had never been taken."""


class _Envelope:
    __slots__ = ("content", "eightbit", "known", "parcel", "refusal", "utf8")

    def __init__(self, parcel: Parcel, content: bytes, *, eightbit: bool, utf8: bool) -> None:
        self.parcel = parcel
        self.content = content
        self.eightbit = eightbit
        self.utf8 = utf8
        self.known = False  # the server accepted MAIL, so a transaction is open
        self.refusal: Outcome | None = None


class Conversation:
    """Envelopes and contents in order: at most one content without an answer, one envelope ahead.

    A parcel taken ends in exactly one of `outcome` and `given_back`.
    """

    def __init__(self, offers: Offers, write: Callable[[bytes], None], listener: Listener) -> None:
        self.over = False
        self.taking = True
        self.writable = True
        self._offers = offers
        self._write = write
        self._listener = listener
        self._busy = False
        self._buffer = b""
        self._lines: list[str] = []
        self._expected: deque[tuple[Step, _Envelope | None]] = deque()
        self._ahead: _Envelope | None = None  # its envelope is out, its content is not
        self._current: _Envelope | None = None  # its content is out, at least in part
        self._left = 0  # octets of the current content still to be written
        self._dotted = False  # the current content's final dot has been written
        self._must_reset = False
        self._premature = False  # what is read now was sent before the content was written
        self.replies = 0  # whole ones heard so far

    @property
    def in_flight(self) -> int:
        """Parcels taken and not yet ended."""
        return (self._ahead is not None) + (self._current is not None)

    @property
    def unanswered(self) -> int:
        """Contents handed over without an answer so far: 0 or 1."""
        return int(self._current is not None)

    @property
    def waiting_for(self) -> Step | None:
        """The step whose reply comes next; None when nothing is expected."""
        return self._expected[0][0] if self._expected else None

    @property
    def writing(self) -> bool:
        """A large content is on its way and its dot is still here."""
        return self._current is not None and not self._dotted

    def fill(self) -> None:
        """Take the next parcel if its envelope may be written now; safe to call at any time."""
        if self._busy or not self.writable:
            return
        self._busy = True
        try:
            if self.writing:
                self._write_blocks()
            elif group := self._next_group():
                self._write(group)
        finally:
            self._busy = False

    def receive(self, data: bytes) -> None:
        """Bytes from the server, cut anywhere."""
        if self.over:
            return
        self._busy = True  # a listener may call fill() from inside; it is done below, once
        self._premature = False
        try:
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                if not self.over:
                    self._line(line.rstrip(b"\r"))
            if self._premature and self._buffer:
                self._garbage(0)
            # A line counts also where it says nothing, or a reply of such lines had no end.
            held = len(self._buffer) + sum(len(line) + 1 for line in self._lines)
            if not self.over and held > MAX_REPLY:
                self._garbage(0)
        finally:
            self._busy = False
        self.fill()

    def end(self, *, timeout: bool = False) -> None:
        """The connection is gone, or is given up: settle what was in flight."""
        if self.over:
            return
        self.over = True
        current, ahead = self._current, self._ahead
        self._current = self._ahead = None
        if current is not None:
            lost = outcome.lost(content_left=self._dotted, timeout=timeout)
            self._listener.outcome(current.parcel, lost)
        if ahead is not None:
            if ahead.refusal is not None:
                self._listener.outcome(ahead.parcel, ahead.refusal)
            else:
                self._listener.given_back(ahead.parcel)

    def quit(self) -> None:
        """Say goodbye; only when nothing is in flight."""
        self.taking = False
        self._expected.append((Step.quit, None))
        self._write(b"QUIT\r\n")

    # What to write ------------------------------------------------------------------------------

    def _next_group(self) -> bytes:
        """The opening of the next envelope, if there is one and it may be sent now."""
        room = self._ahead is None and (self._current is None or self._offers.pipelining)
        if self.over or not self.taking or not room:
            return b""
        while (parcel := self._listener.take()) is not None:
            found = self._envelope(parcel)
            if isinstance(found, _Envelope):
                self._ahead = found
                return self._opening(found)
            self._listener.outcome(parcel, found)
        return b""

    def _envelope(self, parcel: Parcel) -> "_Envelope | Outcome":
        """The parcel as this server can take it, or why it cannot."""
        offers = self._offers
        content = parcel.content if isinstance(parcel.content, bytes) else b"".join(parcel.content)
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        eightbit = not content.isascii()
        utf8 = parcel.smtputf8 or not (parcel.recipient + parcel.sender).isascii()
        if not _path(parcel.recipient) or not (parcel.sender == "" or _path(parcel.sender)):
            return outcome.refused_here("bad_address", Whose.ours)
        if not parcel.sound and _ends_early(content):
            return outcome.refused_here("bad_content", Whose.ours)
        if utf8 and not offers.smtputf8:
            return outcome.refused_here("needs_smtputf8", Whose.ours)  # RFC 6531 §3.2: never send
        if eightbit and not offers.eightbit:
            return outcome.refused_here("needs_8bitmime", Whose.ours)
        if 0 < offers.size < len(content):
            return outcome.refused_here("too_large", Whose.content)
        return _Envelope(parcel, content, eightbit=eightbit, utf8=utf8)

    def _opening(self, envelope: _Envelope) -> bytes:
        command = f"MAIL FROM:<{envelope.parcel.sender}>"
        if self._offers.size_known:
            command += f" SIZE={len(envelope.content)}"
        if envelope.eightbit:
            command += " BODY=8BITMIME"
        if envelope.utf8:
            command += " SMTPUTF8"
        if self._offers.dsn and envelope.parcel.sender:
            command = within(command, returning(envelope.parcel.envelope_id))
        group = (command + "\r\n").encode()
        steps = [Step.mail]
        if self._offers.pipelining:
            group += self._rcpt(envelope) + b"DATA\r\n"
            steps += [Step.rcpt, Step.data]
        if self._must_reset:
            self._must_reset = False
            self._expected.append((Step.reset, None))
            group = b"RSET\r\n" + group
        self._expected.extend((step, envelope) for step in steps)
        return group

    def _rcpt(self, envelope: _Envelope) -> bytes:
        recipient = envelope.parcel.recipient
        command = f"RCPT TO:<{recipient}>"
        if self._offers.dsn and envelope.parcel.sender:
            command = within(command, " NOTIFY=FAILURE,DELAY")
            command = within(command, f" ORCPT={original(recipient)}")
        return f"{command}\r\n".encode()

    def _write_content(self, envelope: _Envelope) -> None:
        self._ahead, self._current = None, envelope
        self._expected.append((Step.content, envelope))
        self._left = len(envelope.content)
        self._dotted = False
        self._premature = True
        self._listener.handed(envelope.parcel)
        if len(envelope.content) <= INLINE:
            self._dotted = True
            self._write(b"".join((envelope.content, b".\r\n", self._next_group())))
        else:
            self._write_blocks()

    def _write_blocks(self) -> None:
        """As much of a large content as the connection takes; the dot when all of it has gone."""
        envelope = self._current
        while envelope is not None and self.writable and not self.over:
            if self._left == 0:
                self._dotted = True
                self._write(b".\r\n" + self._next_group())
                return
            begin = len(envelope.content) - self._left
            block = envelope.content[begin : begin + BLOCK]
            self._left -= len(block)
            self._write(block)

    # What was said ------------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        found = _REPLY_LINE.match(line)
        if found is None or self._premature:
            # Nothing that came with the 354 can be an answer to the content, least of all a yes.
            self._garbage(0)
            return
        code, mark, rest = found.groups()
        text = (rest or b"").decode(errors="replace")
        if self._lines and self._lines[0] != code.decode():
            self._garbage(int(code))
        elif mark == b"-":
            self._lines = self._lines or [code.decode()]
            self._lines.append(text)
        else:
            said, self._lines = self._lines[1:], []
            self._reply(Reply(int(code), " ".join([*said, text]) if said else text))

    def _reply(self, reply: Reply) -> None:
        self.replies += 1
        if not self._expected:
            # A 421 may come at any time; anything else unasked means we no longer understand.
            self.end()
            return
        step, envelope = self._expected.popleft()
        if envelope is None:
            if step is Step.quit or not reply.positive:
                self.end()
        elif step is Step.content:
            self._after_content(envelope, reply)
        elif step is Step.data:
            self._after_data(envelope, reply)
        elif step is Step.discard:
            envelope.known = False  # whatever it said, the dot ended the transaction
            self._refuse(envelope)
        else:
            self._after_command(step, envelope, reply)
        if reply.code == CLOSING:
            self.end()

    def _after_command(self, step: Step, envelope: _Envelope, reply: Reply) -> None:
        if reply.first == GO_ON:
            self._garbage(reply.code)
            return
        if reply.positive:
            envelope.known = True
        elif reply.code == CLOSING and step is Step.mail:
            return  # the connection was refused, not the parcel: end() gives it back
        elif envelope.refusal is None:
            envelope.refusal = self._judge(step, envelope, reply)
        if not self._offers.pipelining:
            if envelope.refusal is not None:
                self._refuse(envelope)
            elif step is Step.mail:
                self._expected.append((Step.rcpt, envelope))
                self._write(self._rcpt(envelope))
            else:
                self._expected.append((Step.data, envelope))
                self._write(b"DATA\r\n")

    def _after_data(self, envelope: _Envelope, reply: Reply) -> None:
        if reply.code == SEND_CONTENT and envelope.refusal is None:
            self._write_content(envelope)
        elif reply.code == SEND_CONTENT:
            # RFC 2920 §3.1: told to go on although nobody will get it, so end it at once.
            self._expected.append((Step.discard, envelope))
            self._write(b".\r\n")
        elif reply.positive or reply.first == GO_ON:
            self._garbage(reply.code)
        else:
            envelope.refusal = envelope.refusal or self._judge(Step.data, envelope, reply)
            self._refuse(envelope)

    def _after_content(self, envelope: _Envelope, reply: Reply) -> None:
        left, self._current = self._dotted, None
        result = self._judge(Step.content, envelope, reply)
        if not left and result.kind not in (Kind.failed, Kind.later):
            result = outcome.garbled(content_left=False, code=reply.code)
        self._listener.outcome(envelope.parcel, result)
        if not left or reply.first == GO_ON:
            self.end()  # answered before the dot: what follows would be read as commands

    def _refuse(self, envelope: _Envelope) -> None:
        self._ahead = None
        self._must_reset = envelope.known
        if envelope.refusal is not None:
            self._listener.outcome(envelope.parcel, envelope.refusal)

    def _judge(self, step: Step, envelope: _Envelope, reply: Reply) -> Outcome:
        return outcome.verdict(step, reply, envelope.parcel.recipient)

    def _garbage(self, code: int) -> None:
        """Not SMTP: whoever's answer it was ends by it; nothing after it can be trusted."""
        current, ahead = self._current, self._ahead
        step = self.waiting_for
        if current is not None:
            self._current = None
            lost = outcome.garbled(content_left=self._dotted, code=code)
            self._listener.outcome(current.parcel, lost)
        elif ahead is not None and step is not Step.reset:
            self._ahead = None
            result = ahead.refusal or outcome.garbled(content_left=False, code=code)
            self._listener.outcome(ahead.parcel, result)
        self.end()


def _path(address: str) -> bool:
    return len(address.encode()) <= _MAX_PATH and _PATH.fullmatch(address) is not None


def _ends_early(content: bytes) -> bool:
    """Whether some server could read the end of the message, and a command, inside of it.

    A content of ours has CRLF ends only, so a lone CR or LF is somebody else's (RFC 5321 §2.3.8).
    """
    ends = content.count(b"\r\n")
    if content.count(b"\n") != ends or content.count(b"\r") != ends:
        return True
    return b"\r\n.\r\n" in content or content.startswith(b".\r\n")
