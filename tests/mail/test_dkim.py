"""Whoever receives our mail can check who signed it, and that nothing was changed on the way."""

from __future__ import annotations

import email.policy
import random
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import dkim  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from crm.campaigns.render import Compiled, Draft, compile_message
from crm.campaigns.source import read_newsletter
from crm.mail import mime
from crm.mail.dkim import Signer, SigningKey, kept, new_rsa_key, opened, published, relaxed_body
from tests.campaigns.test_render import BAKERY

OWN = Path(__file__).parents[1] / "fixtures" / "newsletters"
SHARED = Path(__file__).parents[3] / "shared" / "data"
VECTORS = SHARED / "vectors" / "dkim"

AT = datetime(2026, 11, 23, 1, 54, 40, tzinfo=UTC)
DOMAIN = "corner.example"
# Its sender needs encoded words.
LETTERHEAD = structs.replace(BAKERY, sender_name="Corner Bäckerei")
RSA, ED = SigningKey("r1", new_rsa_key()), SigningKey("e1", Ed25519PrivateKey.generate())
BOTH = Signer(DOMAIN, [RSA, ED])
# RFC 8463 appendix A.2, which is the first test of RFC 8032.
RFC_KEY = Ed25519PrivateKey.from_private_bytes(
    b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
)
RFC_RECORD = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
RFC_BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
SIMPLE = (
    b"From: Joe <joe@corner.example>\r\nTo: suzie@example.net\r\nSubject: Is dinner ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@corner.example>\r\n"
)
MANY = 2000


def signatures(signed: bytes) -> list[dict[str, str]]:
    """Read the tags of each signature, in order."""
    head = re.sub(rb"\r\n[ \t]+", b" ", signed.partition(b"\r\n\r\n")[0])
    lines = [line for line in head.split(b"\r\n") if line.startswith(b"DKIM-Signature:")]
    found = []
    for line in lines:
        tags = [tag.partition("=") for tag in line.decode().partition(":")[2].split(";")]
        found.append({name.strip(): re.sub(r"\s", "", value) for name, _, value in tags})
    return found


def verifies(signed: bytes) -> bool:
    """Ask dkimpy about both signatures, which stand or fall together."""
    records = {name: published(each.key) for name, each in (("r1", RSA), ("e1", ED))}
    found = {stands(signed, records, index) for index in range(len(records))}
    assert len(found) == 1
    return found.pop()


def stands(signed: bytes, records: Mapping[str, str], index: int = 0, of: str = DOMAIN) -> bool:
    """Ask dkimpy about one signature, with what DNS has for each selector."""
    known = {f"{name}._domainkey.{of}.".encode(): each.encode() for name, each in records.items()}
    try:
        return bool(dkim.DKIM(signed).verify(index, lambda name, **_: known.get(name)))
    except dkim.ValidationError:
        return False


def draft(source: str, **changed: Any) -> Draft:
    given: dict[str, Any] = {
        "subject": "Rye für {{ first_name }}",
        "purpose": "The Corner Letter",
        "list_id": "letter.lists.corner.example",
        "kind": "markdown",
    }
    return Draft(source=source, **{**given, **changed})


@cache
def newsletters() -> list[Compiled]:
    """Compile every newsletter there is as a campaign does."""
    shared = (SHARED / "newsletters").glob("*")
    read = [read_newsletter(path.read_bytes(), path.name) for path in [*OWN.glob("*"), *shared]]
    return [
        compile_message(
            draft(each.source, kind=each.kind, subject=f"{each.subject or 'X'} für {{{{ name }}}}"),
            LETTERHEAD,
        )
        for each in read
    ]


def slots(number: int) -> mime.Slots:
    return mime.Slots(
        to=f"reader{number}@example.net",
        message_id=f"<{number:x}.7c2e@corner.example>",
        date="Mon, 23 Nov 2026 01:54:40 +0000",
        unsubscribe=f"https://corner.example/u/{number:064d}",
        preferences="https://corner.example/p/tok",
        why="https://corner.example/w/tok",
    )


def messages(among: list[Compiled], many: int) -> Iterator[bytes]:
    """Write messages of these newsletters in turn, each to somebody else."""
    names = random.Random(8463)
    letters = "abc   ÄÖü 雪 лук =. \t \u202e"
    for number, compiled in enumerate(islice(cycle(among), many)):
        name = "".join(names.choices(letters, k=names.randrange(1, 40))).strip() or "Nora"
        values = {"name": name, "first_name": name, "address": "nora@example.net"}
        yield compiled.bytes_for(values, slots(number))


def test_thousands_of_messages_verify() -> None:
    short = [compile_message(draft("Dear {{ first_name }},\n\nrye **today**."), LETTERHEAD)]
    for number, message in enumerate(messages(short, MANY)):
        assert verifies(BOTH.signed(message, AT, tidy=True)), number


def test_dkimpy_verifies_every_newsletter() -> None:
    every = newsletters()
    if not (SHARED / "newsletters").is_dir():
        pytest.skip("the collection of newsletters is not here")
    files = [*(SHARED / "newsletters").glob("*"), *OWN.glob("*")]
    assert len(every) == len(files)
    for message in messages(every, 3 * len(every)):
        signed = BOTH.signed(message, AT, tidy=True)
        assert signed.endswith(message)
        assert verifies(signed)


def test_the_bytes_are_as_the_standards_want_them() -> None:
    for message in messages(newsletters(), 23):
        signed = BOTH.signed(message, AT)
        assert b"\n" not in signed.replace(b"\r\n", b"")
        assert b"\r" not in signed.replace(b"\r\n", b"")
        assert max(len(line) for line in signed.split(b"\r\n")) <= 998
        parsed = message_from_bytes(signed, policy=email.policy.SMTP)
        assert not parsed.defects
        names = [name.lower() for name in parsed.keys() if name != "DKIM-Signature"]  # noqa: SIM118
        assert len(names) == len(set(names))
        for tags, key in zip(signatures(signed), (RSA, ED), strict=True):
            assert set(tags) == {"v", "a", "c", "d", "s", "t", "h", "bh", "b"}
            assert (tags["v"], tags["c"], tags["d"]) == ("1", "relaxed/relaxed", DOMAIN)
            assert (tags["a"], tags["s"]) == (key.algorithm, key.selector)
            assert tags["t"] == str(int(AT.timestamp()))
            covered = tags["h"].lower().split(":")
            for name in ("from", "subject", "list-unsubscribe", "list-unsubscribe-post", "to"):
                assert covered.count(name) == 2, name
            assert {"cc", "reply-to"} <= set(covered)
            assert not {"return-path", "received", "bcc"} & set(covered)
            left = set(names) - set(covered)
            assert left <= {"precedence", "x-auto-response-suppress"}, left


def test_nobody_adds_or_changes_what_is_signed() -> None:
    signed = BOTH.signed(next(messages(newsletters(), 1)), AT)
    assert verifies(signed)
    head, end, body = signed.partition(b"\r\n\r\n")
    for changed in (
        b"Subject: Free money\r\n" + signed,
        head + b"\r\nReply-To: thief@example.org" + end + body,
        head + b"\r\nList-Unsubscribe: <https://thief.example>" + end + body,
        head.replace(b"List-Unsubscribe-Post: ", b"List-Unsubscribe-Post: x") + end + body,
        signed + b"<img src=https://pixel.example>\r\n",
    ):
        assert not verifies(changed)
    # What relays do all the time.
    assert verifies(b"Received: from here by there; now\r\n" + signed)


BLANKS = st.text(st.sampled_from(" \tab."), max_size=12)


@given(
    lines=st.lists(BLANKS, max_size=8),
    # On the wire a body is empty or ends with CRLF.
    ending=st.sampled_from(["\r\n", "\r\n\r\n", "\t\r\n", " \r\n\r\n \r\n"]),
    subject=BLANKS,
    folded=st.booleans(),
)
def test_blanks_are_taken_as_dkimpy_takes_them(
    lines: list[str], ending: str, subject: str, *, folded: bool
) -> None:
    body = ("\r\n".join(lines) + ending).encode()
    field = f"Subject:{subject}" + ("\r\n  \tmore " if folded else "x")
    message = SIMPLE.replace(b"Subject: Is dinner ready?", field.encode()) + b"\r\n" + body
    signed = BOTH.signed(message, AT)
    assert verifies(signed)
    assert dkim.canonicalization.Relaxed.canonicalize_body(body) in {relaxed_body(body), b"\r\n"}


@pytest.mark.parametrize(
    ("body", "hashed"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" \t \r\n", b""),
        (b"a", b"a\r\n"),
        (b" a \t b\t\r\n \r\n", b" a b\r\n"),
        (b"a \r\n\r\nb", b"a\r\n\r\nb\r\n"),
    ],
)
def test_the_body_is_hashed_as_rfc_6376_says(body: bytes, hashed: bytes) -> None:
    assert relaxed_body(body) == hashed


def test_the_example_of_rfc_8463_comes_out() -> None:
    assert published(RFC_KEY) == RFC_RECORD
    digest = sha256(relaxed_body(RFC_BODY)).digest()
    assert digest == b64decode("2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=")
    signed = Signer(DOMAIN, [SigningKey("e1", RFC_KEY)]).signed(SIMPLE + b"\r\n" + RFC_BODY, AT)
    assert stands(signed, {"e1": RFC_RECORD})


def test_signed_samples_have_the_body_hash_that_we_find() -> None:
    if not VECTORS.is_dir():
        pytest.skip("the collection of signed mail is not here")
    checked = 0
    for path in [*VECTORS.glob("*.msg"), *VECTORS.glob("dkimpy/*.msg")]:
        raw = re.sub(rb"\r?\n", b"\r\n", path.read_bytes())
        for tags in signatures(raw):
            if tags["c"].endswith("/relaxed") and "l" not in tags:
                body = raw.partition(b"\r\n\r\n")[2]
                assert sha256(relaxed_body(body)).digest() == b64decode(tags["bh"]), path.name
                checked += 1
    assert checked > 2


@pytest.mark.parametrize("name", ["test.message", "test2.message", "test_extra.message"])
def test_what_others_wrote_can_be_signed(name: str) -> None:
    if not VECTORS.is_dir():
        pytest.skip("the collection of signed mail is not here")
    raw = re.sub(rb"\r?\n", b"\r\n", (VECTORS / "dkimpy" / name).read_bytes())
    signed = BOTH.signed(raw, AT)
    assert verifies(signed)


def test_a_header_of_every_shape_is_signed_to_the_byte() -> None:
    """Folds, blanks before and after the colon, an empty field, signatures of others on top."""
    message = (
        b"DKIM-Signature: v=1; a=x; b=one\r\nReceived: from a\r\n by b\r\n"
        b"DKIM-Signature: v=1; b=two\r\nFrom : Joe  Baker\t<joe@corner.example>\r\n"
        b"To:suzie@example.net\r\nSubject:  Is dinner\r\n\t ready? \t\r\nX-Empty:\r\n"
        b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@corner.example>\r\n"
        b"List-Unsubscribe: <https://corner.example/u/1>,\r\n <mailto:u@corner.example>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        b"\r\nHi.\r\n\r\nWe lost  the game.\t\r\n\r\n\r\n"
    )
    signed = Signer(DOMAIN, [SigningKey("e1", RFC_KEY)]).signed(message, AT)

    assert signed == (
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        b" d=corner.example; s=e1;\r\n t=1795398880;\r\n"
        b" h=From:To:Subject:Date:Message-ID:List-Unsubscribe:\r\n"
        b" List-Unsubscribe-Post:From:To:Cc:Subject:Date:Reply-To:Message-ID:\r\n"
        b" MIME-Version:Content-Type:List-Unsubscribe:List-Unsubscribe-Post;\r\n"
        b" bh=sTT02lKuPAH1nGYBiIjR27DGuCuXdYrdO56uQNzQX+8=;\r\n"
        b" b=8n/pLSgBGnZYmLnzzhE37q0EwaGVTXQ9hT9VkepU97wCZrBRCYgaPunYc1hh00JT2wW7HRa4\r\n"
        b" Yaff8vn5VpK9Bw==\r\n" + message
    )
    # dkimpy does not find a field with a blank before its colon (RFC 5322 §4.5.3).
    usual = message.replace(b"From :", b"From:")
    assert stands(Signer(DOMAIN, [SigningKey("e1", RFC_KEY)]).signed(usual, AT), {"e1": RFC_RECORD})


@pytest.mark.parametrize(
    "wrong",
    [
        SIMPLE.replace(b"From: Joe <joe@corner.example>\r\n", b""),
        SIMPLE + b"Subject: once more\r\n",
        SIMPLE + b"from: thief@example.org\r\n",
        SIMPLE + b"From thief Mon Nov 23\r\n",
        SIMPLE + b"X-Note: one\nFrom: thief@example.org\r\n",
    ],
    ids=["no From", "two subjects", "two From", "no field", "a bare LF"],
)
def test_what_is_no_message_is_not_signed(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=r"From|twice|no field"):
        BOTH.signed(wrong + b"\r\nHello\r\n", AT)


@pytest.mark.parametrize("key", [RSA, ED], ids=["rsa", "ed25519"])
def test_a_key_is_kept_and_shows_nothing(key: SigningKey) -> None:
    again = opened(kept(key.key))
    assert published(again) == published(key.key)
    assert repr(key) == f"SigningKey({key.selector})"
