"""The demo as its user runs it: one command, and books that balance."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.bench.stage import free_port
from tests import places
from tests.commands import crm

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place that the servers may enter, also when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="fh-", dir=places.quick()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def demo(directory: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command in a directory of the test's own."""
    # Two that begin at once would find the usual port free, both of them.
    here = {"CRM_DATA": str(directory), "CRM_WEB__PORT": str(free_port())}
    return await crm("demo", "--exit", "--json", *arguments, **here)


def balanced(status: int, out: str, err: str) -> dict[str, Any]:
    """Read the one JSON object; its sums hold."""
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    ended = found["sent"] + found["failed"] + found["uncertain"] + sum(found["excluded"].values())
    assert found["audience"] == ended + found["waiting"] + found["sending"]
    assert found["letterbox_accepted"] == found["sent"]
    assert found["claimed_after_withdrawal"] == 0
    return found


async def test_it_works(directory: Path) -> None:
    """From nothing to a campaign whose books balance, with people leaving in the middle."""
    found = balanced(*await demo(directory, "--customers", "200"))

    assert found["withdrawn_during_send"] >= 1
    assert found["excluded"]["withdrawn"] > 200 * 5 // 100
    assert found["worker_peak_rss_mb"] > 10


async def test_other_files_and_a_newsletter_of_ones_own(directory: Path) -> None:
    """Files in another tool's format, several of them, and a text in another language."""
    lists = FIXTURES / "contact-lists"
    found = balanced(
        *await demo(
            directory,
            *(f"--customers-file={lists / name}" for name in own_files()),
            f"--newsletter={FIXTURES / 'newsletters' / 'bakery-ja.md'}",
        )
    )

    assert found["sent"] >= 3


def own_files() -> list[str]:
    """Name our own files in Mailchimp's format: one for each of its three exports."""
    return ["mailchimp-subscribed.csv", "mailchimp-unsubscribed.csv", "mailchimp-cleaned.csv"]


async def test_a_newsletter_that_cannot_be_sent_is_refused(directory: Path, tmp_path: Path) -> None:
    """One line that says what is wrong, exit status 2, and nothing half done."""
    empty = tmp_path / "empty.md"
    empty.write_text("")
    status, out, err = await demo(directory, "--customers", "20", f"--newsletter={empty}")

    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert "crm:" in err


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of foreign files is not here")
async def test_real_files(directory: Path) -> None:
    """Real exports, and a real newsletter as Word writes HTML, end right."""
    lists = SHARED / "contact-lists"
    balanced(
        *await demo(
            directory,
            *(f"--customers-file={lists / name}" for name in own_files()),
            f"--newsletter={SHARED / 'newsletters' / 'no-via-nytt-word-html.html'}",
        )
    )
