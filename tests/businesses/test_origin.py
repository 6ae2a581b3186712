"""What is the base of every link of every mail: an origin, and never what only looks like one."""

from __future__ import annotations

import pytest

from crm.above import business_of_host
from crm.businesses import Business
from crm.businesses.origin import checked_origin
from crm.db import Database
from crm.errors import Invalid
from tests.browser import Browser

_PATCH = {"content-type": "application/merge-patch+json", "if-match": "*"}
_UMLAUT = "b\N{LATIN SMALL LETTER A WITH DIAERESIS}ckerei"


@pytest.mark.parametrize(
    ("typed", "origin", "host"),
    [
        (" https://Letters.Example.com/ ", "https://letters.example.com", "letters.example.com"),
        ("HTTP://localhost:8080", "http://localhost:8080", "localhost"),
        ("https://a.example:", "https://a.example", "a.example"),
        ("https://a.example:443", "https://a.example", "a.example"),
        ("http://a.example:80", "http://a.example", "a.example"),
        ("http://a.example:443", "http://a.example:443", "a.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1"),
        ("http://[0:0::1]:8000/", "http://[::1]:8000", "[::1]"),
        ("http://my_machine", "http://my_machine", "my_machine"),
        (
            f"https://{_UMLAUT.upper()}.example:8443",
            "https://xn--bckerei-5wa.example:8443",
            "xn--bckerei-5wa.example",
        ),
        (
            "https://XN--bckerei-5wa.example",
            "https://xn--bckerei-5wa.example",
            "xn--bckerei-5wa.example",
        ),
    ],
)
def test_it_is_kept_as_browsers_write_it(typed: str, origin: str, host: str) -> None:
    assert checked_origin(typed) == (origin, host)
    assert checked_origin(origin) == (origin, host)


WRONG = [
    "",
    "https://",
    "https://:443",
    "letters.example.com",
    "ftp://letters.example.com",
    "https://letters.example.com/path",
    "https://letters.example.com?a",
    "https://letters.example.com#a",
    "https://[bad",
    "https://[::1",
    "https://[::g]",
    "https://[fe80::1%25eth0]",
    "https://[127.0.0.1]",
    "https://a\N{ACCOUNT OF}.example",
    "https://a b",
    "https://a\tb.example",
    "https://a\nb.example",
    "https://x:port",
    "https://x:0",
    "https://x:70000",
    "https://x:-1",
    "https://x:1:2",
    "https://a<b>.example",
    'https://a".example',
    "https://a%2e.example",
    "https://a\\b.example",
    "https://u@evil.example",
    "https://u:p@evil.example",
    "https://@evil.example",
    "https://a..example",
    "https://.example",
    "https://a.example.",
    "https://256.1.1.1",
    "https://1.2.3",
    "https://a.0x1",
    "https://xn--a.example",
    f"https://-{_UMLAUT}.example",
    f"https://{'a' * 64}.example",
    f"https://{'a.' * 130}example",
    "https://\ud800.example",
]


@pytest.mark.parametrize("typed", WRONG)
def test_what_is_none_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        checked_origin(typed)


@pytest.mark.parametrize("typed", [each for each in WRONG if each.isprintable()])
async def test_programs_are_told_so(api: Browser, typed: str) -> None:
    answer = await api.patch("/v1/business", json={"origin": typed}, headers=_PATCH)
    assert answer.status_code == 422


async def test_pages_answer_at_an_international_name(
    api: Browser, database: Database, business: Business
) -> None:
    label = f"b\N{LATIN SMALL LETTER A WITH DIAERESIS}{business.id.hex[:8]}"
    origin = {"origin": f"https://{label}.example"}
    answer = await api.patch("/v1/business", json=origin, headers=_PATCH)
    assert answer.status_code == 200
    kept = answer.json()["origin"]
    assert kept == f"https://{label.encode('idna').decode()}.example"
    assert await business_of_host(database, kept.removeprefix("https://")) == business.id
