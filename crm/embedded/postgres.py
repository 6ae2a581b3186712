"""The embedded PostgreSQL 18: its cluster, its settings, its roles, its life."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec

from crm.embedded.child import launch, ready, stop, stop_orphan
from crm.embedded.place import EmbeddedRefused, Place
from crm.embedded.programs import POSTGRES_MAJOR, Programs

DATABASE = "crm"
PASSWORDS = "passwords.json"
PREPARED = "roles-1"
# The one message of a server whose dead predecessor still has a process at work.
STILL_HELD = "pre-existing shared memory block"
HELD_TRIES = 50
# A fast shutdown: open transactions are rolled back, a checkpoint is written.
GENTLY = signal.SIGINT

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "jit": "off",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    # Replication is not used, and minimal WAL makes loading into a new table cheaper.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A week of files, each overwritten when its day comes round again.
    "logging_collector": "on",
    "log_filename": "postgresql-%u.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    # An error's text, detail and statement may hold addresses and tokens; crm reports errors
    # itself. What remains are the server's own affairs.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}
WITHOUT_FSYNC = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Passwords(msgspec.Struct, frozen=True):
    """The passwords of the roles that may sign in, made once per directory."""

    postgres: str
    crm_owner: str
    crm_app: str


class Cluster(msgspec.Struct, frozen=True):
    """A cluster's folders and passwords: what is needed to start it and to reach it."""

    place: Place
    home: Path
    sockets: Path
    passwords: Passwords

    @property
    def data(self) -> Path:
        """The data folder itself."""
        return self.home / "data"

    def url(self, role: str, database: str = DATABASE) -> str:
        """Give the address at which a role reaches a database."""
        password = getattr(self.passwords, role)
        return f"postgresql://{role}:{password}@/{database}?host={quote(str(self.sockets))}"


async def stop_left(place: Place) -> None:
    """End the server that a killed run left behind."""
    pidfile = place.directory / "postgres" / "data" / "postmaster.pid"
    await stop_orphan(pidfile, place.directory, GENTLY)


async def cluster(place: Place, programs: Programs, *, fsync: bool) -> Cluster:
    """Find or make the cluster, after stopping whatever still runs on it."""
    home = place.folder("postgres")
    data = home / "data"
    await stop_left(place)
    passwords = _passwords(place.directory / PASSWORDS, known=data.exists())
    if not data.exists():
        await asyncio.to_thread(_initdb, place, programs, home, passwords.postgres, fsync=fsync)
    _check_version(data)
    return Cluster(place, home, place.own(place.sockets), passwords)


async def start(cluster: Cluster, programs: Programs, *, fsync: bool) -> subprocess.Popen[bytes]:
    """Start the server, recovering first if need be, and wait until it takes connections."""
    settings = SETTINGS | ({} if fsync else WITHOUT_FSYNC)
    settings["unix_socket_directories"] = str(cluster.sockets)
    settings["log_directory"] = str(cluster.place.folder("log"))
    command: list[str | Path] = [programs.postgres, "-D", cluster.data]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    output = cluster.place.directory / "postgres-start.log"
    for _ in range(HELD_TRIES):
        child = launch(command, cluster.place, output)
        try:
            await ready(child, partial(_accepts, cluster, child.pid), output)
        except EmbeddedRefused as refused:
            if STILL_HELD not in str(refused):
                raise
            await asyncio.sleep(0.1)
        except BaseException:
            child.send_signal(GENTLY)
            await stop(child)
            raise
        else:
            return child
    message = (
        f"An earlier PostgreSQL on {cluster.place.directory} does not end; restart the system."
    )
    raise EmbeddedRefused(message)


async def prepare(cluster: Cluster) -> None:
    """Make the database and its roles, once; a run that was killed half-way is completed."""
    done = cluster.place.directory / PREPARED
    if done.exists():
        return
    connection = await asyncpg.connect(cluster.url("postgres", "postgres"))
    try:
        await connection.execute(_roles(cluster.passwords))
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER crm_owner")
        await connection.execute(
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;"
            f"GRANT CONNECT ON DATABASE {DATABASE} TO crm_app"
        )
    finally:
        await connection.close()
    done.touch()


def _roles(passwords: Passwords) -> str:
    # The passwords are our own and URL-safe: no quote can be in them.
    # To give a function to crm_sweep, its owner must be able to become crm_sweep: before 16 every
    # member may, from 16 on a plain GRANT says so (SET TRUE), too.
    roles = {
        "crm_owner": f"LOGIN PASSWORD '{passwords.crm_owner}'",
        "crm_app": f"LOGIN PASSWORD '{passwords.crm_app}'",
        "crm_sweep": "NOLOGIN",
        "crm_eraser": "NOLOGIN",
        "crm_prover": "NOLOGIN",
    }
    never = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
    made = [
        f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        f"ALTER ROLE {role} {never} {how};"
        for role, how in roles.items()
    ]
    return "".join([*made, "GRANT crm_sweep, crm_eraser, crm_prover TO crm_owner;"])


def _passwords(path: Path, *, known: bool) -> Passwords:
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=Passwords)
        except msgspec.DecodeError as error:
            message = f"{path} is damaged ({error}); put it back from a backup."
            raise EmbeddedRefused(message) from None
    if known:
        message = f"{path} is missing beside an existing database; put it back from a backup."
        raise EmbeddedRefused(message)
    passwords = Passwords(*(secrets.token_urlsafe(32) for _ in Passwords.__struct_fields__))
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    _write_private(unfinished, msgspec.json.encode(passwords))
    unfinished.rename(path)
    return passwords


def _write_private(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _initdb(place: Place, programs: Programs, home: Path, password: str, *, fsync: bool) -> None:
    """Make the cluster under another name, so that a killed run leaves none under its own."""
    for unfinished in home.glob("unfinished-*"):
        shutil.rmtree(unfinished, ignore_errors=True)  # an orphaned initdb may still write there
    data = home / f"unfinished-{secrets.token_hex(4)}"
    secret = home / "password"
    secret.unlink(missing_ok=True)
    _write_private(secret, password.encode())
    if place.other_user:
        os.chown(secret, place.uid, place.gid, follow_symlinks=False)
    output = place.directory / "postgres-start.log"
    command = _initdb_command(programs, data, secret)
    command += [] if fsync else ["--no-sync"]
    try:
        status = launch(command, place, output).wait()
    finally:
        secret.unlink()
    if status != 0:
        lines = output.read_text(errors="replace").strip().splitlines()
        reason = next((line for line in lines if "error:" in line or "FATAL" in line), "no reason")
        message = f"PostgreSQL's initdb failed: {reason} (see {output})."
        raise EmbeddedRefused(message)
    data.rename(home / "data")


def _initdb_command(programs: Programs, data: Path, secret: Path) -> list[str | Path]:
    options = {
        "pgdata": data,
        "username": "postgres",
        "pwfile": secret,
        "auth": "scram-sha-256",
        "encoding": "UTF8",
        # The same order of texts on every system, whatever its libc and locales.
        "locale": "C",
        "locale-provider": "builtin",
        "builtin-locale": "C.UTF-8",
        # A password of 256 random bits needs no stretching, which costs 10 ms per connection.
        "set": "scram_iterations=1",
    }
    return [programs.initdb, "--no-instructions", *(f"--{k}={v}" for k, v in options.items())]


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != POSTGRES_MAJOR:
        message = (
            f"{data} was written by PostgreSQL {found}, this is {POSTGRES_MAJOR}: "
            "export it with the old version's pg_dump, or set CRM_DATA to a new folder."
        )
        raise EmbeddedRefused(message)


def _accepts(cluster: Cluster, pid: int) -> bool:
    """Read what pg_ctl reads: line 1 is whose file it is, line 8 how far the server has come."""
    try:
        lines = (cluster.data / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return False
    return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004
