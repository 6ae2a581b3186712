"""Her details on her own page: for what, from where, until when, and corrected there."""

from __future__ import annotations

from zoneinfo import available_timezones

import httpx2
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import AttributeType, Customer, LawfulBasis, NewAttribute
from crm.customers.model import NotHers
from crm.customers.zones import zones
from crm.db import Database
from crm.events import Actor
from tests.customers import site

SYSTEM = Actor.system()


@pytest.fixture(autouse=True)
async def declared(database: Database, business: Business, nora: Customer) -> None:
    """Three attributes that she may correct, and one that she may not."""
    async with database.write(business.id) as db:
        for name, kind, hers in (
            ("usual_shop", AttributeType.text, True),
            ("guests", AttributeType.number, True),
            ("vegan", AttributeType.boolean, True),
            ("price_group", AttributeType.text, False),
        ):
            new = NewAttribute(
                basis=LawfulBasis.legitimate_interests,
                origin="From you.",
                label=name.replace("_", " ").title(),
                type=kind,
                purpose="So that it fits.",
                retention="P1Y",
                hers=hers,
            )
            await customers.declare_attribute(db, SYSTEM, name, new)
        given = {"usual_shop": "Mill Lane", "price_group": "B"}
        await customers.set_attributes(db, Actor.key(nora.id, "Till"), nora.id, given)


def _filled(**changes: str) -> dict[str, str]:
    form = {"name": "Nora", "locale": "en", "time_zone": ""}
    form |= {f"attributes/{name}": "" for name in ("usual_shop", "guests", "vegan")}
    return form | {"attributes/usual_shop": "Mill Lane"} | changes


async def _values(database: Database, business: Business, me: Customer) -> dict[str, object]:
    async with database.read(business.id) as db:
        return {each.name: (each.value, each.source) for each in await customers.values(db, me.id)}


async def test_she_corrects_what_is_hers(
    database: Database, business: Business, portal: httpx2.AsyncClient, nora: Customer
) -> None:
    """Each by its type; what she sends back unchanged keeps its source and its end."""
    shown = (await portal.get("/me/details")).text
    answer = await portal.post(
        "/me/details",
        data=site.form(**_filled(**{"attributes/guests": "4", "attributes/vegan": "true"})),
    )

    assert 'value="Mill Lane"' in shown
    assert "attributes/price_group" not in shown
    assert "Ask them to" in shown
    assert answer.status_code == 303, answer.text
    assert await _values(database, business, nora) == {
        "usual_shop": ("Mill Lane", "key"),
        "guests": (4, "customer"),
        "vegan": (True, "customer"),
        "price_group": ("B", "key"),
    }


async def test_what_she_typed_stays_where_something_is_wrong(
    database: Database, business: Business, portal: httpx2.AsyncClient, nora: Customer
) -> None:
    """The problem stands at its field, and nothing of the form is kept."""
    wrong = _filled(
        name="Nora L.",
        **{"attributes/guests": "a few", "attributes/usual_shop": "Harbour <b>Street</b>"},
    )
    refused = await portal.post("/me/details", data=site.form(**wrong))
    nowhere = await portal.post(
        "/me/details", data=site.form(**_filled(time_zone="Mars", name="Nora L."))
    )
    taken = await portal.post(
        "/me/details", data=site.form(**_filled(**{"attributes/usual_shop": ""}))
    )

    assert refused.status_code == nowhere.status_code == 422
    assert "This is a number such as 12" in refused.text
    assert 'value="a few"' in refused.text
    assert 'value="Harbour &lt;b&gt;Street&lt;/b&gt;"' in refused.text
    assert 'value="Nora L."' in nowhere.text
    assert taken.status_code == 303
    assert await _values(database, business, nora) == {"price_group": ("B", "key")}
    async with database.read(business.id) as db:
        assert (await customers.get(db, nora.id)).name == "Nora"


async def test_an_older_tab_takes_nothing_back(
    database: Database, business: Business, portal: httpx2.AsyncClient, nora: Customer
) -> None:
    """What it showed and sends back is no decision; what was changed in it is."""
    older = site.as_shown((await portal.get("/me/details")).text)
    await portal.post("/me/details", data=site.form(**_filled(name="Nora Lind")))
    await portal.post(
        "/me/details", data=site.form(**_filled(name="Nora Lind", **{"attributes/guests": "4"}))
    )
    sent = older | {"locale": "de", "attributes/vegan": "true"}
    answer = await portal.post("/me/details", data=site.form(**sent))

    async with database.read(business.id) as db:
        her = await customers.get(db, nora.id)
    held = await _values(database, business, nora)
    assert answer.status_code == 303, answer.text
    assert (her.name, her.locale) == ("Nora Lind", "de")
    assert held["guests"] == (4, "customer")
    assert held["vegan"] == (True, "customer")
    assert held["usual_shop"] == ("Mill Lane", "key")
    # Said in the language that she has just chosen.
    assert "Geändert" in (await portal.get("/me/details")).text


async def test_a_time_zone_is_chosen_from_a_list(portal: httpx2.AsyncClient) -> None:
    """Nobody knows how IANA writes hers; one that is not in the list stays what it is."""
    shown = (await portal.get("/me/details")).text

    assert '<option value="America/New_York">America/New York</option>' in shown
    names = [name for name, _ in zones("GB")]
    assert names[:2] == ["", "Europe/London"]
    assert len(names) == len(set(names)) > 300
    assert set(names[1:]) <= available_timezones()
    assert zones("GB", "Etc/GMT+3")[1] == ("Etc/GMT+3", "Etc/GMT+3")


async def test_lines_stay_lines(
    database: Database, business: Business, portal: httpx2.AsyncClient, nora: Customer
) -> None:
    """A browser would glue them in a field of one line, and the value would be set anew."""
    async with database.write(business.id) as db:
        given = {"usual_shop": "Two rolls\nOne rye"}
        await customers.set_attributes(db, Actor.key(nora.id, "Till"), nora.id, given)
    shown = (await portal.get("/me/details")).text
    sent = site.as_shown(shown) | {"name": "Nora Lind"}
    await portal.post("/me/details", data=site.form(**sent))

    assert (await _values(database, business, nora))["usual_shop"] == ("Two rolls\nOne rye", "key")


async def test_what_is_not_hers_she_does_not_set(
    database: Database, business: Business, portal: httpx2.AsyncClient, nora: Customer
) -> None:
    """A form of her own making changes nothing, and the action itself refuses."""
    made = _filled(**{"attributes/price_group": "A"})
    await portal.post("/me/details", data=site.form(**made))
    with pytest.raises(NotHers):
        async with database.write(business.id) as db:
            await customers.set_attributes(
                db, Actor.customer(nora.id), nora.id, {"price_group": "A"}
            )
    assert (await _values(database, business, nora))["price_group"] == ("B", "key")
