"""The command line as an operator uses it: what goes wrong is one line and a status that tells."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from crm import cli, webhooks
from crm.businesses import Business
from crm.connections import Lost
from crm.db import Database
from crm.doctor import Away
from crm.keys import Keys
from crm.mail import relays
from crm.webhooks import NewEndpoint
from tests import make, places
from tests.commands import SECRETS, crm
from tests.conftest import KEYS, Cluster
from tests.smtpd import smtpd

ROOT = Path(__file__).resolve().parents[1]
LETTER = "# Rye\n\nDear {{ first_name | default('reader') }}, there is rye bread.\n"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
URLS = {"CRM_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "CRM_REDIS_URL": "redis://127.0.0.1:1"}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place that the servers may enter, also when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="fh-", dir=places.quick()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def test_a_business_on_embedded_servers(directory: Path, tmp_path: Path) -> None:
    """Each command alone starts the servers, does its work and puts them away."""
    data = {"CRM_DATA": str(directory)}
    people = tmp_path / "people.csv"
    people.write_text("Email Address,OPTIN_TIME,CONFIRM_TIME\n")
    status, out, err = await crm(
        "business",
        "add",
        "--name=Corner Bakery",
        "--sender=letter@bakery.example",
        "--origin=https://bakery.example",
        "--owner=olga@bakery.example",
        "--password=a long enough password",
        **data,
    )
    assert (status, err) == (0, "")
    assert "https://bakery.example/staff" in out

    status, out, err = await crm("business", "list", **data)
    assert status == 0
    assert "Corner Bakery" in out

    status, out, err = await crm("import", str(people), "--purpose=none", **data)
    assert status == 2
    assert err.splitlines()[-1] == "crm: There is no such purpose here."


async def test_a_campaign_from_the_terminal(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    """Drafted from a file, looked at, scheduled, taken back, started once."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 3)
    file = tmp_path / "rye.md"
    file.write_text(LETTER)
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}

    async def campaign(*arguments: str) -> tuple[int, str, str]:
        which = f"--business={business.id}"
        return await crm("campaign", *arguments, which, **urls | SECRETS)

    status, out, err = await campaign("draft", str(file), f"--purpose={purpose.slug}")
    assert (status, err) == (0, "")
    (kept,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", out)

    shown = (await campaign("preview", kept))[1]
    assert "Subject: Rye" in shown
    assert re.search(r"Dear \w+, there is rye bread\.", shown)
    assert re.search(r"will get it\D+3\b", (await campaign("review", kept))[1])

    status, _, err = await campaign("schedule", kept, "tomorrow")
    assert (status, err.count("\n")) == (2, 1)
    assert "scheduled" in (await campaign("schedule", kept, TOMORROW))[1]
    assert "draft" in (await campaign("unschedule", kept))[1]
    assert "starting" in (await campaign("start", kept))[1]

    status, _, err = await campaign("start", kept)
    assert status == 2
    assert err == "crm: This campaign is started already, so it cannot be started now.\n"
    assert kept in (await campaign("list"))[1]


async def test_webhooks_from_the_terminal(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str
) -> None:
    """Listed, switched, tried, and told everything once more."""
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}

    async def webhook(*arguments: str) -> tuple[int, str, str]:
        return await crm("webhook", *arguments, f"--business={business.id}", **urls | SECRETS)

    assert "told to nobody" in (await webhook("list"))[1]
    async with database.write(business.id) as db:
        new = NewEndpoint(name="Shop", url="https://shop.example/events")
        added, _ = await webhooks.add(db, make.SYSTEM, new, local=False)
    assert "Shop is off" in (await webhook("off", "Shop"))[1]
    status, _, err = await webhook("test", "Shop")
    assert (status, "Switch it on first" in err) == (2, True)
    assert str(added.id)[:13] in (await webhook("list"))[1]
    assert "is on" in (await webhook("on", str(added.id)))[1]
    assert "On its way" in (await webhook("test", "Shop"))[1]
    assert "once more" in (await webhook("replay", "Shop", "--since=2026-01-01"))[1]
    status, _, err = await webhook("off", "Till")
    assert (status, "There is no endpoint called Till" in err) == (2, True)


async def test_relays_from_the_terminal(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    """Added with a password that no list of processes shows, tried, and switched off."""
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}
    secret = tmp_path / "password"
    secret.write_text("secret word\n")

    async def relay(*arguments: str) -> tuple[int, str, str]:
        return await crm("relay", *arguments, f"--business={business.id}", **urls | SECRETS)

    status, _, err = await relay("add", "far", "relay.example.org", "--sends-from=10.0.0.1")
    assert (status, "public addresses" in err) == (2, True)
    async with smtpd() as server:
        given = [f"--port={server.port}", "--tls=none", "--warm-up=200,400", "--sends-from=9.9.9.9"]
        status, out, err = await relay("add", "here", "127.0.0.1", *given)
        assert (status, err) == (0, "")
    status, out, _ = await relay("check", "here")
    assert (status, "cannot be used" in out) == (1, True)
    far = ["relay.example.org", "--user=us", f"--password-file={secret}"]
    assert (await relay("add", "two", *far))[0] == 0
    async with database.read(business.id) as db:
        kept = {each.name: each for each in await relays.all_of(db)}
    # The keys of these commands are not those of the other tests.
    keys = Keys(link_keys=((1, KEYS.pepper),), storage_keys=((1, KEYS.pepper),), pepper=KEYS.pepper)
    assert keys.decrypt(business.id, "relay", kept["two"].sealed or b"") == b"secret word"
    assert (kept["here"].warm_up, kept["here"].sends_from) == ([200, 400], ["9.9.9.9"])

    assert "two is off" in (await relay("off", "two"))[1]
    listed = (await relay("list"))[1]
    assert "secret" not in listed
    assert re.search(r"two\b.*\boff", listed)
    assert re.search(r"here\b.*\baway", listed)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CRM_DATABASE_URL": "postgresql://x/y"}, "set without the other"),
        ({"CRM_DATABASE_URL": "", "CRM_REDIS_URL": URLS["CRM_REDIS_URL"]}, "set without the other"),
        (URLS | SECRETS | {"CRM_BATCH": "5"}, "CRM_BATCH: there is no such setting"),
        (URLS | SECRETS | {"CRM_WEB__PORT": "many"}, "CRM_WEB__PORT"),
        (URLS | SECRETS | {"CRM_LINK_KEYS": "1:beef"}, "CRM_LINK_KEYS"),
        (URLS | SECRETS | {"CRM_SMTP__SENDS_FROM": "mx.example"}, "these are IP addresses"),
        (URLS | SECRETS | {"CRM_DNS__SERVERS": "::1, dns.example"}, "dns.example is no IP address"),
        (URLS | SECRETS | {"CRM_DNS__SERVERS": "127.0.0.1#99999"}, "127.0.0.1#99999 is no IP"),
        (URLS | SECRETS | {"CRM_WEB__TRUSTED_PROXIES": "::1,10.0.0.1/8"}, "10.0.0.1/8 is no IP"),
        (URLS | SECRETS | {"CRM_WEB__TRUSTED_PROXIES": "*,::1"}, "* is no IP address"),
        (URLS, "CRM_LINK_KEYS: is not set"),
        (URLS | SECRETS | {"CRM_DATABASE_URL": "no address"}, "the database cannot be reached"),
        (URLS | SECRETS | {"CRM_JOURNAL": ""}, "CRM_JOURNAL: is not set"),
        (URLS | SECRETS | {"CRM_JOURNAL": "/proc/journal"}, "/proc/journal cannot be written"),
        ({"CRM_DATA": "/proc/firsthand"}, "/proc/firsthand"),
    ],
    ids=[
        "one-url",
        "an-empty-url",
        "unknown",
        "no-number",
        "short-key",
        "no-addresses",
        "no-resolver",
        "no-port",
        "no-network",
        "all-and-one",
        "no-secrets",
        "no-address",
        "no-journal",
        "a-journal-nowhere",
        "no-place",
    ],
)
async def test_bad_settings_are_told(settings: dict[str, str], words: str) -> None:
    """Every problem in a line of its own, no traceback, no secret."""
    status, out, err = await crm("doctor", **settings)

    assert status == 2
    assert out == ""
    assert words in err
    assert all(line.startswith("crm: ") for line in err.splitlines())
    assert KEYS.pepper.hex() not in err


@pytest.mark.parametrize("command", ["web", "worker", "inbound", "migrate", "doctor", "business"])
async def test_a_database_that_is_away_passes_by_itself(command: str) -> None:
    """Another status than a wrong setting has, so that a supervisor begins again."""
    urls = URLS | {"CRM_MIGRATE_DATABASE_URL": URLS["CRM_DATABASE_URL"]}
    arguments = (command, "list") if command == "business" else (command,)
    status, out, err = await crm(*arguments, **urls | SECRETS)

    assert (status, out) == (75, "")
    assert "cannot be reached (ConnectionRefusedError)" in err
    assert len(err.splitlines()) == 1


async def test_a_database_that_there_is_not_is_a_wrong_setting(
    shared_cluster: Cluster, redis_url: str
) -> None:
    """PostgreSQL answers and says no: that stays so, also for its owner."""
    url = urlsplit(shared_cluster.app_url)._replace(path="/nowhere").geturl()
    urls = {"CRM_DATABASE_URL": url, "CRM_MIGRATE_DATABASE_URL": url, "CRM_REDIS_URL": redis_url}
    for command in ("worker", "migrate"):
        status, _, err = await crm(command, **urls | SECRETS)

        assert status == 2
        assert "InvalidCatalogNameError" in err


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (asyncpg.CannotConnectNowError("x"), 75),
        (asyncpg.TooManyConnectionsError("x"), 75),
        (Lost("x"), 75),
        (TimeoutError("x"), 75),
        (RedisConnectionError("x"), 75),
        (AuthenticationError("x"), 2),
        (asyncpg.InvalidPasswordError("x"), 2),
        (Away("the embedded servers have stopped"), 75),
        (OSError("Multiple exceptions: x, y"), 75),
        (FileNotFoundError(2, "x"), 2),
        (PermissionError(13, "x"), 2),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else str(each),
)
def test_what_passes_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int
) -> None:
    """Also where it happens in the middle of a command."""

    def command(**_given: object) -> None:
        raise raised

    monkeypatch.setattr(cli, "cli", command)
    monkeypatch.setattr("gc.freeze", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status


@pytest.mark.parametrize("unit", ["web", "worker", "inbound"])
def test_a_unit_begins_again_unless_an_operator_has_to_mend(unit: str) -> None:
    """However often it has failed; each time it asks for the migrations first."""
    lines = _unit(unit)

    assert {"Restart=always", "RestartSec=2", "RestartPreventExitStatus=2"} <= set(lines)
    assert "Wants=crm-migrate.service" in lines
    assert "PartOf=crm-migrate.service" in lines
    assert not [line for line in lines if line.startswith(("Requires=", "BindsTo="))]


def test_migrations_are_asked_for_and_take_nobody_along() -> None:
    """Begun again by systemd, they would each time restart what is part of them."""
    assert not [line for line in _unit("migrate") if line.startswith("Restart")]


def _unit(name: str) -> list[str]:
    file = (ROOT / "deploy" / "systemd" / f"crm-{name}.service").read_text()
    lines = [line for line in file.splitlines() if not line.startswith("#")]
    assert lines.index("StartLimitIntervalSec=0") < lines.index("[Service]")
    return lines


@pytest.mark.parametrize(
    ("role", "words"),
    [("superuser_url", "is a superuser"), ("owner_url", "owns the tables")],
)
async def test_a_role_above_row_level_security_is_refused(
    shared_cluster: Cluster, redis_url: str, role: str, words: str
) -> None:
    """Promise 14 rests on the role: the service does not start as another."""
    urls = {"CRM_DATABASE_URL": getattr(shared_cluster, role), "CRM_REDIS_URL": redis_url}
    for command in ("doctor", "web", "worker"):
        status, _, err = await crm(command, **urls | SECRETS)

        assert status == 2
        assert words in err
        assert not re.search(r"Traceback|password", err)


async def test_migrations_may_be_on_their_way(own_cluster: Cluster, redis_url: str) -> None:
    """Whoever starts everything at once has them applied meanwhile."""
    conn = await asyncpg.connect(own_cluster.superuser_url)
    try:
        await conn.execute(
            "DELETE FROM public.crm_migration"
            " WHERE number = (SELECT max(number) FROM public.crm_migration)"
        )
    finally:
        await conn.close()
    urls = {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url}
    status, _, err = await crm("worker", **urls | SECRETS)

    assert status == 75
    assert "1 migrations are missing" in err


async def test_a_fit_installation_is_said_to_be(own_cluster: Cluster, redis_url: str) -> None:
    """The doctor finds nothing."""
    urls = {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url}
    status, out, err = await crm("doctor", **urls | SECRETS)

    assert (status, err) == (0, "")
    assert "All is well" in out


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--name=", "The name is empty"),
        ("--name=Rye\r\nBcc: x", "The name is empty"),
        ("--sender=no address", "The sender address is empty"),
        ("--time-zone=Mars/Olympus", "no such time zone"),
        ("--locale=elvish", "The locale is empty"),
        ("--owner=no address", "The owner needs a name"),
        ("--password=short", "at least 12 characters"),
    ],
    ids=["name", "line-break", "sender", "time-zone", "locale", "owner", "password"],
)
async def test_a_wrong_business_is_told_once(
    own_cluster: Cluster, redis_url: str, wrong: str, words: str
) -> None:
    """One line for one mistake, and nothing is kept."""
    urls = {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url}
    given = {
        "--name": "Rye",
        "--sender": "rye@rye.example",
        "--origin": "https://wrong.example",
        "--owner": "olga@rye.example",
        "--password": "a long enough password",
    }
    name, _, value = wrong.partition("=")
    arguments = [f"{key}={text}" for key, text in (given | {name: value}).items()]
    status, out, err = await crm("business", "add", *arguments, **urls | SECRETS)

    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


async def test_every_bad_setting_is_told_at_once() -> None:
    """Secrets beside the rest, so that a start needs one correction."""
    bad = {
        "CRM_LINK_KEYS": "zz",
        "CRM_STORAGE_KEYS": "1:",
        "CRM_PEPPER": "short",
        "CRM_WEB__PORT": "99999",
    }
    status, _, err = await crm("doctor", **URLS | bad)

    assert status == 2
    assert {line.split(":")[1].strip() for line in err.splitlines()} == set(bad)


async def test_a_worker_ends_with_who_started_it(shared_cluster: Cluster, redis_url: str) -> None:
    """A parent killed outright leaves nobody behind to hold ports and connections."""
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}
    async with asyncio.timeout(20):
        status, _, err = await crm("worker", **urls | SECRETS, FIRSTHAND_PARENT="1")

    assert (status, err) == (0, "")
