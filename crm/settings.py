"""Settings: one frozen Struct from `CRM_*` variables, all problems reported together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from crm.keys import Keys

_PREFIX = "CRM_"
# Read elsewhere: where the embedded servers keep their data, and the tests' own server.
_NOT_SETTINGS = {"CRM_DATA", "CRM_TEST_POSTGRES"}
_KEY_SIZE = 32

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
# A century: what is longer is a mistake, and no date comes after it.
LONGEST_DAYS = 36_500
Days = Annotated[int, Meta(ge=1, le=LONGEST_DAYS)]
_HOURS = 24 * LONGEST_DAYS
Seconds = Annotated[float, Meta(gt=0)]


class BadSettings(Exception):
    """The environment does not make a configuration; the message lists every reason."""


class Smtp(Struct, frozen=True):
    """The relay that takes our mail."""

    host: str = "127.0.0.1"
    port: Port = 1025
    username: str = ""
    password: str = ""
    # `starttls` and `implicit` verify the relay's certificate; `none` is for this machine only;
    # `trusted` goes without to another, over a network that is the operator's alone.
    tls: Literal["none", "starttls", "implicit", "trusted"] = "none"
    # What we call ourselves in EHLO; empty takes the machine's name.
    hostname: str = ""
    # From which public addresses it hands mail on, comma-separated; empty: not known.
    sends_from: str = ""
    # Seconds to wait for a session to open.
    timeout: Seconds = 60
    # The most seconds to wait for any later answer; by itself each step waits as long as RFC 5321
    # §4.5.3.2 asks. Less leaves more mails uncertain.
    patience: Seconds = 600
    # May the relays of a business be on this machine or in a private network? This one may.
    local_relays: bool = False

    @property
    def addresses(self) -> list[str]:
        """The addresses of `sends_from`, as DNS writes them."""
        return _addresses("CRM_SMTP__SENDS_FROM", self.sends_from)

    @property
    def local(self) -> bool:
        """May this relay be in a private network: it is the operator's own."""
        return True

    def __repr__(self) -> str:
        """Hide the password."""
        return f"Smtp({self.host}:{self.port})"


class Web(Struct, frozen=True):
    """Where the web process listens."""

    host: str = "127.0.0.1"
    port: Port = 8000
    # So many answer there: one keeps one processor busy.
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    # Addresses of proxies whose X-Forwarded-For is believed, comma-separated.
    trusted_proxies: str = "127.0.0.1"
    # The largest body of a request, in bytes; an uploaded import is bounded by `imports`.
    max_body: Positive = 1_000_000
    # What asks for /metrics has to bring; empty: there is no such page.
    metrics_token: str = ""

    def __repr__(self) -> str:
        """Hide the token."""
        return f"Web({self.host}:{self.port})"


class Sending(Struct, frozen=True):
    """How campaigns are handed to the relay."""

    connections: Annotated[int, Meta(ge=1, le=200)] = 10
    # Twice as many deliveries, and one for each connection, are without a recorded outcome at most:
    # the bound on what is uncertain after a crash. A quarter of a second's worth, if that is less.
    batch: Annotated[int, Meta(ge=1, le=500)] = 100
    # Customers per range; a range is worked on by one worker at a time.
    range: Positive = 10_000
    # A worker silent for so long has lost its range.
    lease_seconds: Annotated[int, Meta(ge=2, le=300)] = 15
    # Messages per second over all connections of a worker; 0 is as fast as the relay takes them.
    rate: Annotated[int, Meta(ge=0)] = 0
    # A delivery that could not go within so many hours fails; a day at least, in which the mailing
    # hours of every business open once.
    give_up_hours: Annotated[int, Meta(ge=24, le=_HOURS)] = 48
    # A scheduled campaign that could not start for so long is held until staff decide.
    overdue_minutes: Annotated[int, Meta(ge=1, le=60 * _HOURS)] = 60


class Dns(Struct, frozen=True):
    """Whom we ask about the domains that mail is sent from."""

    # IP addresses of resolvers, comma-separated, each with #PORT where it is not 53; empty takes
    # those of this machine.
    servers: str = ""


class Imports(Struct, frozen=True):
    """Bounds of what is uploaded to be imported; `crm import` reads what an operator has here."""

    max_bytes: Positive = 200_000_000


class Lint(Struct, frozen=True):
    """What the linter of campaigns knows besides its own rules."""

    # A directory with lists of trackers in public formats; empty: our own facts only.
    lists: str = ""


class Ledger(Struct, frozen=True):
    """What is kept of signed heads besides the journal."""

    # A directory to write signed heads to, for others to keep; empty writes none.
    anchors: str = ""
    # How often the monitor derives each ledger anew, in hours.
    watch_hours: Annotated[int, Meta(ge=1, le=_HOURS)] = 24


class Inbound(Struct, frozen=True):
    """How mail that comes back is heard: the listener behind a mail server, and mailboxes."""

    host: str = "127.0.0.1"
    # 0: there is no listener.
    port: Port = 0
    protocol: Literal["lmtp", "smtp"] = "lmtp"
    # The largest mail that is taken, in bytes; times `connections` is the most memory it can cost.
    max_bytes: Annotated[int, Meta(ge=100_000, le=100_000_000)] = 5_000_000
    connections: Annotated[int, Meta(ge=1, le=200)] = 20
    # May a business fetch mail from a server in a private network, and without TLS?
    local_mailboxes: bool = False


class Webhooks(Struct, frozen=True):
    """Where the events of businesses may be told to."""

    # May an endpoint be on this machine or in a private network, and without TLS?
    local: bool = False


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can set; `deploy/env.example` names each with its meaning."""

    database_url: str = ""
    migrate_database_url: str = ""
    redis_url: str = ""
    link_keys: str
    storage_keys: str
    pepper: str
    # A directory outside the database, shared by all workers: what a restore is noticed by.
    journal: str = ""
    # For how many days its entries are kept: longer than the oldest backup that is ever put back.
    journal_days: Days = 400
    # For how many days backups are kept, as customers are told: less than the journal's entries.
    backup_days: Days = 35
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    smtp: Smtp = Smtp()
    web: Web = Web()
    sending: Sending = Sending()
    dns: Dns = Dns()
    imports: Imports = Imports()
    ledger: Ledger = Ledger()
    lint: Lint = Lint()
    inbound: Inbound = Inbound()
    webhooks: Webhooks = Webhooks()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Build settings from `CRM_*` variables, or raise BadSettings with every problem."""
        problems: list[str] = []
        values = _gathered(environ, problems)
        settings = _built(cls, values, "", problems)
        problems += _unread(values)
        if problems:
            raise BadSettings("\n".join(problems))
        return settings  # type: ignore[no-any-return]

    def keys(self) -> Keys:
        """Decode the secrets; a ValueError says which variable is wrong."""
        return Keys(
            _numbered("CRM_LINK_KEYS", self.link_keys),
            _numbered("CRM_STORAGE_KEYS", self.storage_keys),
            _hex("CRM_PEPPER", self.pepper),
        )

    def __repr__(self) -> str:
        """Show nothing that could be a secret."""
        return "Settings(…)"


def _gathered(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """Collect `CRM_*` by lower-case path; `CRM_X_FILE` reads the value from a file."""
    known = names(Settings)
    values: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name in known:
            values[name] = value
        elif name.endswith("_FILE") and name.removesuffix("_FILE") in known:
            try:
                values[name.removesuffix("_FILE")] = Path(value).read_text().strip()
            except OSError as wrong:
                problems.append(f"{name}: cannot read {value}: {wrong.strerror}")
            except UnicodeDecodeError:
                problems.append(f"{name}: {value} is not text in UTF-8")
        else:
            problems.append(f"{name}: there is no such setting; deploy/env.example lists them all")
    return values


def alone(name: str, environ: Mapping[str, str]) -> Any:
    """Read one setting, for a command that needs no other; None where it is not given, or empty."""
    problems: list[str] = []
    wanted = {each: environ[each] for each in (name, f"{name}_FILE") if environ.get(each)}
    values = _gathered(wanted, problems)
    value: Any = None
    try:
        if text := values.get(name):
            value = msgspec.convert(text, names(Settings)[name], strict=False)
    except msgspec.ValidationError as wrong:
        problems.append(f"{name}: {wrong}")
    if problems:
        raise BadSettings("\n".join(problems))
    return value


def names(struct: type[Struct], path: str = "") -> dict[str, Any]:
    """List the variables that make up a Struct, with their types."""
    found: dict[str, Any] = {}
    for field, hint in get_type_hints(struct, include_extras=True).items():
        name = f"{path}{field}".upper()
        if isinstance(hint, type) and issubclass(hint, Struct):
            found |= names(hint, f"{path}{field}__")
        else:
            found[_PREFIX + name] = hint
    return found


def _built(struct: type[Struct], values: dict[str, str], path: str, problems: list[str]) -> Any:
    given: dict[str, Any] = {}
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        name = f"{path}{field.name}".upper()
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            given[field.name] = _built(hint, values, f"{path}{field.name}__", problems)
        elif _PREFIX + name in values:
            try:
                given[field.name] = msgspec.convert(values[_PREFIX + name], hint, strict=False)
            except msgspec.ValidationError as wrong:
                problems.append(f"{_PREFIX}{name}: {wrong}")
        elif field.required:
            problems.append(f"{_PREFIX}{name}: is not set, and has no default")
    return None if problems else struct(**given)


def _numbered(name: str, text: str) -> tuple[tuple[int, bytes], ...]:
    keys: list[tuple[int, bytes]] = []
    for part in text.split(","):
        number, _, secret = part.strip().partition(":")
        if not number.isdigit() or not 0 <= int(number) <= 255:  # noqa: PLR2004  (one byte)
            message = f"{name}: each key is NUMBER:HEX, the number from 0 to 255"
            raise ValueError(message)
        keys.append((int(number), _hex(name, secret)))
    if len({number for number, _ in keys}) != len(keys):
        message = f"{name}: a number is there twice"
        raise ValueError(message)
    return tuple(keys)


def _addresses(name: str, text: str) -> list[str]:
    try:
        return [str(ip_address(each)) for each in text.replace(",", " ").split()]
    except ValueError:
        message = f"{name}: these are IP addresses with commas between them"
        raise ValueError(message) from None


def _servers(text: str) -> None:
    for each in filter(None, map(str.strip, text.split(","))):
        address, _, port = each.partition("#")
        try:
            ip_address(address)
            right = 0 < int(port or 53) <= 65535  # noqa: PLR2004  (the last port)
        except ValueError:
            right = False
        if not right:
            message = f"CRM_DNS__SERVERS: {each} is no IP address, with #PORT or without"
            raise ValueError(message)


def _proxies(text: str) -> None:
    # Whoever believes everybody says so, and lists nobody besides.
    for each in [] if text == "*" else filter(None, map(str.strip, text.split(","))):
        try:
            ip_network(each)
        except ValueError:
            message = f"{each} is no IP address, and no network such as 10.0.0.0/8"
            raise ValueError(f"CRM_WEB__TRUSTED_PROXIES: {message}") from None


# What is text to the structs above, and more than that to whoever uses it.
_READ: dict[str, Callable[[str], object]] = {
    "CRM_LINK_KEYS": lambda text: _numbered("CRM_LINK_KEYS", text),
    "CRM_STORAGE_KEYS": lambda text: _numbered("CRM_STORAGE_KEYS", text),
    "CRM_PEPPER": lambda text: _hex("CRM_PEPPER", text),
    "CRM_SMTP__SENDS_FROM": lambda text: _addresses("CRM_SMTP__SENDS_FROM", text),
    "CRM_DNS__SERVERS": _servers,
    "CRM_WEB__TRUSTED_PROXIES": _proxies,
}


def _unread(values: Mapping[str, str]) -> list[str]:
    problems: list[str] = []
    for name, decode in _READ.items():
        try:
            if name in values:
                decode(values[name])
        except ValueError as wrong:
            problems.append(str(wrong))
    return problems


def _hex(name: str, text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < _KEY_SIZE:
        message = f"{name}: a secret is at least {2 * _KEY_SIZE} hexadecimal digits"
        raise ValueError(message)
    return secret
