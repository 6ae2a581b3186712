"""Owners say where mail comes back to; what is wrong stands beside its field."""

from __future__ import annotations

from tests.browser import Browser

PAGE = "/staff/inbound"
BOX = {
    "host": "imap.example.com",
    "port": "993",
    "tls": "implicit",
    "username": "letters@example.com",
    "password": "horse-battery",
    "folder": "INBOX",
    "kept_in": "Firsthand",
}


async def test_a_mailbox_is_entered_and_its_password_never_shown(console: Browser) -> None:
    assert "Nothing came back yet" in (await console.get(PAGE)).text
    kept = await console.fill(PAGE, f"{PAGE}/mailbox", **BOX)
    shown = (await console.get(PAGE)).text
    assert kept.status_code == 303
    assert "letters@example.com, imap.example.com:993" in shown
    assert "horse-battery" not in shown


async def test_what_is_wrong_is_named(console: Browser) -> None:
    """A password does not go in the clear, and nothing typed is lost."""
    clear = await console.fill(PAGE, f"{PAGE}/mailbox", **BOX | {"tls": "none", "port": "143"})
    empty = await console.fill(PAGE, f"{PAGE}/mailbox", **BOX | {"host": "", "port": "x"})
    assert (clear.status_code, empty.status_code) == (422, 422)
    assert "A password never goes without TLS." in clear.text
    assert 'value="143"' in clear.text
    assert '<a href="#host">Server</a>. Please fill this in.' in empty.text
    assert '<a href="#port">Port</a>. This is a whole number' in empty.text
