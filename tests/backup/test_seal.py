"""A sealed backup comes back whole, or is refused: altered, cut off, of another key, too old."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner, Result

from crm import backup_command
from crm.sealed import NotSealed, SealBroken, made_at, opened, sealed
from crm.settings import BadSettings

SECRET = b"k" * 32
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
PIECE = 1 << 20


def _sealed(plain: bytes, at: datetime = NOW) -> bytes:
    return b"".join(sealed(io.BytesIO(plain), SECRET, at))


def _opened(data: bytes, secret: bytes = SECRET) -> bytes:
    stream = io.BytesIO(data)
    made, line = made_at(stream)
    assert made == NOW
    return b"".join(opened(stream, secret, line))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_it_comes_back_whole(size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    data = _sealed(plain[:size])
    assert _opened(data) == plain[:size]
    assert size < 256 or plain[:256] not in data


def test_what_was_touched_is_refused() -> None:
    data = _sealed(b"x" * (2 * PIECE + 100))
    head = data.index(b"\n") + 1 + 16
    first, second = data[head : head + PIECE + 16], data[head + PIECE + 16 : head + 2 * PIECE + 32]
    rest = data[head + 2 * PIECE + 32 :]
    flipped = bytearray(data)
    flipped[head + 5] ^= 1
    salted = bytearray(data)
    salted[head - 1] ^= 1
    for wrong in (
        bytes(flipped),
        bytes(salted),
        data[:-1],
        data[: head + PIECE + 16],
        data[:head] + second + first + rest,
        data[:head] + first + rest,
        data[:head],
    ):
        with pytest.raises(SealBroken):
            _opened(wrong)
    with pytest.raises(SealBroken):
        _opened(data, b"another" * 5)


def test_its_time_cannot_be_moved() -> None:
    data = _sealed(b"dump")
    moved = data.replace(b"2026-03-01", b"2026-04-01", 1)
    stream = io.BytesIO(moved)
    _, line = made_at(stream)
    with pytest.raises(SealBroken):
        b"".join(opened(stream, SECRET, line))


@pytest.mark.parametrize("data", [b"", b"PGDMP", b"firsthand-backup-1 soon\n", b"a" * 1000])
def test_what_is_no_backup_is_told(data: bytes) -> None:
    with pytest.raises(NotSealed):
        made_at(io.BytesIO(data))


def _crm(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(backup_command.group, arguments, input=given, standalone_mode=False)


def _refusal(result: Result) -> str:
    assert isinstance(result.exception, ClickException)
    return result.exception.message


def test_the_command_keeps_its_key_and_refuses_what_is_too_old(tmp_path: Path) -> None:
    key = tmp_path / "backup.key"
    assert _crm("key", str(key)).exit_code == 0
    assert key.stat().st_mode & 0o077 == 0
    assert "is there already" in _refusal(_crm("key", str(key)))
    data = _crm("seal", "--key", str(key), given=b"a dump").stdout_bytes
    assert b"a dump" not in data
    assert _crm("open", "--key", str(key), given=data).stdout_bytes == b"a dump"
    cut = _crm("open", "--key", str(key), given=data[:-1])
    assert (cut.stdout_bytes, type(cut.exception)) == (b"", SealBroken)
    secret = bytes.fromhex(key.read_text())
    old = b"".join(sealed(io.BytesIO(b"x"), secret, datetime.now(UTC) - timedelta(days=36)))
    refused = _crm("open", "--key", str(key), given=old)
    assert refused.stdout_bytes == b""
    assert "more than 35 days ago" in _refusal(refused)
    later = ("open", "--key", str(key), "--older-than-days")
    assert _crm(*later, "37", given=old).stdout_bytes == b"x"
    assert "not in the range" in _refusal(_crm(*later, "99999999999", given=old))
    key.write_text("short")
    assert "is no key" in _refusal(_crm("seal", "--key", str(key)))


def test_its_days_are_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every setting, given or in a file, and the same bounds; the others are not asked for."""
    key, file = tmp_path / "backup.key", tmp_path / "days"
    _crm("key", str(key))
    secret = bytes.fromhex(key.read_text())
    old = b"".join(sealed(io.BytesIO(b"x"), secret, datetime.now(UTC) - timedelta(days=36)))
    opening = ("open", "--key", str(key))
    monkeypatch.setenv("CRM_BACKUP_DAYS", "40")
    assert _crm(*opening, given=old).stdout_bytes == b"x"
    assert "more than 9 days ago" in _refusal(_crm(*opening, "--older-than-days=9", given=old))
    monkeypatch.delenv("CRM_BACKUP_DAYS")
    monkeypatch.setenv("CRM_BACKUP_DAYS_FILE", str(file))
    assert isinstance(_crm(*opening, given=old).exception, BadSettings)
    file.write_text("40\n")
    assert _crm(*opening, given=old).stdout_bytes == b"x"
    file.write_text("20\n")
    assert "more than 20 days ago" in _refusal(_crm(*opening, given=old))
    file.write_text("99999999999\n")
    assert isinstance(_crm(*opening, given=old).exception, BadSettings)
    file.write_text("\n")
    assert "more than 35 days ago" in _refusal(_crm(*opening, given=old))


def test_days_that_are_empty_are_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As to the shell, whose `${CRM_BACKUP_DAYS:-35}` is beside it in the nightly job."""
    key = tmp_path / "backup.key"
    _crm("key", str(key))
    data = _crm("seal", "--key", str(key), given=b"a dump").stdout_bytes
    monkeypatch.setenv("CRM_BACKUP_DAYS_FILE", "")
    monkeypatch.setenv("CRM_BACKUP_DAYS", "")
    assert _crm("open", "--key", str(key), given=data).stdout_bytes == b"a dump"


@pytest.mark.parametrize("days", ["soon", "1.5", "null", "-1", "0", " "])
def test_days_that_are_none_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    key = tmp_path / "backup.key"
    _crm("key", str(key))
    monkeypatch.setenv("CRM_BACKUP_DAYS", days)
    refused = _crm("open", "--key", str(key), given=b"").exception
    assert isinstance(refused, BadSettings)
    assert "CRM_BACKUP_DAYS: Expected `int" in str(refused)
    assert "null" not in str(refused)
