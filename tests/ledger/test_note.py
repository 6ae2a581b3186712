"""Signed notes, checkpoints and proofs as files: written in one way, and nothing else is read."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crm.ledger import note
from crm.ledger.checkpoint import Checkpoint, Proof, checkpoint_of, read_number, read_proof
from crm.ledger.note import BadNote, Verifier
from crm.ledger.tree import EMPTY

# The key of the specification's own examples.
SPEC = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NAME = "bakery.example/ledger/1"
HEAD = Checkpoint(NAME, 48_213, EMPTY)


def verifier(key: Ed25519PrivateKey = KEY, name: str = NAME) -> Verifier:
    return Verifier(name, key.public_key().public_bytes_raw())


def test_a_key_is_one_line() -> None:
    read = note.read_vkey(SPEC)
    assert (read.name, read.key_id.hex()) == ("example.com/foo", "530d903a")
    assert str(read) == SPEC


def test_what_is_signed_is_read_and_checked() -> None:
    signed = note.sign(HEAD.text(), NAME, KEY)
    assert signed == note.sign(HEAD.text(), NAME, KEY)
    assert note.read(signed).check([verifier()]) == verifier()
    assert checkpoint_of(signed) == HEAD


def test_the_text_may_have_empty_lines() -> None:
    signed = note.sign("one\n\ntwo\n", NAME, KEY)
    assert note.read(signed).text == "one\n\ntwo\n"
    note.read(signed).check([verifier()])


def test_unknown_signatures_are_passed_over() -> None:
    signed = note.sign(HEAD.text(), NAME, KEY)
    witness = note.sign(HEAD.text(), "witness.example", OTHER).rpartition("\n\n")[2]
    both = note.read(signed + witness)
    assert both.check([verifier()]) == verifier()
    assert both.check([verifier(OTHER, "witness.example")]).name == "witness.example"
    # The same name with another key is another key.
    with pytest.raises(BadNote, match="none of the known keys"):
        both.check([verifier(OTHER)])


def test_a_known_signature_that_is_wrong_spoils_the_note() -> None:
    signed = note.sign(HEAD.text(), NAME, KEY)
    forged = note.sign(HEAD.text(), "witness.example", OTHER).rpartition("\n\n")[2]
    changed = (signed + forged).replace("48213", "48214", 1)
    with pytest.raises(BadNote, match=f"signature of {NAME} does not belong"):
        note.read(changed).check([verifier(), verifier(OTHER, "witness.example")])


def _broken(signed: str) -> list[str]:
    text, _, line = signed.rpartition("\n\n")
    return [
        "",
        text,
        signed.rstrip("\n"),
        signed.replace("\n\n", "\n"),
        signed.replace("\N{EM DASH}", "-"),
        signed.replace("\N{EM DASH} ", "\N{EM DASH}  "),
        signed.replace(NAME + " ", "a+b "),
        signed.replace("48213", "48213\r"),
        f"{text}\n\n{line.rstrip()}!\n",
        f"{text}\n\n\N{EM DASH} {NAME} AAAA\n",
        f"{text}\n\n\N{EM DASH} {NAME} {b64encode(b'k' * 68).decode()}=\n",
        f"{text}\n\n" + line * 65,
    ]


@pytest.mark.parametrize("number", range(12))
def test_what_is_not_written_like_a_note(number: int) -> None:
    with pytest.raises(BadNote):
        note.read(_broken(note.sign(HEAD.text(), NAME, KEY))[number])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "example.com/foo",
        SPEC.replace("530d903a", "530d903b"),
        SPEC.replace("example.com/foo", "example.com/bar"),
        SPEC.replace("+Ae", "+Be"),
        SPEC.replace("example.com/foo", "example com"),
        SPEC + "=",
    ],
)
def test_what_is_not_written_like_a_key(line: str) -> None:
    with pytest.raises(BadNote):
        note.read_vkey(line)


@pytest.mark.parametrize("text", ["no end", "tab\tin it\n", "bell\x07\n"])
def test_what_cannot_be_signed(text: str) -> None:
    with pytest.raises(BadNote):
        note.sign(text, NAME, KEY)


@pytest.mark.parametrize(
    "text",
    [
        f"{NAME}\n1\n",
        f"{NAME}\n01\n{b64encode(EMPTY).decode()}\n",
        f"{NAME}\n-1\n{b64encode(EMPTY).decode()}\n",
        f"{NAME}\n1\n{b64encode(EMPTY[:31]).decode()}\n",
        f"\n1\n{b64encode(EMPTY).decode()}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(BadNote):
        checkpoint_of(note.sign(text, NAME, KEY))


def test_a_proof_is_a_file() -> None:
    signed = note.sign(HEAD.text(), NAME, KEY)
    proof = Proof(48_100, (EMPTY, bytes(32)), signed)
    lines = proof.text().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 48100"]
    assert read_proof(proof.text()) == proof
    alone = Proof(0, (), signed)
    assert read_proof(alone.text()) == alone
    # Extra data is nobody's word, and is passed over.
    assert read_proof(proof.text().replace("\nindex", "\nextra AAAA\nindex", 1)) == proof


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 48100", "index 048100"),
        ("index 48100", "index"),
        ("index 48100\n", ""),
        ("index 48100\n", "index 48100\nAAAA\n"),
        ("index 48100\n", "index 48100\n" + f"{b64encode(EMPTY).decode()}\n" * 64),
        ("\n\n", "\n"),
    ],
)
def test_what_is_no_proof(old: str, new: str) -> None:
    text = Proof(48_100, (EMPTY, bytes(32)), note.sign(HEAD.text(), NAME, KEY)).text()
    with pytest.raises(BadNote):
        read_proof(text.replace(old, new))


@pytest.mark.parametrize("text", ["", "00", "+1", " 1", "1 ", "1e3", "٣", "9" * 20])
def test_numbers_have_one_spelling(text: str) -> None:
    with pytest.raises(BadNote):
        read_number(text)
