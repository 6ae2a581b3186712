"""Where somebody is, however a program writes it down."""

from __future__ import annotations

from typing import Any

import pytest
from litestar.testing import RequestFactory

from crm.consent.asking import network_of
from crm.imports.model import address_of
from crm.visitors import located

WRITTEN = [
    ("203.0.113.9", "203.0.113.9"),
    ("::ffff:203.0.113.9", "203.0.113.9"),
    ("::FFFF:CB00:7109", "203.0.113.9"),
    ("2001:DB8::9", "2001:db8::9"),
    ("::1", "::1"),
]


@pytest.mark.parametrize(("written", "meant"), WRITTEN)
def test_ipv4_in_ipv6_is_ipv4(written: str, meant: str) -> None:
    """A program that listens for both writes it so."""
    request: Any = RequestFactory().get("/")
    request.scope["client"] = (written, 1)
    assert str(located(written)) == meant
    assert network_of(request).address == meant
    assert address_of(written) == meant


def test_what_is_no_address_is_none() -> None:
    request: Any = RequestFactory().get("/")
    request.scope["client"] = ("a socket", 1)
    assert network_of(request).address == "a socket"
    with pytest.raises(ValueError, match="a socket"):
        located("a socket")
