"""A copy from another installation, by the console, by the API and by the command."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from zipfile import ZipFile

import httpx2
import pytest

from crm import consent, customers
from crm.businesses import Business
from crm.consent import EvidenceKind
from crm.customers import Customer
from crm.db import Database
from tests import make
from tests.browser import Browser
from tests.commands import SECRETS, crm
from tests.conftest import Cluster
from tests.privacy.taken import inside, taken

PAGE = "/staff/imports/copy"
_KEPT = re.compile(r'name="copy" value="([^"]+)"')


async def _packed(database: Database, there: Business) -> tuple[Customer, bytes]:
    """A copy of somebody whom another business knows, has noted something of, and mails."""
    async with database.write(there.id) as db:
        purpose = await make.purpose(db, slug="theirs")
        (customer_id,) = await make.audience(db, await make.notice(db, purpose.id), 1, prefix="zoe")
        await customers.note(db, make.SYSTEM, customer_id, "Likes rye", "And salt.")
        her = await customers.get(db, customer_id)
    return her, await taken(database, there.id, her.id)


async def _ours(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, slug="ours", double_opt_in=False)
        await make.notice(db, purpose.id, accepts=list(EvidenceKind))


async def _here(database: Database, business: Business, her: Customer) -> Customer | None:
    async with database.read(business.id) as db:
        return await customers.by_address(db, her.address)


async def _send(console: Browser, packed: bytes, **fields: str) -> httpx2.Response:
    csrf = await console.token(PAGE)
    file = {"file": ("your-data.zip", packed, "application/zip")}
    return await console.post(PAGE, data={**fields, "csrf": csrf}, files=file)


@pytest.mark.parametrize("copy", ["é", "a", "===="])
async def test_what_did_not_come_back_whole_is_told(console: Browser, copy: str) -> None:
    answer = await console.post(PAGE, data={"csrf": await console.token(PAGE), "copy": copy})
    assert answer.status_code == 422
    assert "Choose the file again" in answer.text


async def test_staff_see_first_what_would_come_of_it(
    database: Database, business: Business, other_business: Business, console: Browser
) -> None:
    """Looking keeps nothing; taking keeps what was shown, and the page held the file meanwhile."""
    her, packed = await _packed(database, other_business)
    await _ours(database, business)
    seen = await _send(console, packed)
    kept = _KEPT.search(seen.text)
    assert kept is not None
    form = {"copy": kept[1], "purpose/theirs": "ours", "declare": "yes"}
    again = await console.fill(PAGE, **form, then="look")
    nobody = await _here(database, business, her)
    done = await console.fill(PAGE, **form, then="take")
    found = await _here(database, business, her)

    assert (seen.status_code, again.status_code, done.status_code) == (200, 200, 303)
    assert base64.b64decode(kept[1]) == packed
    assert her.address in seen.text
    assert "Would be added as a customer" in seen.text
    assert "Entries of the kind note" in seen.text
    assert "On: the text accepts what the receipts show" in again.text
    assert nobody is None
    assert found is not None
    assert done.headers["location"] == f"/staff/customers/{found.id}"
    async with database.read(business.id) as db:
        (state,) = await consent.states(db, found.id)
        titles = [each.title async for each in customers.all_interactions(db, found.id)]
    assert (state.status, titles) == ("given", ["Likes rye"])


async def test_what_is_no_copy_is_said_at_the_file(
    database: Database, business: Business, other_business: Business, console: Browser
) -> None:
    """Nothing, something else, cut, and changed on its way back through the page."""
    _, packed = await _packed(database, other_business)
    answers = [
        await _send(console, b""),
        await _send(console, b"Email,Name\n"),
        await _send(console, packed[:-100]),
        await console.fill(PAGE, copy="%%%", then="take"),
        await console.fill(PAGE, copy=base64.b64encode(packed[:-100]).decode(), then="take"),
        await console.fill(PAGE),
    ]
    assert [each.status_code for each in answers] == [422] * 6
    async with database.read(business.id) as db:
        assert await customers.page(db) == []


async def test_a_program_tries_it_and_takes_it(
    database: Database, business: Business, other_business: Business, api: Browser
) -> None:
    """The same answer both times but for who she is; again it changes nothing."""
    her, packed = await _packed(database, other_business)
    await _ours(database, business)
    where = "/v1/copies?purpose=theirs%3Dours&declare=true"
    tried = await api.post(f"{where}&only_try=true", content=packed)
    nobody = await _here(database, business, her)
    done = await api.post(where, content=packed)
    again = await api.post(where, content=packed)
    broken = await api.post(where, content=packed[:-100])
    found = await _here(database, business, her)

    assert nobody is None
    assert found is not None
    assert [each.status_code for each in (tried, done, again)] == [200] * 3
    assert tried.json() == done.json() | {"customer_id": None}
    assert done.json()["customer_id"] == str(found.id)
    assert done.json()["states"] == {"ours": "given"}
    assert (done.json()["added"], done.json()["interactions"]) == (True, 1)
    assert (again.json()["added"], again.json()["interactions"]) == (False, 0)
    assert (broken.status_code, broken.json()["code"]) == (422, "not_a_copy")


async def test_the_command_takes_it(  # noqa: PLR0917
    database: Database,
    business: Business,
    other_business: Business,
    shared_cluster: Cluster,
    redis_url: str,
    tmp_path: Path,
) -> None:
    """It says what was taken over and what was not; of a changed one nothing, and which file."""
    her, packed = await _packed(database, other_business)
    await _ours(database, business)
    good, bad = tmp_path / "your-data.zip", tmp_path / "changed.zip"
    good.write_bytes(packed)
    with ZipFile(bad, "w") as changed:
        for name, content in (inside(packed) | {"README.txt": b"another"}).items():
            changed.writestr(name, content)
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}
    which = (f"--business={business.id}", "--purpose=theirs=ours")

    refused = await crm("import", str(bad), *which, **urls | SECRETS)
    nobody = await _here(database, business, her)
    status, out, err = await crm("import", str(good), *which, **urls | SECRETS)
    found = await _here(database, business, her)

    assert refused[0] == 2
    assert "README.txt is not what was packed" in refused[2]
    assert nobody is None
    assert (status, err) == (0, "")
    assert re.search(r"customer\W+added", out)
    assert re.search(r"ours\W+given", out)
    assert "Entries of the kind note, not declared here, left out: 1." in out
    assert found is not None
