"""What a relay that offers DSN is asked to report, and about what: RFC 3461, RFC 6533."""

import re

# RFC 5321 §4.5.3.1.4; extensions allow more, but a relay that counts by the letter is not tried.
_MAX_COMMAND = 512
_MAX_ENVELOPE_ID = 100  # RFC 3461 §4.4
_XTEXT = re.compile(r"[^!-~]|[+=]")
_UTF8_XTEXT = re.compile(r"[^!-~]|[+=\\]")


def within(command: str, more: str) -> str:
    """The command with more to it, if it stays a command that every server reads."""
    longer = command + more
    return longer if len(longer.encode()) + len(b"\r\n") <= _MAX_COMMAND else command


def returning(envelope_id: str) -> str:
    """Reports are to return headers only: a whole mail coming back is personal data."""
    named = _xtext(envelope_id)
    return f" RET=HDRS ENVID={named}" if 0 < len(named) <= _MAX_ENVELOPE_ID else " RET=HDRS"


def original(recipient: str) -> str:
    """The address as a report cites it: RFC 3461 §4.2, RFC 6533 §3 where it is not ASCII."""
    if recipient.isascii():
        return f"rfc822;{_xtext(recipient)}"
    return "utf-8;" + _UTF8_XTEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", recipient)


def _xtext(text: str) -> str:
    """RFC 3461 §4."""
    return _XTEXT.sub(lambda found: "".join(f"+{octet:02X}" for octet in found[0].encode()), text)
