"""Both verifiers say the same of everything: what holds, what is open, which check failed."""

from __future__ import annotations

import importlib.util
import json
import sys
from base64 import b64encode
from collections import Counter
from copy import deepcopy
from pathlib import Path
from time import process_time
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crm import consent
from crm.consent.bundle import FORMAT
from crm.consent.receipt import encoded
from crm.ledger import note
from crm.ledger.signing import endorsement_text
from tests.consent.forge import Forge, public
from tests.consent.tampering import (
    CHANGES,
    Change,
    changed_somewhere,
    record_in,
    seal_instead,
)

ALONE = Path(__file__).resolve().parents[2] / "deploy" / "verify.py"


def _alone() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_alone", ALONE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRANGER = _alone()


def verdict(files: list[bytes], kept: list[bytes] = [], trusted: list[bytes] = []) -> str:  # noqa: B006
    """Have both verifiers look, hold them together, and return the check that failed."""
    ours = consent.verify(files, checkpoints=kept, trusted=trusted)
    failed, why, shown, left = STRANGER.verify(files, kept, trusted)
    names = [name for name, _ in ours.shown], [name for name, _ in ours.open]
    theirs = [name for name, _ in shown], [name for name, _ in left]
    assert (ours.failed, *names) == (failed, *theirs), (ours.why, why)
    return ours.failed


def packed(said: Any) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode()


def test_it_shares_no_code_with_us() -> None:
    imported = {
        line.split()[1].split(".")[0]
        for line in ALONE.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_what_is_right_holds() -> None:
    for seed in range(29):
        forge = Forge(seed, leaves=4 + seed)
        said = forge.bundle(*range(min(4, len(forge.sealed))))
        assert verdict([packed(said)]) == ""
        kept = [forge.checkpoint(forge.leaves[: 1 + seed % 4], key=0).encode()]
        assert verdict([packed(said)], kept) == ""
        jwks = packed({"keys": said["jwks"]["keys"][:1]})
        assert verdict([packed(said)], [], [jwks]) == ""


def test_files_that_come_alone() -> None:
    forge = Forge(1)
    receipt, proof = forge.receipt(0).encode(), forge.proof(0).encode()
    jwks = packed({"keys": forge.bundle()["jwks"]["keys"]})
    vkeys = "".join(f"{each['vkey']}\n" for each in forge.bundle()["checkpoint_keys"]).encode()
    assert verdict([receipt, proof, jwks, vkeys]) == ""
    assert verdict([receipt + b"\n", jwks]) == ""
    assert verdict([proof, vkeys]) == ""
    assert verdict([forge.head.encode(), vkeys]) == ""
    assert (
        verdict([packed({"format": "firsthand/copy", "consent": {"receipts": forge.bundle(0)}})])
        == ""
    )
    assert verdict([receipt]) == "receipt.kid"
    assert verdict([proof]) == "checkpoint.signature"


@pytest.mark.parametrize(
    ("change", "check"), [pytest.param(change, check, id=name) for name, check, change in CHANGES]
)
def test_what_is_wrong_is_named(change: Change, check: str) -> None:
    for seed in range(3):
        forge = Forge(seed, leaves=6 + 5 * seed)
        said = deepcopy(forge.bundle(0))
        change(forge, said)
        assert verdict([packed(said)]) == check


def test_a_byte_anywhere() -> None:
    """Whatever is flipped, cut off or put in: both see the same, and no forgery passes."""
    forge = Forge(7)
    whole = packed(forge.bundle(0, 1))
    found: Counter[str] = Counter()
    for number in range(300):
        at = forge.chance.randrange(len(whole))
        rest = whole[at + 1 :]
        flipped = bytes([whole[at] ^ 1 << forge.chance.randrange(8)])
        changed = (flipped + rest, rest, forge.chance.randbytes(1) + whole[at:])[number % 3]
        found[verdict([whole[:at] + changed])] += 1
    # A path between heads is not looked at unless a checkpoint is there to compare.
    assert found.total() == 300
    assert len(found) > 8


def test_anything_anywhere() -> None:
    """A bundle, a receipt or a record with something else in some place, signed and sealed well."""
    forge = Forge(9, leaves=7)
    whole = forge.bundle(0)
    found: Counter[str] = Counter()
    for number in range(240):
        said, told = deepcopy(whole), forge.said(number % 6)
        match number % 3:
            case 0:
                said = changed_somewhere(forge.chance, said)
            case 1:
                told = changed_somewhere(forge.chance, told)
            case _:
                seal_instead(told, changed_somewhere(forge.chance, record_in(told)))
        if number % 3:
            proof = forge.proof(number % 6)
            said["receipts"] = [{"receipt": forge.resigned(told), "proof": proof}]
        found[verdict([packed(said)])] += 1
    assert len(found) > 20


def test_a_bit_of_a_receipt() -> None:
    """Of a receipt and its proof every bit counts."""
    forge = Forge(8)
    receipt, proof = forge.receipt(0).encode(), forge.proof(0).encode()
    jwks = packed({"keys": forge.bundle()["jwks"]["keys"]})
    vkeys = "".join(f"{each['vkey']}\n" for each in forge.bundle()["checkpoint_keys"]).encode()
    for number in range(400):
        files = [receipt, proof]
        which = number % 2
        at = forge.chance.randrange(len(files[which]))
        flipped = files[which][at] ^ 1 << forge.chance.randrange(8)
        files[which] = files[which][:at] + bytes([flipped]) + files[which][at + 1 :]
        assert verdict([*files, jwks, vkeys]) != ""


@pytest.mark.parametrize(
    ("file", "check"),
    [
        (b"", "file.kind"),
        (b"\xff", "file.text"),
        (b"hello", "file.kind"),
        (b"{", "json"),
        (b'{"a":1,"a":1}', "json"),
        (b'{"a":NaN}', "json"),
        (b'{"a":"\\ud800"}', "json"),
        (b'{"a":' * 100_000, "json"),
        (b'{"a":' + b"9" * 5000 + b"}", "json"),
        (b"{}", "bundle.format"),
        (b"{} {}", "json"),
        (b'{"keys":5}', "keys.jwks"),
        (b'{"keys":[]}', ""),
        (b'{"format":"firsthand/copy","consent":5}', "bundle.format"),
        (b"a.b.c", "receipt.form"),
        (b"c2sp.org/tlog-proof@v1\n", "proof.form"),
        (b"x\n\n\xe2\x80\x94 x x\n", "checkpoint.form"),
        (b"x+01020304+AA==\n", "keys.vkey"),
        (b"x+y+01020304+01020304+z\n", "keys.vkey"),
        (b"x+01020304+AA==\ny", "file.kind"),
        (b"+01020304+AA==\n", "file.kind"),
        (b"x+01020304+\n", "file.kind"),
        (b"x +01020304+AA==\n", "file.kind"),
        (b"x+01020304+AA==\n\n", "file.kind"),
        (b" " * (16 * 1024 * 1024 + 1), "file.size"),
    ],
)
def test_files_that_are_nothing(file: bytes, check: str) -> None:
    assert verdict([file]) == check


def test_a_long_line_takes_linear_time() -> None:
    def took(ids: int) -> float:
        began = process_time()
        assert verdict([b"x" + b"+01020304" * ids]) == "file.kind"
        return process_time() - began

    assert took(20_000) < 40 * max(took(2_000), 0.002)


def test_checkpoints_that_were_kept() -> None:
    forge, other = Forge(3), Forge(4)
    said = forge.bundle(0)
    size = len(forge.leaves)
    files = [packed(said)]
    assert verdict(files, [forge.head.encode()]) == ""
    rewritten = [*forge.leaves[:2], other.leaves[2]]
    assert verdict(files, [forge.checkpoint(rewritten, key=0).encode()]) == "consistency.path"
    rewritten = [*forge.leaves[:-1], other.leaves[2]]
    assert verdict(files, [forge.checkpoint(rewritten, key=0).encode()]) == "consistency.root"
    longer = [*forge.leaves, other.leaves[0]]
    assert verdict(files, [forge.checkpoint(longer, key=2).encode()]) == "consistency.missing"
    # What was lost with the restore was signed before, and is not in the history any more.
    assert verdict(files, [forge.predecessor.encode()]).startswith("consistency.")
    assert verdict(files, [other.head.encode()]) == "checkpoint.signature"
    assert verdict(files, [files[0]]) == "checkpoint.form"
    assert verdict([packed({"keys": []})], [forge.head.encode()]) == "checkpoint.signature"
    for first in range(1, size):
        kept = [forge.checkpoint(forge.leaves[:first], key=0).encode()]
        assert verdict(files, kept) == ""
        broken = deepcopy(said)
        path = broken["consistency"][first - 1]["path"]
        path.append(b64encode(bytes(32)).decode())
        assert verdict([packed(broken)], kept) == "consistency.path"
        broken["consistency"].pop(first - 1)
        assert verdict([packed(broken)], kept) == "consistency.missing"


def test_keys_known_from_elsewhere() -> None:
    forge = Forge(5)
    files = [packed(forge.bundle(0))]
    keys = forge.bundle()["jwks"]["keys"]
    # The second key signed: the first leads to it, the third does not.
    assert verdict(files, [], [packed({"keys": keys[:1]})]) == ""
    assert verdict(files, [], [packed({"keys": keys[1:2]})]) == ""
    assert verdict(files, [], [packed({"keys": keys[2:]})]) == "keys.trusted"
    assert verdict(files, [], [packed(Forge(6).bundle())]) == "keys.trusted"
    assert verdict([packed(Forge(6).bundle(0))], [], files) == "keys.trusted"
    assert len({public(each) for each in forge.receipt_keys}) == 3


def test_a_ledger_of_many_names_and_keys_takes_no_square_of_them() -> None:
    """A copy from elsewhere holds as many as a stranger likes."""
    took = []
    for many in (200, 2_000):
        papers = _long_chain(many)
        begun = process_time()
        assert consent.verify([papers]).failed == ""
        took.append(process_time() - begun)
    assert took[1] < 30 * took[0]


def _long_chain(many: int) -> bytes:
    """A bundle of nothing but keys, each named by the one before, and names that all cite one."""
    keys = [Ed25519PrivateKey.generate() for _ in range(many)]
    vkeys = [note.Verifier("a", each.public_key().public_bytes_raw()) for each in keys]
    endorsed = [
        note.sign(endorsement_text(vkey, "x"), "a", before)
        for before, vkey in zip(keys, vkeys[1:], strict=False)
    ]
    head = note.sign(f"a\n1\n{b64encode(bytes(32)).decode()}\n", "a", keys[-1])
    origins = [{"origin": "a", "begins_at": 0, "opening": "", "predecessor": "", "proof": ""}]
    for number in range(many):
        said = {"origin": f"o{number}", "begins_at": 1, "predecessor": head}
        origins.append({**said, "opening": encoded(json.dumps(said).encode()), "proof": ""})
    chain = [
        {"vkey": str(vkey), "endorsement": said}
        for vkey, said in zip(vkeys, ["", *endorsed], strict=True)
    ]
    return json.dumps(
        {
            "format": FORMAT,
            "receipts": [],
            "head": "",
            "jwks": {"keys": []},
            "receipt_keys": [],
            "checkpoint_keys": chain,
            "origins": origins,
            "consistency": [],
        }
    ).encode()
