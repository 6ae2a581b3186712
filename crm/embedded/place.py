"""Where the embedded servers live: one directory, whose it is, and who uses it now."""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

# sockaddr_un holds 108 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock" to the folder's name.
SOCKET_FOLDER_LIMIT = 80
# A new cluster takes 40 MB, its write-ahead log as much again before the first checkpoint.
SPACE_NEEDED = 200 * 1024 * 1024
SERVICE_USERS = ("postgres", "nobody")
LOCK = "embedded.lock"


class EmbeddedRefused(Exception):
    """The embedded servers cannot run like this; the message says why and what to do."""


class Place(Struct, frozen=True):
    """A prepared directory, and the user who owns the servers' part of it."""

    directory: Path
    uid: int
    gid: int

    @property
    def other_user(self) -> bool:
        """Whether the servers run as somebody other than ourselves."""
        return self.uid != os.geteuid()

    @property
    def user(self) -> str:
        """The service user's name, or number in a container that has no name for it."""
        with suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return str(self.uid)

    def folder(self, name: str) -> Path:
        """Make a folder below the directory that only the service user can enter, once."""
        return self.own(self.directory / name)

    def own(self, path: Path) -> Path:
        """Make a folder that only the service user can enter; refuse somebody else's."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.uid or found.st_mode & 0o077:
                message = f"{path} exists, but is not a private folder of the embedded servers."
                raise EmbeddedRefused(message) from None
        else:
            if self.other_user:
                os.chown(path, self.uid, self.gid)
        return path

    @property
    def sockets(self) -> Path:
        """The folder for sockets: a short one under /tmp when our own path is too long."""
        own = self.directory / "sockets"
        if len(os.fsencode(own)) <= SOCKET_FOLDER_LIMIT:
            return own
        mark = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        # A name anybody can guess in a folder anybody can write: `own` takes only our own.
        return Path(f"/tmp/firsthand-{self.uid}-{mark}")  # noqa: S108

    def tidy(self) -> None:
        """Leave no folder for sockets outside the directory once the servers have ended."""
        if self.sockets.parent != self.directory:
            shutil.rmtree(self.sockets, ignore_errors=True)


def default_directory(environ: Mapping[str, str]) -> Path:
    """Give the directory used when nobody names one: CRM_DATA, or the customary place."""
    if chosen := environ.get("CRM_DATA"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/firsthand")
    if data_home := environ.get("XDG_DATA_HOME"):
        return Path(data_home).absolute() / "firsthand"
    home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".local" / "share" / "firsthand"


@contextmanager
def taken(directory: Path) -> Iterator[Place]:
    """Hold the directory for this process alone, made if need be, as long as the block runs."""
    directory = Path(os.path.realpath(directory))
    try:
        _make(directory)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        message = (
            f"{error.filename} cannot be used by this user; set CRM_DATA to a folder of yours."
        )
        raise EmbeddedRefused(message) from error
    except OSError as error:
        message = f"{directory} cannot be used: {error.strerror}; set CRM_DATA to another folder."
        raise EmbeddedRefused(message) from error
    try:
        _hold(lock, directory)
        _check_space(directory)
        yield _owned(directory)
    finally:
        os.close(lock)


def blocker(path: Path, uid: int, gid: int) -> Path | None:
    """Name the first folder on the way to path that this user may not pass, if any."""
    for folder in (*reversed(path.parents), path):
        found = folder.stat()
        shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
        if not found.st_mode >> shift & stat.S_IXOTH:
            return folder
    return None


def _make(directory: Path) -> None:
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        folder.chmod(0o711)  # the umask may be 077, and another user has to pass
    # Only what is new or already ours is opened: CRM_DATA may have been set to a home.
    ours = not any(directory.iterdir()) or (directory / LOCK).exists()
    if ours:
        directory.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _hold(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode() or "unknown"
        message = (
            f"Firsthand is already running on {directory} (process {holder}): "
            f"stop it with `kill {holder}`, or set CRM_DATA to another folder."
        )
        raise EmbeddedRefused(message) from None
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _check_space(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < SPACE_NEEDED:
        message = (
            f"Only {free // 2**20} MB are free at {directory}, "
            f"{SPACE_NEEDED // 2**20} MB are needed: make room, or set CRM_DATA to another disk."
        )
        raise EmbeddedRefused(message)


def _owned(directory: Path) -> Place:
    if os.geteuid() != 0:
        return Place(directory, os.geteuid(), os.getegid())
    data = directory / "postgres"
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Place(directory, owner.st_uid, owner.st_gid)
    for name in SERVICE_USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Place(directory, user.pw_uid, user.pw_gid)
    message = (
        "PostgreSQL does not run as root, and this system has neither a user postgres nor nobody: "
        "run crm as an ordinary user, or set CRM_DATABASE_URL and CRM_REDIS_URL."
    )
    raise EmbeddedRefused(message)
