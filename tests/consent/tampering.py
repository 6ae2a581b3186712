"""What can be wrong with a bundle of one receipt, and the check that has to find it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from crm.consent.receipt import encoded
from crm.consent.record import commitment
from crm.ledger import Checkpoint, Proof, note
from tests.consent.forge import Forge, bytes_of

Said = dict[str, Any]
Change = Callable[[Forge, Said], object]

_STATE = ("dpv:hasConsentStatus", 0)
_PURPOSE = ("dpv:hasProcess", 0, "dpv:hasPurpose")
_NOTICE = ("dpv:hasNotice", 0)
_GONE = object()


def _resigned(change: Callable[[Forge, Said], object]) -> Change:
    """Change what the receipt says, and sign it anew."""

    def made(forge: Forge, said: Said) -> None:
        told = forge.said(0)
        change(forge, told)
        said["receipts"][0]["receipt"] = forge.resigned(told)

    return made


def _sealed(name: str, value: object) -> Change:
    return _resigned(lambda _, told: told["sealed"].update({name: value}))


def _canonical(raw: bytes) -> Change:
    return _sealed("canonical", encoded(raw))


def _told(value: object, *path: Any) -> Change:
    return _resigned(lambda _, told: _put(told["dpv:hasRecordOfActivity"][0], path, value))


def _record(value: object, *path: Any) -> Change:
    """Seal another record than the receipt tells, with every hash right."""

    def change(_: Forge, told: Said) -> None:
        record = record_in(told)
        _put(record, path, value)
        seal_instead(told, record)

    return _resigned(change)


def record_in(told: Said) -> Any:
    """Return the record in what a receipt says."""
    return json.loads(bytes_of(told["sealed"]["canonical"]))


def seal_instead(told: Said, record: Any) -> None:
    """Put another record into what a receipt says, with its commitment."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    salt = bytes_of(told["sealed"]["salt"])
    told["sealed"]["canonical"] = encoded(text.encode())
    told["sealed"]["commitment"] = encoded(commitment(salt, text.encode()))


def _header(**changes: Any) -> Change:
    def made(forge: Forge, said: Said) -> None:
        said["receipts"][0]["receipt"] = forge.resigned(forge.said(0), changes)

    return made


def _says(what: Any) -> Change:
    """Sign something else for a payload."""

    def made(forge: Forge, said: Said) -> None:
        said["receipts"][0]["receipt"] = forge.resigned(what)

    return made


def _receipt(text: str) -> Change:
    return lambda _, said: said["receipts"][0].update(receipt=text)


def _character(part: int) -> Change:
    """Put another character into the middle of a part of the receipt."""

    def made(_: Forge, said: Said) -> None:
        parts = said["receipts"][0]["receipt"].split(".")
        middle = len(parts[part]) // 2
        other = "A" if parts[part][middle] != "A" else "B"
        parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
        said["receipts"][0]["receipt"] = ".".join(parts)

    return made


def _proof(old: str, new: str) -> Change:
    def made(_: Forge, said: Said) -> None:
        said["receipts"][0]["proof"] = said["receipts"][0]["proof"].replace(old, new, 1)

    return made


def _proof_of(seed: int, index: int, **changes: Any) -> Change:
    """Give the proof of another leaf, or of another business."""

    def made(forge: Forge, said: Said) -> None:
        other = forge if seed == 0 else Forge(seed)
        said["receipts"][0]["proof"] = other.proof(index)
        said.update({name: value(other) for name, value in changes.items()})

    return made


def _bundle(value: object, *path: Any) -> Change:
    return lambda _, said: _put(said, path, value)


def _key_in_front(forge: Forge, said: Said) -> None:
    """Let a key of our own name the first, and sign a head with the receipt in it."""
    ours = forge.key()
    keys, names = [ours, *forge.checkpoint_keys], [forge.names[2], *forge.names]
    said["checkpoint_keys"] = forge.endorsed(keys, names)
    head = Checkpoint(forge.names[2], 1, forge.leaves[0])
    said["head"] = note.sign(head.text(), head.origin, ours)
    said["receipts"][0]["proof"] = Proof(0, (), said["head"]).text()


def _unsigned_head(_: Forge, said: Said) -> None:
    proof = said["receipts"][0]["proof"]
    said["receipts"][0]["proof"] = proof.partition("\N{EM DASH}")[0]
    said["head"] = ""


def _larger_head(forge: Forge, said: Said) -> None:
    _proof("/ledger/2\n", "/ledger/2\n1")(forge, said)
    said["head"] = said["head"].replace("/ledger/2\n", "/ledger/2\n1", 1)


def _put(told: Any, path: tuple[Any, ...], value: object) -> None:
    *way, last = path
    for each in way:
        told = told[each]
    if value is _GONE:
        told.pop(last)
    else:
        told[last] = value


# Put in the place of anything.
_ANYTHING: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**53, 2**70, 1.5, "", "x", "\x00", "é💌", "AAAA", "A" * 43),
    *("\n", "\u2028", "\N{EM DASH} x x", [], {}, [[]], [{}], {"a": 1}, ["x"]),
]


def changed_somewhere(chance: Random, value: Any) -> Any:
    """Put something else into a place of a JSON value, take it out, or copy another there."""
    value = deepcopy(value)
    *way, last = chance.choice([place for place in _places(value) if place])
    parent = value
    for each in way:
        parent = parent[each]
    match chance.randrange(4):
        case 0 | 1:
            parent[last] = deepcopy(chance.choice(_ANYTHING))
        case 2:
            parent.pop(last)
        case _:
            parent[last] = deepcopy(_at(value, chance.choice(list(_places(value)))))
    return value


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    if isinstance(value, dict | list):
        for each in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[each], (*way, each))


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for each in way:
        value = value[each]
    return value


CHANGES: list[tuple[str, str, Change]] = [
    ("a byte of the header", "receipt.header", _character(0)),
    ("a byte of the payload", "receipt.signature", _character(1)),
    ("a byte of the signature", "receipt.signature", _character(2)),
    (
        "swapped salts",
        "receipt.commitment",
        _resigned(lambda f, told: told["sealed"].update(salt=encoded(f.sealed[1].salt))),
    ),
    ("a short salt", "receipt.salt", _sealed("salt", "AAAA")),
    ("a padded salt", "receipt.salt", _sealed("salt", "AAAA=")),
    ("a number for the salt", "receipt.payload", _sealed("salt", 5)),
    ("another commitment", "receipt.commitment", _sealed("commitment", "AAAA")),
    ("another record", "receipt.commitment", _canonical(b"{}")),
    ("blanks in the record", "receipt.canonical", _canonical(b"{ }")),
    ("a list for a record", "receipt.canonical", _canonical(b"[]")),
    ("half a record", "receipt.canonical", _canonical(b"{")),
    ("no text for a record", "receipt.canonical", _canonical(b"\xff")),
    ("a fraction in the record", "receipt.canonical", _canonical(b'{"a":0.5}')),
    ("2^53 in the record", "receipt.canonical", _canonical(b'{"a":9007199254740992}')),
    ("a name twice", "receipt.canonical", _canonical(b'{"a":1,"a":1}')),
    ("names in another order", "receipt.canonical", _canonical(b'{"b":1,"a":1}')),
    ("half a surrogate pair", "receipt.canonical", _canonical(b'{"a":"\\ud800"}')),
    ("other terms", "record.terms", _sealed("terms", encoded(b"{}"))),
    ("another ledger", "keys.ledger", _sealed("ledger", "other.example/ledger/1+0+0")),
    ("a member of sealed more", "receipt.payload", _sealed("more", "")),
    ("alg none", "receipt.alg", _header(alg="none")),
    ("alg EdDSA", "receipt.alg", _header(alg="EdDSA")),
    ("a number for alg", "receipt.header", _header(alg=5)),
    ("typ JWT", "receipt.typ", _header(typ="JWT")),
    ("crit", "receipt.header", _header(crit=["b64"])),
    ("another kid", "receipt.kid", _header(kid="A" * 43)),
    (
        "the kid of another key",
        "receipt.signature",
        lambda f, said: _header(kid=said["jwks"]["keys"][0]["kid"])(f, said),
    ),
    ("two parts", "receipt.form", _receipt("AA.AA")),
    ("four parts", "receipt.form", _receipt("AA.AA.AA.AA")),
    ("no parts", "receipt.form", _receipt("")),
    ("a part that is no base64url", "receipt.form", _receipt("A+.AA.AA")),
    (
        "trailing data",
        "receipt.form",
        lambda f, said: _receipt(said["receipts"][0]["receipt"] + "\n")(f, said),
    ),
    ("a list for a payload", "receipt.payload", _says([])),
    ("a payload with a name twice", "receipt.payload", _says(b'{"iss":"a","iss":"b"}')),
    ("an empty payload", "receipt.payload", _says(b"")),
    ("a payload that is no text", "receipt.payload", _says(b"\xff")),
    (
        "no record",
        "receipt.payload",
        _resigned(lambda _, told: told.update({"dpv:hasRecordOfActivity": []})),
    ),
    ("a withdrawal", "record.status", _told(["dpv:ConsentWithdrawn"], *_STATE, "@type")),
    ("no state", "record.status", _told([], *_STATE, "@type")),
    ("another instant", "record.at", _told("2026-05-03", *_STATE, "dpv:isIndicatedAtTime")),
    ("another way", "record.method", _told("staff", *_STATE, "dpv:hasIndicationMethod")),
    ("another event", "record.event", _told("", *_STATE, "dct:identifier")),
    ("another customer", "record.customer", _told("urn:uuid:0", "dpv:hasDataSubject")),
    ("another purpose", "record.purpose", _told("urn:uuid:0", *_PURPOSE, "@id")),
    ("another version", "record.version", _told(2, *_PURPOSE, "our:version")),
    ("true for one", "record.version", _told(True, *_PURPOSE, "our:version")),  # noqa: FBT003
    ("another notice", "record.notice", _told("0", *_NOTICE, "dct:identifier")),
    ("no notice", "record.notice", _told([], "dpv:hasNotice")),
    ("other words", "record.text", _told("Yes.", *_NOTICE, "dct:description")),
    ("no words", "record.text", _told(None, *_NOTICE, "dct:description")),
    ("other particulars", "record.text", _told("We share.", *_NOTICE, "our:particulars")),
    ("another label", "record.text", _told("OK", *_NOTICE, "our:controlLabel")),
    ("a record of version 3", "record.version", _record(3, "version")),
    ("a record without event", "record.event", _record(_GONE, "event")),
    ("a state nobody knows", "record.status", _record("bought", "status")),
    ("a basis nobody knows", "record.status", _record("contract", "basis")),
    ("a consent for a soft opt-in", "record.status", _record("soft_opt_in", "basis")),
    ("a record without purpose", "record.purpose", _record("letter", "purpose")),
    ("another label in the record", "record.control", _record("OK", "control", "label")),
    ("another record, well made", "proof.inclusion", _record({"more": "x"}, "evidence")),
    ("another receipt's proof", "proof.inclusion", _proof_of(0, 1)),
    ("another index", "proof.inclusion", _proof("index 0", "index 1")),
    ("an index beyond", "proof.inclusion", _proof("index 0", "index 1000")),
    ("an odd index", "proof.form", _proof("index 0", "index 00")),
    ("no index", "proof.form", _proof("index 0\n", "")),
    ("another kind of proof", "proof.form", _proof("@v1", "@v2")),
    ("a hash too short", "proof.form", _proof("index 0\n", "index 0\nAAAA\n")),
    ("another size", "proof.head", _proof("/ledger/2\n", "/ledger/2\n1")),
    ("no proof after all", "", _bundle("", "receipts", 0, "proof")),
    ("extra data", "", _proof("\nindex", "\nextra AAAA\nindex")),
    ("a larger head", "checkpoint.signature", _larger_head),
    ("an unsigned head", "checkpoint.form", _unsigned_head),
    ("another's head", "checkpoint.signature", _proof_of(98, 0, head=lambda _: "")),
    (
        "another's head and keys",
        "keys.ledger",
        _proof_of(
            98, 0, head=lambda f: f.head, checkpoint_keys=lambda f: f.bundle()["checkpoint_keys"]
        ),
    ),
    ("a key put in front", "keys.ledger", _key_in_front),
    ("a chain cut", "keys.endorsement", _bundle(_GONE, "receipt_keys", 0)),
    (
        "a chain turned",
        "keys.endorsement",
        lambda _, said: said["checkpoint_keys"].reverse(),
    ),
    (
        "an endorsement for another",
        "keys.endorsement",
        lambda _, said: said["receipt_keys"][2].update(
            endorsement=said["receipt_keys"][1]["endorsement"]
        ),
    ),
    ("an endorsement of nobody", "keys.endorsement", _bundle("", "receipt_keys", 1, "endorsement")),
    ("no vkey", "keys.vkey", _bundle("bakery.example", "receipt_keys", 0, "vkey")),
    (
        "a vkey with another name",
        "keys.vkey",
        lambda _, said: said["checkpoint_keys"][0].update(
            vkey="x" + said["checkpoint_keys"][0]["vkey"]
        ),
    ),
    ("a key less", "keys.jwks", _bundle(_GONE, "jwks", "keys", 0)),
    ("a key called otherwise", "keys.jwks", _bundle("x", "jwks", "keys", 0, "kid")),
    ("a short key", "keys.jwks", _bundle("AAAA", "jwks", "keys", 0, "x")),
    ("a key without x", "keys.jwks", _bundle(_GONE, "jwks", "keys", 0, "x")),
    (
        "no keys",
        "receipt.kid",
        lambda _, said: said.update(jwks={"keys": []}, receipt_keys=[]),
    ),
    ("another format", "bundle.format", _bundle("firsthand/bundle/v2", "format")),
    ("no format", "bundle.format", _bundle(_GONE, "format")),
    ("a member more", "bundle.member", _bundle(1, "more")),
    ("a member less", "bundle.member", _bundle(_GONE, "head")),
    ("a number for a head", "bundle.member", _bundle(1, "head")),
    ("a fraction for a place", "bundle.member", _bundle(0.0, "origins", 0, "begins_at")),
    ("a first origin that follows", "origins.opening", _bundle(_GONE, "origins", 0)),
    ("an opening that says another", "origins.opening", _bundle(5, "origins", 1, "begins_at")),
    ("an opening that is no text", "origins.opening", _bundle("_w", "origins", 1, "opening")),
    (
        "a name that was never one",
        "origins.predecessor",
        _bundle("other.example/ledger/1", "origins", 0, "origin"),
    ),
    ("an origin not sealed", "", _bundle("", "origins", 1, "proof")),
    (
        "an origin elsewhere",
        "origins.inclusion",
        lambda f, said: said["origins"][1].update(proof=f.proof(0)),
    ),
]
