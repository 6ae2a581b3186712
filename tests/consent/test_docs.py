"""docs/verify.md tells strangers the truth: its values come out, and its checks are those made."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from pathlib import Path

import pytest

from crm.consent.states import Basis, Method, Status
from tests.consent.examples import bundle, examples, kept
from tests.consent.tampering import CHANGES
from tests.consent.test_verify import ALONE, verdict

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "verify.md").read_text()
BLOCKS = dict(re.findall(r"<!-- example: ([a-z-]+) -->\n```[a-z]*\n(.*?)\n```", PAGE, re.DOTALL))
CHECKS = PAGE.partition("## 12. ")[2]
TOLD = set(re.findall(r"^\| `([a-z.]+)` \|", CHECKS, re.MULTILINE))


# Compared one by one; the programs put the name of the check together.
FIELDS = {
    *("version", "event", "status", "basis", "at", "method", "customer", "purpose", "terms"),
    *("notice", "text", "control"),
}


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_comes_out(name: str) -> None:
    assert BLOCKS[name] == examples()[name]


def test_there_are_no_other_examples() -> None:
    assert BLOCKS.keys() == examples().keys()


def test_the_files_beside_it_are_those_examples() -> None:
    files = [ROOT / "docs" / name for name in ("example-receipt.json", "example-checkpoint")]
    assert [each.read_text() for each in files] == [bundle(), kept()]
    assert verdict([files[0].read_bytes()], [files[1].read_bytes()]) == ""


@pytest.mark.parametrize(
    ("member", "values"), [("status", Status), ("basis", Basis), ("method", Method)]
)
def test_every_value_of_a_record_is_told(member: str, values: type[StrEnum]) -> None:
    """Whoever reads a record finds what may stand in it, and nothing that never does."""
    (said,) = re.findall(rf"^\| `{member}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert sorted(re.findall(r"`([a-z_]+)`", said)) == sorted(values)


def _named(path: Path) -> set[str]:
    """Collect the names of checks in a program: the first argument of whatever looks like one."""
    tree = ast.parse(path.read_text())
    texts = {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)}
    kinds = "file|json|bundle|keys|receipt|record|proof|checkpoint|origins|consistency"
    named = re.compile(rf"({kinds})\.[a-z]+")
    return {each for each in texts if isinstance(each, str) and named.fullmatch(each)}


def test_every_check_is_told() -> None:
    """The page names each check that either program can fail with, and no other."""
    ours = [ROOT / "crm/consent" / f"{name}.py" for name in ("papers", "claims", "verifying")]
    made = set().union(*map(_named, [*ours, ALONE]))
    assert made | {f"record.{name}" for name in FIELDS} | {"json"} == TOLD
    assert {check for _, check, _ in CHANGES if check} <= TOLD
