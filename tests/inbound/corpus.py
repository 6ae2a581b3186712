"""Real mail that came back: a few in the fixtures, all of them where `../shared` is there."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from msgspec import Struct

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bounces"
SHARED = Path(__file__).parents[3] / "shared" / "data"
BOUNCES = SHARED / "bounces"
NOT_HERE = "the real mails of ../shared are not here"
with_shared = pytest.mark.skipif(not BOUNCES.is_dir(), reason=NOT_HERE)


class Expected(Struct, frozen=True):
    """One line of the corpus: a recipient of a file, and the class that its source gives."""

    recipient: str
    means: str


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.eml").read_bytes()


def expected() -> dict[str, list[Expected]]:
    found: dict[str, list[Expected]] = defaultdict(list)
    with (BOUNCES / "expected.tsv").open(encoding="utf-8") as lines:
        for line in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            found[line["file"]].append(Expected(line["recipient"], line["class_suggested"]))
    return found
