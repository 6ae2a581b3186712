"""The embedded servers: start, stop, refuse, recover, for root and for an ordinary user."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from crm.embedded import Embedded, EmbeddedRefused, default_directory, embedded

ROOT = os.geteuid() == 0
# Runs the servers until its standard input ends, and says when they are up.
RUN = """
import asyncio, sys
from pathlib import Path
from crm.embedded import embedded

async def main():
    async with embedded(Path(sys.argv[1]), fsync=False) as servers:
        print(servers.database_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the servers' user can reach: pytest's own only root may enter."""
    path = Path(tempfile.mkdtemp(prefix="crm-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
async def data() -> AsyncIterator[Path]:
    """Make a cluster once and stop it: each test leaves it stopped and whole for the next."""
    path = Path(tempfile.mkdtemp(prefix="crm-"))
    async with embedded(path, fsync=False):
        pass
    yield path
    shutil.rmtree(path)


async def write(servers: Embedded, text: str) -> None:
    owner = await asyncpg.connect(servers.migrate_database_url)
    await owner.execute("CREATE SCHEMA IF NOT EXISTS crm")
    await owner.execute("CREATE TABLE IF NOT EXISTS crm.kept (text text)")
    await owner.execute("INSERT INTO crm.kept VALUES ($1)", text)
    await owner.close()
    async with Redis.from_url(servers.redis_url) as redis:
        await redis.rpush("kept", text)


async def read(servers: Embedded) -> tuple[set[str], set[str]]:
    owner = await asyncpg.connect(servers.migrate_database_url)
    rows = {row["text"] for row in await owner.fetch("SELECT text FROM crm.kept")}
    await owner.close()
    async with Redis.from_url(servers.redis_url) as redis:
        return rows, {value.decode() for value in await redis.lrange("kept", 0, -1)}


async def test_what_was_written_is_there_after_a_stop_and_a_start(folder: Path) -> None:
    async with embedded(folder / "data") as servers:
        await write(servers, "first")
        pids = processes_of(folder)
        assert len(pids) >= 2
    assert processes_of(folder) == []
    async with embedded(folder / "data", fsync=False) as servers:
        assert await read(servers) == ({"first"}, {"first"})


async def test_the_roles_are_those_of_the_service_and_none_is_privileged(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        app = await asyncpg.connect(servers.database_url)
        roles = await app.fetch(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'crm%' AND NOT"
            " (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
        )
        assert dict(map(tuple, roles)) == {
            "crm_app": True,
            "crm_eraser": False,
            "crm_owner": True,
            "crm_prover": False,
            "crm_sweep": False,
        }
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("CREATE SCHEMA mine")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute("SET ROLE crm_eraser")
        await app.close()
        superuser = await asyncpg.connect(servers.superuser_database_url)
        assert await superuser.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = user")
        assert await superuser.fetchval("SHOW server_version_num") >= "180000"
        await superuser.close()


async def test_the_owner_can_give_a_function_to_sweep_and_change_it_later(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        owner = await asyncpg.connect(servers.migrate_database_url)
        await owner.execute(
            "CREATE SCHEMA IF NOT EXISTS crm; GRANT CREATE ON SCHEMA crm TO crm_sweep;"
            "CREATE FUNCTION crm.due() RETURNS text LANGUAGE sql SECURITY DEFINER"
            " RETURN current_user;"
            "ALTER FUNCTION crm.due() OWNER TO crm_sweep;"
            "REVOKE CREATE ON SCHEMA crm FROM crm_sweep;"
            "GRANT USAGE ON SCHEMA crm TO crm_app, crm_sweep;"
            "GRANT EXECUTE ON FUNCTION crm.due() TO crm_app;"
            "CREATE OR REPLACE FUNCTION crm.due() RETURNS text LANGUAGE sql SECURITY DEFINER"
            " RETURN 'still ' || current_user"
        )
        await owner.close()
        app = await asyncpg.connect(servers.database_url)
        assert await app.fetchval("SELECT crm.due()") == "still crm_sweep"
        await app.close()


async def test_a_wrong_password_opens_nothing(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(servers.superuser_database_url, password="guess")


async def test_values_in_a_failing_statement_stay_out_of_the_log(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        owner = await asyncpg.connect(servers.migrate_database_url)
        await owner.execute("CREATE SCHEMA s; CREATE TABLE s.a (mail text PRIMARY KEY)")
        await owner.execute("INSERT INTO s.a VALUES ('ada@example.org')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await owner.execute("INSERT INTO s.a VALUES ('ada@example.org')")
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await owner.execute("SELECT 'ada@example.org'::int")
        await owner.close()
    log = "".join(path.read_text() for path in found(data / "log", "*.log"))
    assert "ready to accept connections" in log
    assert "ada@" not in log


async def test_a_second_start_names_the_process_that_runs(data: Path) -> None:
    first = started(data)
    with pytest.raises(EmbeddedRefused, match=rf"already running .*\(process {first.pid}\)"):
        async with embedded(data):
            pass
    first.communicate()
    assert first.returncode == 0
    assert processes_of(data) == []


async def test_after_sigkill_the_next_start_stops_what_was_left_and_recovers(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        await write(servers, "before")
    first = started(data)
    left = processes_of(data)
    assert len(left) >= 2
    first.kill()
    first.communicate()
    assert set(left) & set(processes_of(data)), "SIGKILL ends crm only"
    async with embedded(data, fsync=False) as servers:
        assert not set(left) & set(processes_of(data))
        await write(servers, "later")
        rows, keys = await read(servers)
        assert {"before", "later"} <= rows & keys


async def test_servers_killed_at_work_are_recovered(data: Path) -> None:
    async with embedded(data) as servers:
        await write(servers, "kept")
        busy = await asyncpg.connect(servers.migrate_database_url)
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(60)"))
        for pid in processes_of(data):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await sleeping
        busy.terminate()
    async with embedded(data) as servers:
        rows, _ = await read(servers)  # wakes of the last second may be lost with Valkey
        assert "kept" in rows


async def test_a_first_start_killed_half_way_is_begun_again(folder: Path) -> None:
    first = run(folder / "data")
    while not found(folder / "data" / "postgres", "unfinished-*"):
        assert first.poll() is None
        await asyncio.sleep(0.005)  # initdb announces nothing
    first.kill()
    first.communicate()
    async with embedded(folder / "data", fsync=False) as servers:
        await write(servers, "new")
        assert (await read(servers))[0] == {"new"}
    wait_until_nothing_runs_on(folder)  # the orphaned initdb fails once its folder is gone
    async with embedded(folder / "data", fsync=False) as servers:
        assert (await read(servers))[0] == {"new"}


async def test_a_path_too_long_for_a_socket_is_no_obstacle(folder: Path) -> None:
    deep = folder / ("a" * 60) / ("b" * 60)
    async with embedded(deep, fsync=False) as servers:
        await write(servers, "deep")
        assert await read(servers) == ({"deep"}, {"deep"})
        sockets = Path(servers.redis_url.removeprefix("unix://")).parent
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert len(str(sockets)) < 100
    assert not sockets.exists()


async def test_a_foreign_folder_in_the_place_of_ours_is_refused(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "postgres").symlink_to(folder / "elsewhere")
    with pytest.raises(EmbeddedRefused, match="not a private folder"):
        async with embedded(folder / "data"):
            pass


async def test_lost_passwords_are_told_in_one_sentence(data: Path) -> None:
    passwords = (data / "passwords.json").rename(data / "elsewhere.json")
    with pytest.raises(EmbeddedRefused, match=r"passwords\.json is missing"):
        async with embedded(data):
            pass
    passwords.rename(data / "passwords.json")


async def test_another_version_of_the_data_is_told_in_one_sentence(data: Path) -> None:
    version = data / "postgres/data/PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedRefused, match="written by PostgreSQL 17, this is 18"):
        async with embedded(data):
            pass
    version.write_text("18\n")


async def test_a_file_in_the_place_of_the_directory_is_refused(folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(EmbeddedRefused, match="set CRM_DATA"):
        async with embedded(folder / "data"):
            pass


async def test_the_addresses_do_not_show_in_print(data: Path) -> None:
    async with embedded(data, fsync=False) as servers:
        password = servers.database_url.split(":")[2].split("@")[0]
        assert len(password) > 40
        assert password not in repr(servers)


@pytest.mark.skipif(not ROOT, reason="needs root: it is about giving the servers to another user")
def test_root_gives_the_servers_to_an_unprivileged_user(data: Path) -> None:
    child = started(data)
    for pid in processes_of(data):
        owner = Path(f"/proc/{pid}").stat().st_uid
        assert pwd.getpwuid(owner).pw_name in {"postgres", "nobody"}
        assert Path(f"/proc/{pid}/exe").readlink().is_relative_to(data)
    child.communicate()
    assert stat.S_IMODE((data / "passwords.json").stat().st_mode) == 0o600


@pytest.mark.skipif(not ROOT, reason="needs root: nobody else makes a folder for root alone")
async def test_a_folder_only_root_can_enter_is_named_and_left_alone(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(EmbeddedRefused, match=f"may not enter {private}: set CRM_DATA"):
        async with embedded(private / "data"):
            pass
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.skipif(not ROOT, reason="runs as an ordinary user anyway: the other tests show it")
def test_an_ordinary_user_needs_nothing_else(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        child = started(folder / "data", nobody)
    except PermissionError:
        pytest.skip("this Python lies in a folder that only root can enter")
    pids = processes_of(folder)
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {nobody.pw_uid}
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    child.communicate()
    assert child.returncode == 0


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CRM_DATA": "/srv/crm", "HOME": "/home/ada"}, "/srv/crm"),
        (
            {"XDG_DATA_HOME": "/data", "HOME": "/home/ada"},
            "/var/lib/firsthand" if ROOT else "/data/firsthand",
        ),
        (
            {"HOME": "/home/ada"},
            "/var/lib/firsthand" if ROOT else "/home/ada/.local/share/firsthand",
        ),
    ],
)
def test_the_default_directory_is_the_customary_one(environ: dict[str, str], expected: str) -> None:
    assert default_directory(environ) == Path(expected)


def started(directory: Path, who: pwd.struct_passwd | None = None) -> subprocess.Popen[str]:
    """Run the servers in a process of their own, and return when they are up."""
    child = run(directory, who)
    assert child.stdout is not None
    assert child.stdout.readline().startswith("postgresql://crm_app:")
    return child


def run(directory: Path, who: pwd.struct_passwd | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, directory],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=who.pw_uid if who else None,
        group=who.pw_gid if who else None,
        extra_groups=[] if who else None,
    )


def processes_of(folder: Path) -> list[int]:
    """List the servers that run on a folder, by their command lines."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = line.read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].endswith((b"/initdb", b"/postgres", b"/valkey-server")) and any(
            os.fsencode(folder) in argument for argument in arguments
        ):
            found.append(int(line.parent.name))
    return sorted(found)


def wait_until_nothing_runs_on(folder: Path) -> None:
    while processes_of(folder):
        time.sleep(0.005)  # an orphan's end is announced to nobody


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))
