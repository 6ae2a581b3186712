"""The command `crm`: every process of the service, and what an operator does by hand."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from pathlib import Path
from typing import Any

import asyncpg
import rich_click as click
from click.exceptions import Exit
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from crm import (
    above,
    app,
    backup_command,
    business_commands,
    businesses,
    campaign_commands,
    domain_commands,
    import_command,
    key_commands,
    ledger_commands,
    relay_commands,
    restore_command,
    retention_command,
    ropa_command,
    verify_command,
    webhook_commands,
    worker,
)
from crm.bench import run as bench_run
from crm.db import AWAY
from crm.demo import run as demo_run
from crm.doctor import (
    Away,
    Unfit,
    check,
    database_problems,
    ledger_problems,
    lost_problems,
    port_problems,
    put_back_problems,
    redis_problems,
    retention_problems,
    unnamed_authorities,
)
from crm.embedded import EmbeddedRefused
from crm.errors import Refused
from crm.inbound import listener as inbound_listener
from crm.installation import Installation, installation
from crm.letterbox import serve as letterbox_serve
from crm.log import configure
from crm.migrate import MigrationRefused, OwnerAway, migrate
from crm.privacy.retention.sweeps import SWEEPS
from crm.settings import BadSettings, Settings
from crm.terminal import (
    compared,
    database_of,
    joined_servers,
    out,
    place_of,
    refuse_other_than_text,
    run,
    widen,
)
from crm.up import keep, keep_several

# What the operator can mend: told in its own words, without a traceback.
_TOLD = (BadSettings, EmbeddedRefused, MigrationRefused, Unfit, Refused, OSError)
_LOST = (*AWAY, asyncpg.InterfaceError, asyncpg.InvalidAuthorizationSpecificationError, RedisError)
_USAGE = 2
# What passes by itself: whoever runs us may begin anew (EX_TEMPFAIL of sysexits.h).
_LATER = 75
_PASSES = (*_LOST, Away, OwnerAway, TimeoutError, socket.gaierror)
# What a server that is there says to a wrong setting.
_STAYS = (asyncpg.InvalidAuthorizationSpecificationError, AuthenticationError, ResponseError)
# How often `crm up` looks at its servers, and how often in a row they may be away.
_LOOK_SECONDS = 3.0
# A shop that is being written stands on the same machine.
_DEV = {"CRM_WEBHOOKS__LOCAL": "true"}
# As many businesses `crm up` names; an installation may have thousands.
_LISTED = 5
_PATIENCE = 3
_PORT = click.IntRange(0, 65535)


def main() -> None:
    """Run a command; what the operator can mend is one line and exit status 2.

    Where it may pass by itself, as a server that is away does, the status is 75.
    """
    # What is imported stays: the collector need not go through it again and again.
    gc.freeze()
    gc.enable()
    # Before settings are read: standard output is for what a command has to say.
    configure("info")
    widen()
    try:
        refuse_other_than_text(sys.argv[1:])
        cli(standalone_mode=False)
    except Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except _TOLD as wrong:
        for line in _lines(wrong):
            click.echo(f"crm: {line}", err=True)
        sys.exit(_LATER if _passes(wrong) else _USAGE)
    except _LOST as lost:
        # Its text may quote a row or an address.
        click.echo(f"crm: A server was lost or refused ({type(lost).__name__}).", err=True)
        click.echo("crm: Look with `crm doctor`, then run the command again.", err=True)
        sys.exit(_LATER if _passes(lost) else _USAGE)


def _passes(wrong: BaseException) -> bool:
    if isinstance(wrong, _STAYS):
        return False
    # Several failures to connect come as one OSError without a number.
    return isinstance(wrong, _PASSES) or (type(wrong) is OSError and wrong.errno is None)


def _lines(wrong: BaseException) -> list[str]:
    problems = [problem.message for problem in wrong.problems] if isinstance(wrong, Refused) else []
    return list(dict.fromkeys([*str(wrong).splitlines(), *problems]))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firsthand-crm")
def cli() -> None:
    """Firsthand: a consent-first CRM and newsletter service."""


@cli.command()
@click.option("--dev", is_flag=True, help="Catch mail in a letterbox; reload when files change.")
def up(*, dev: bool) -> None:
    """Run everything: servers of our own if none are configured, web and worker."""
    run(_up(dev=dev), serves=True)


async def _up(*, dev: bool) -> None:
    async with installation((_DEV if dev else {}) | os.environ) as here:
        configure(here.settings.log_level)
        await check(here.settings)
        await _compare(here)
        _check_port(here.settings)
        web = here.settings.web
        out.print(f"Firsthand on http://{web.host}:{web.port}, Ctrl-C ends it.")
        await _say_whose(here)
        tasks = [keep(each, environ=here.environ, watch=dev) for each in ("web", "worker")]
        if here.settings.inbound.port:
            tasks.append(keep("inbound", environ=here.environ, watch=dev))
        if here.directory is not None:
            tasks.append(_watch(here.settings))
        if dev:
            tasks.append(
                _letterbox(place_of(here) / "letterbox", here.settings.smtp.port, 8025, None)
            )
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task)
        except ExceptionGroup as ended:
            raise ended.exceptions[0] from None


async def _say_whose(here: Installation) -> None:
    """Say where to go on: to the console of a business, or to the command that adds the first."""
    async with database_of(here) as database:
        known = await above.businesses(database)
        for each in known[:_LISTED]:
            async with database.read(each) as db:
                its = await businesses.get(db)
            out.print(f"{its.name}: {its.origin}/staff")
    if len(known) > _LISTED:
        out.print(f"{len(known) - _LISTED} more: `crm business list`.")
    if not known:
        out.print("No business yet: `crm business add` adds one, in another terminal.")


async def _watch(settings: Settings) -> None:
    """End, so that whoever runs us begins anew, when the embedded servers have gone."""
    failures = 0
    while failures < _PATIENCE:
        await asyncio.sleep(_LOOK_SECONDS)
        problems = [
            *await database_problems(settings.database_url),
            *await redis_problems(settings.redis_url),
        ]
        failures = failures + 1 if problems else 0
    message = "The embedded servers have stopped; run `crm up` again, and they recover."
    raise Away(message)


@cli.command()
@click.option("--one", is_flag=True, hidden=True, help="Be one of several.")
def web(*, one: bool) -> None:
    """Serve pages and API."""
    run(_checked(app.serve if one else _serve), serves=True, quick=True)


async def _serve(settings: Settings) -> None:
    _check_port(settings)
    if settings.web.processes > 1:
        await keep_several(settings.web.processes, "web", "--one")
    else:
        await app.serve(settings)


def _check_port(settings: Settings) -> None:
    if busy := port_problems(settings):
        raise Unfit(busy[0])


@cli.command("worker")
def work() -> None:
    """Send mail, write deliveries, work through imports."""
    quick = os.environ.get("CRM_SMTP__TLS", "none") == "none"
    run(_checked(worker.work), serves=True, quick=quick)


@cli.command("inbound")
def inbound_command() -> None:
    """Hear mail that comes back, behind a mail server."""
    run(_checked(_inbound), serves=True)


async def _inbound(settings: Settings) -> None:
    if not settings.inbound.port:
        message = "CRM_INBOUND__PORT is 0, so nothing listens; docs/inbound.md says what to set."
        raise BadSettings(message)
    await inbound_listener.listen(settings)


async def _checked(serve: Any) -> None:
    async with joined_servers() as here:
        await check(here.settings)
        await _compare(here)
        await serve(here.settings)


async def _compare(here: Installation) -> None:
    """Refuse to start on a journal that lost something: the database may be lost as well.

    What cannot be read cannot be compared, so that is refused, too. A database that is behind is
    told; what is served then is that page, until `crm restore` is done.
    """
    async with database_of(here) as database:
        known = await compared(database, here.settings)
    if problems := [] if known.whole and not known.lost else lost_problems(known):
        raise Unfit("\n".join(problems))
    for line in put_back_problems(known):
        click.echo(f"crm: {line}", err=True)


@cli.command("migrate")
def migrate_command() -> None:
    """Bring the database to this version, as its owner."""
    run(_migrate())


async def _migrate() -> None:
    async with joined_servers() as here:
        url = here.settings.migrate_database_url
        if not url:
            message = "CRM_MIGRATE_DATABASE_URL is not set; migrations run as the role crm_owner."
            raise BadSettings(message)
        for name in await migrate(url):
            out.print(f"applied {name}")
    out.print("The database is up to date.")


@cli.command()
def doctor() -> None:
    """Say what is wrong with settings, servers and roles."""
    run(_doctor())


async def _doctor() -> None:
    async with joined_servers() as here:
        await check(here.settings)
        away = await redis_problems(here.settings.redis_url)
        async with database_of(here) as database:
            known = await compared(database, here.settings)
            found = await above.ledgers_health(database)
            rounds = await above.retention_rounds(database, SWEEPS)
            now = database.clock()
            domains = await domain_commands.problems(database)
            unnamed = await unnamed_authorities(database)
    for line in domains + unnamed:
        out.print(line, soft_wrap=True)
    problems = put_back_problems(known) + lost_problems(known) + away
    problems += ledger_problems(found, now, here.settings.ledger.watch_hours)
    problems += retention_problems(rounds, now)
    if problems:
        raise Unfit("\n".join(problems))
    out.print(f"All is well; {len(found)} businesses.")


@cli.command("letterbox")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--smtp-port", type=_PORT, default=1025, show_default=True)
@click.option("--http-port", type=_PORT, default=8025, show_default=True)
@click.option("--pace", type=float, default=None, help="Messages per second at most.")
def letterbox(directory: Path, smtp_port: int, http_port: int, pace: float | None) -> None:
    """Catch mail and show it on a local page; for development."""
    run(_letterbox(directory, smtp_port, http_port, pace), serves=True)


async def _letterbox(directory: Path, smtp: int, http: int, pace: float | None) -> None:
    def ready(where: Any) -> None:
        out.print(f"Letterbox: http://127.0.0.1:{where.http_port}, SMTP on {where.smtp_port}.")

    try:
        await letterbox_serve(directory, smtp, http, pace, ready)
    except OSError as wrong:
        message = f"The letterbox cannot listen on {smtp} and {http}, or write to {directory}"
        raise BadSettings(f"{message}: {wrong.strerror}.") from wrong


cli.add_command(backup_command.group)
cli.add_command(business_commands.group)
cli.add_command(campaign_commands.group)
cli.add_command(domain_commands.group)
cli.add_command(import_command.command)
cli.add_command(key_commands.group)
cli.add_command(import_command.undo_command)
cli.add_command(ropa_command.command)
cli.add_command(retention_command.group)
cli.add_command(ledger_commands.group)
cli.add_command(relay_commands.group)
cli.add_command(webhook_commands.group)
cli.add_command(restore_command.command)
cli.add_command(verify_command.command)
cli.add_command(demo_run.command)
cli.add_command(bench_run.command)
