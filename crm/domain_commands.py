"""`crm domain`: the domains that mail is sent from, their keys, and what DNS has to say."""

from __future__ import annotations

from collections.abc import Sequence

import rich_click as click

from crm import above, businesses
from crm.db import Database
from crm.events import Actor
from crm.mail import checking, sending_domains
from crm.mail.sending_domain import DkimKey, Record, SendingDomain
from crm.terminal import joined_for, of_business, out, run

_SYSTEM = Actor.system()


@click.group("domain")
def group() -> None:
    """Add, check and sign for the domains that mail is sent from."""


@group.command("list")
@of_business
def list_command(which: str) -> None:
    """List the domains, and what was found when each was last checked."""
    run(_list(which))


async def _list(which: str) -> None:
    async with joined_for(which) as here, here.database.read(here.business_id) as db:
        for each in await sending_domains.known(db):
            _tell(each)


@group.command("add")
@click.argument("name")
@of_business
def add(name: str, which: str) -> None:
    """Know a domain, make its keys, and show the records to publish."""
    run(_add(name, which))


async def _add(name: str, which: str) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        domain = await sending_domains.add(db, _SYSTEM, name)
        _publish(await sending_domains.keys(db, domain.domain))
    out.print("Publish these, then run `crm domain check`.")


@group.command("check")
@click.argument("name")
@of_business
def check(name: str, which: str) -> None:
    """Look at a domain's DNS now; status 1 where campaigns cannot start."""
    run(_check(name, which))


async def _check(name: str, which: str) -> None:
    async with joined_for(which) as here:
        found = await checking.check(here.database, here.business_id, name, here.settings, None)
    _tell(found)
    if found.blocking and found.relay_signs_at is None:
        raise SystemExit(1)


@group.command("rotate")
@click.argument("name")
@of_business
def rotate(name: str, which: str) -> None:
    """Make new keys, which sign once a check has found their records in DNS."""
    run(_rotate(name, which))


async def _rotate(name: str, which: str) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        _publish(await sending_domains.rotate(db, _SYSTEM, name))


@group.command("retire")
@click.argument("name")
@of_business
def retire(name: str, which: str) -> None:
    """Count keys no more that stepped back a week ago, and show what to say of them in DNS."""
    run(_retire(name, which))


async def _retire(name: str, which: str) -> None:
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        _publish(await sending_domains.retire(db, _SYSTEM, name))


@group.command("relay-signs")
@click.argument("name")
@click.option("--revoke", is_flag=True, help="Take it back: we sign again.")
@of_business
def relay_signs(name: str, which: str, *, revoke: bool) -> None:
    """Confirm that your relay signs for a domain: then we do not, and no check is asked for."""
    run(_relay_signs(name, which, revoke=revoke))


async def _relay_signs(name: str, which: str, *, revoke: bool) -> None:
    act = sending_domains.revoke if revoke else sending_domains.confirm
    async with joined_for(which) as here, here.database.write(here.business_id) as db:
        _tell(await act(db, _SYSTEM, name))


async def problems(database: Database) -> list[str]:
    """Say of every business why its campaigns could not start, and what was found besides."""
    lines = []
    for business_id in await above.businesses(database):
        async with database.read(business_id) as db:
            business = await businesses.get(db)
            why = await sending_domains.unready(db, business)
            known = await sending_domains.known(db)
        if why:
            lines.append(f"{business.name}: {why}")
        lines += [f"{each.domain}: {found.text}" for each in known for found in each.findings]
    return lines


def _publish(keys: Sequence[DkimKey]) -> None:
    for key in keys:
        _show(key.record)


def _show(record: Record) -> None:
    text = f"{record.name}.  {record.type}  {record.shown}"
    out.print(text, soft_wrap=True)


def _tell(domain: SendingDomain) -> None:
    when = f"{domain.checked_at:%Y-%m-%d %H:%M}" if domain.checked_at else "never"
    signs = f"; its relay signs, says {domain.relay_signs_by}" if domain.relay_signs_at else ""
    out.print(f"{domain.domain}: checked {when}{signs}")
    for each in domain.findings:
        text = f"  {each.severity}: {each.about}: {each.text}"
        out.print(text, soft_wrap=True)
        if each.record:
            _show(each.record)
