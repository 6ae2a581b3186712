"""What the API says of itself: every operation described, its media types named."""

from __future__ import annotations

from typing import Any

import httpx2


async def test_every_operation_is_described(api: httpx2.AsyncClient) -> None:
    schema = (await api.get("/schema/openapi.json")).json()
    operations: list[dict[str, Any]] = [
        operation
        for path, methods in schema["paths"].items()
        if path.startswith("/v1/")
        for operation in methods.values()
    ]
    assert len(operations) == 20
    for operation in operations:
        assert operation["summary"]
        assert operation["tags"][0] in {"Customers", "Attributes", "Interactions", "Tags"}
    change = schema["paths"]["/v1/customers/{id}"]["patch"]
    assert list(change["requestBody"]["content"]) == ["application/merge-patch+json"]
    added = schema["paths"]["/v1/customers"]["post"]["responses"]["201"]
    assert "Customer" in str(added["content"])
    assert not [path for path in schema["paths"] if path.startswith(("/staff", "/me"))]
