"""Numbered entries: whole or not there, in order, whoever writes, is killed, or has no room."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from crm.journal import Behind, Campaign, Ending, Entry, Journal, JournalLost, Replayed, Written

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ENTRY = Campaign(UUID(int=7), "started")
BUSINESS = UUID(int=1)

_WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID
from crm.journal import Campaign, Journal
log = Journal(Path(sys.argv[1])).log(UUID(sys.argv[2]))
for _ in range(30):
    log.write(None, datetime.now(UTC), [Campaign(UUID(int=1), "started")])
"""


def _file(path: Path, business: UUID) -> Path:
    (found,) = (path / str(business)).glob("entries-*")
    return found


def _numbers(journal: Journal, business: UUID, since: int = 0) -> list[int]:
    return [each.n for each in journal.log(business).since(since)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path), uuid4()
    log = journal.log(business)
    assert [log.write(n, NOW, [ENTRY]) for n in range(3)] == [1, 2, 3]
    assert log.tail().last == 3
    # The last was written behind the second, so two are known to have been committed.
    assert (log.tail().committed, list(log.tail().open)) == (2, [3])
    log.committed(3)
    assert (log.tail().committed, list(log.tail().open)) == (3, [])
    assert list(Journal(tmp_path).log(business).since(2)) == [Written(3, 2, NOW, [ENTRY])]


def test_a_database_that_does_not_fit_is_told(tmp_path: Path) -> None:
    log = Journal(tmp_path).log(uuid4())
    for n in range(3):
        log.write(n, NOW, [ENTRY])
    # Its last was never said to be committed: a transaction may have died at its commit.
    assert log.write(2, NOW, [ENTRY]) == 4
    with pytest.raises(Behind):
        log.write(1, NOW, [ENTRY])
    with pytest.raises(JournalLost, match="ends with 4, the database wrote 9"):
        log.write(9, NOW, [ENTRY])
    assert list(log.tail().open) == [3, 4]
    log.settle([3], Ending.carried_out)
    assert list(log.tail().open) == [4]
    log.write(4, NOW, [Replayed(upto=5)])
    assert log.tail().open == {}


def test_a_restore_closes_only_what_it_replayed(tmp_path: Path) -> None:
    log = Journal(tmp_path).log(uuid4())
    for _ in range(4):
        log.write(None, NOW, [ENTRY])
    log.write(None, NOW, [Replayed(upto=3, since=1)])
    assert list(log.tail().open) == [1, 4, 5]


def test_a_restore_of_before_closed_all_up_to_a_number(tmp_path: Path) -> None:
    said = msgspec.json.decode(b'{"type":"replayed","upto":3}', type=Entry)
    log = Journal(tmp_path).log(uuid4())
    for _ in range(4):
        log.write(None, NOW, [ENTRY])
    log.write(None, NOW, [said])
    assert list(log.tail().open) == [4, 5]


def test_what_came_of_a_line_is_told(tmp_path: Path) -> None:
    """A line of before does not say it: then the most is still to be done."""
    log = Journal(tmp_path).log(BUSINESS)
    for ending in Ending:
        log.settle([log.write(None, NOW, [ENTRY])], ending)
    old = b'{"type":"settled","numbers":[5]}'
    log.write(None, NOW, [ENTRY])
    with _file(tmp_path, BUSINESS).open("ab") as file:
        file.write(sha256(old).hexdigest()[:16].encode() + b" " + old + b"\n")
    log = Journal(tmp_path).log(BUSINESS)
    assert log.settled(0) == dict(enumerate([*Ending, Ending.carried_out], 1))
    assert log.tail().open == {}


def test_what_came_of_a_line_since_stands_before_a_late_refusal(tmp_path: Path) -> None:
    log = Journal(tmp_path).log(BUSINESS)
    for _ in range(2):
        log.write(None, NOW, [ENTRY])
    log.settle([1], Ending.carried_out)
    log.refuse([1, 2])
    assert log.settled(0) == {1: Ending.carried_out, 2: Ending.refused}
    assert log.tail().open == {}


@pytest.mark.parametrize("never", [Ending.refused, Ending.passed_over])
def test_what_was_never_to_be_stays_so_when_a_restore_left_the_rest(
    tmp_path: Path, never: Ending
) -> None:
    log = Journal(tmp_path).log(BUSINESS)
    log.settle([log.write(None, NOW, [ENTRY])], never)
    log.write(None, NOW, [Replayed(upto=1, left=list(log.since(0)))])
    log.settle([1], Ending.carried_out)
    assert log.settled(0) == {1: never}
    assert list(log.tail().open) == [2]


def test_a_number_that_is_given_anew_has_come_to_nothing_yet(tmp_path: Path) -> None:
    log = Journal(tmp_path).log(BUSINESS)
    for _ in range(3):
        log.write(None, NOW, [ENTRY])
    log.settle([2, 3], Ending.refused)
    log.begin(2, NOW)
    assert log.write(2, NOW, [ENTRY]) == 3
    assert log.settled(0) == {2: Ending.refused}


def test_a_torn_line_is_no_line(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path), uuid4()
    for n in range(2):
        journal.log(business).write(n, NOW, [ENTRY])
    whole = _file(tmp_path, business).read_bytes()
    for cut in range(len(whole.split(b"\n")[0]) + 2, len(whole) - 1):
        _file(tmp_path, business).write_bytes(whole[:cut])
        last = Journal(tmp_path).log(business).tail().last
        assert Journal(tmp_path).log(business).write(None, NOW, [ENTRY]) == last + 1
        assert _numbers(Journal(tmp_path), business) == list(range(1, last + 2))


def test_a_file_whose_first_line_is_torn_was_never_begun(tmp_path: Path) -> None:
    business = uuid4()
    journal = Journal(tmp_path, timedelta(days=12))
    journal.log(business).write(0, NOW, [ENTRY])
    journal.log(business).committed(1)
    (tmp_path / str(business) / "entries-000000000002").write_bytes(b"0123 {half")
    later = NOW + timedelta(days=2)
    assert Journal(tmp_path, timedelta(days=12)).log(business).write(1, later, [ENTRY]) == 2
    assert _numbers(journal, business) == [1, 2]


def test_a_line_that_was_damaged_is_told(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path), uuid4()
    for n in range(3):
        journal.log(business).write(n, NOW, [ENTRY])
    lines = _file(tmp_path, business).read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"started", b"resumed")
    _file(tmp_path, business).write_bytes(b"\n".join(lines))
    with pytest.raises(OSError, match="numbers 2 to 2 are missing"):
        Journal(tmp_path).log(business).tail()
    with pytest.raises(OSError, match="numbers 2 to 2 are missing"):
        Journal(tmp_path).log(business).write(3, NOW, [ENTRY])


def test_several_processes_write_one_after_the_other(tmp_path: Path) -> None:
    business = uuid4()
    command = [sys.executable, "-c", _WRITE, str(tmp_path), str(business)]
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda _: subprocess.run(command, check=True), range(3)):
            assert done.returncode == 0
    assert _numbers(Journal(tmp_path), business) == list(range(1, 91))


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """A file per twelfth of the time that entries are kept; a backup older than all is told."""
    journal, business = Journal(tmp_path, timedelta(days=12)), uuid4()
    log = journal.log(business)
    for day in range(40):
        log.write(day, NOW + timedelta(days=day), [ENTRY])
        log.committed(day + 1)
    files = sorted((tmp_path / str(business)).glob("entries-*"))
    assert 7 <= len(files) <= 14
    first = _numbers(journal, business, since=30)[0]
    assert first == 31
    with pytest.raises(OSError, match="reaches back to"):
        _numbers(journal, business)


def test_it_ages_where_nothing_happens(tmp_path: Path) -> None:
    """A business that went quiet keeps nothing for longer, and its numbers go on."""
    journal, business = Journal(tmp_path, timedelta(days=12)), uuid4()
    journal.log(business).age(NOW)
    assert journal.businesses() == [business]
    journal.log(business).write(0, NOW, [ENTRY])
    journal.log(business).committed(1)
    for day in range(1, 40):
        # Another process each day.
        Journal(tmp_path, timedelta(days=12)).log(business).age(NOW + timedelta(days=day))
        assert _numbers(journal, business, since=1) == []
        if day <= 12:
            assert _numbers(journal, business) == [1]
    (left,) = (tmp_path / str(business)).glob("entries-*")
    assert left.name == "entries-000000000002"
    assert b"campaign" not in left.read_bytes()
    with pytest.raises(OSError, match="reaches back to"):
        _numbers(journal, business)
    later = NOW + timedelta(days=50)
    assert Journal(tmp_path, timedelta(days=12)).log(business).write(1, later, [ENTRY]) == 2
    assert _numbers(Journal(tmp_path), business, since=1) == [2]


def test_an_open_line_stays(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path, timedelta(days=12)), uuid4()
    journal.log(business).write(0, NOW, [ENTRY])
    journal.log(business).age(NOW + timedelta(days=40))
    assert list(journal.log(business).tail().open) == [1]


def test_its_first_line_is_found_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every directory on the way to it that was made is on disk as well."""
    synced = set()
    sync = os.fsync

    def noticed(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr("os.fsync", noticed)
    place, business = tmp_path / "var" / "journal", uuid4()
    Journal(place).log(business).write(0, NOW, [ENTRY])
    folder = place / str(business)
    (file,) = folder.glob("entries-*")
    assert synced == {each.stat().st_ino for each in (tmp_path, place.parent, place, folder, file)}


def _small(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_keeps_nothing_of_a_line(tmp_path: Path) -> None:
    business = uuid4()
    script = f"""
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
{_WRITE}
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(business)]
    # No file may grow beyond this: writing there fails as it does where no room is left.
    full = subprocess.run(
        command, check=False, capture_output=True, preexec_fn=lambda: _small(3000)
    )
    assert b"OSError" in full.stderr
    data = _file(tmp_path, business).read_bytes()
    assert 2000 < len(data) <= 3000
    assert data.endswith(b"\n")
    last = _numbers(Journal(tmp_path), business)[-1]
    assert Journal(tmp_path).log(business).write(None, NOW, [ENTRY]) == last + 1


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    business = uuid4()
    command = [sys.executable, "-c", _WRITE.replace("range(30)", "iter(int, 1)")]
    with subprocess.Popen([*command, str(tmp_path), str(business)]) as writer:
        while not Journal(tmp_path).log(business).tail().last > 5:
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    numbers = _numbers(Journal(tmp_path), business)
    assert numbers == list(range(1, len(numbers) + 1))
