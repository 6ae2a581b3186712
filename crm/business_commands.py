"""`crm business`: add businesses, each with its first owner, and list them."""

from __future__ import annotations

import rich_click as click

from crm import above, businesses, staff
from crm.businesses import NewBusiness
from crm.ids import opaque
from crm.terminal import joined, out, run


@click.group("business")
def group() -> None:
    """Add and list businesses."""


@group.command("add")
@click.option("--name", required=True)
@click.option("--legal-name", default="")
@click.option("--postal-address", default="", help="Shown in every mail; needed before sending.")
@click.option("--sender", required=True, help="The address its mail comes from.")
@click.option("--privacy-contact", default="", help="Where customers ask; else the sender.")
@click.option("--locale", default="en", show_default=True)
@click.option("--time-zone", default="UTC", show_default=True)
@click.option("--origin", required=True, help="Scheme and host of its pages.")
@click.option("--owner", required=True, help="The address of its first member of staff.")
@click.option("--owner-name", default="Owner", show_default=True)
@click.password_option("--password", help="The owner's password.")
def add(**given: str) -> None:
    """Add a business and its first owner."""
    run(_add(given))


async def _add(given: dict[str, str]) -> None:
    new = NewBusiness(
        name=given["name"],
        legal_name=given["legal_name"] or given["name"],
        postal_address=given["postal_address"],
        sender_name=given["name"],
        sender_address=given["sender"],
        privacy_contact=given["privacy_contact"] or given["sender"],
        locale=given["locale"],
        time_zone=given["time_zone"],
        origin=given["origin"],
    )
    async with joined() as database, database.write(opaque()) as db:
        added = await businesses.add(db, new)
        await staff.add_first_owner(db, given["owner_name"], given["owner"], given["password"])
    out.print(f"Added {added.name} as {added.id}; sign in at {added.origin}/staff.")
    out.print(f"Programs call it as {added.origin}/docs says, with a key: `crm key add`.")


@group.command("list")
def list_all() -> None:
    """List businesses: what --business takes, and where their pages are."""
    run(_list())


async def _list() -> None:
    async with joined() as database:
        for each in await above.businesses(database):
            async with database.read(each) as db:
                known = await businesses.get(db)
            out.print(f"{each}  {known.name}  {known.origin}", soft_wrap=True)
