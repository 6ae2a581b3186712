"""Freezing a customer's data (Art. 18 GDPR); how that ends is in tests/privacy/test_restrict.py."""

from __future__ import annotations

import httpx2

from crm.customers import Customer
from tests.customers import site


async def test_programs_freeze(api: httpx2.AsyncClient, nora: Customer) -> None:
    path = f"/v1/customers/{nora.id}"
    for _ in range(2):
        assert (await api.post(f"{path}/restriction")).status_code == 204
    frozen = (await api.get(path)).json()
    assert frozen["restricted_at"] is not None
    assert frozen["version"] == 2


async def test_staff_freeze(console: httpx2.AsyncClient, nora: Customer) -> None:
    base = f"/staff/customers/{nora.id}"
    await console.post(f"{base}/look", data=site.form(reason="she disputes her name"))
    answer = await console.post(f"{base}/restriction", data=site.form(decision="freeze"))
    assert answer.status_code == 303
    assert "Frozen since" in (await console.get(base)).text
    assert "End the freeze in three days" in (await console.get(base)).text
    wrong = await console.post(f"{base}/restriction", data=site.form(decision="melt"))
    assert wrong.status_code == 422
