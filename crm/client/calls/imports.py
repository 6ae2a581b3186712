"""The calls: imports. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, Unpack

from crm.client.answers.imports import (
    ImportShown,
    LetGo,
    Mapping,
    QuarantinedRow,
    TakenOver,
)
from crm.client.answers.shared import ConsentEvent
from crm.client.bodies.imports import NewMapping, Release
from crm.client.exchange import Id, Resource, ask, part
from crm.client.rows import Rows


class ImportsCalls(Resource):
    """Each is named as its operation in /docs."""

    def get_imports(
        self, *, limit: int | None = None, after: str | None = None
    ) -> Rows[ImportShown]:
        """Page through the imports."""
        return Rows(
            self._exchange,
            ask("GET", "/v1/imports", query={"limit": limit, "after": after}),
            ImportShown,
            sliced=True,
        )

    async def post_import(
        self,
        body: bytes,
        /,
        *,
        purpose: str,
        file_name: str | None = None,
        only_try: bool | None = None,
        mapping: str | None = None,
        encoding: str | None = None,
        separator: Literal["comma", "semicolon", "tab", "pipe"] | None = None,
    ) -> ImportShown:
        """Import a list of customers."""
        return await self._answer(
            ask(
                "POST",
                "/v1/imports",
                query={
                    "purpose": purpose,
                    "file_name": file_name,
                    "only_try": only_try,
                    "mapping": mapping,
                    "encoding": encoding,
                    "separator": separator,
                },
                media="text/csv",
                body=body,
            ),
            ImportShown,
        )

    async def post_import_start(self, import_id: Id, /) -> ImportShown:
        """Import what was tried."""
        return await self._answer(ask("POST", f"/v1/imports/{part(import_id)}/start"), ImportShown)

    async def post_import_undo(self, import_id: Id, /) -> ImportShown:
        """Undo a whole import."""
        return await self._answer(ask("POST", f"/v1/imports/{part(import_id)}/undo"), ImportShown)

    async def get_import(self, import_id: Id, /) -> ImportShown:
        """Look how far an import is."""
        return await self._answer(ask("GET", f"/v1/imports/{part(import_id)}"), ImportShown)

    async def get_import_report(self, import_id: Id, /) -> bytes:
        """Read the report of an import."""
        return await self._file(ask("GET", f"/v1/imports/{part(import_id)}/report"))

    async def get_mappings(self) -> list[Mapping]:
        """List the saved mappings."""
        return await self._answer(ask("GET", "/v1/import-mappings"), list[Mapping])

    async def get_mapping(self, name: Id, /) -> Mapping:
        """Read a saved mapping."""
        return await self._answer(ask("GET", f"/v1/import-mappings/{part(name)}"), Mapping)

    async def put_mapping(self, name: Id, /, **body: Unpack[NewMapping]) -> Mapping:
        """Save a mapping."""
        return await self._answer(
            ask("PUT", f"/v1/import-mappings/{part(name)}", body=body), Mapping
        )

    async def delete_mapping(self, name: Id, /) -> None:
        """Remove a saved mapping."""
        await self._nothing(ask("DELETE", f"/v1/import-mappings/{part(name)}"))

    async def post_copy_from_elsewhere(
        self,
        body: bytes,
        /,
        *,
        only_try: bool | None = None,
        declare: bool | None = None,
        purpose: list[str] | None = None,
    ) -> TakenOver:
        """Take over a customer's copy from another installation."""
        return await self._answer(
            ask(
                "POST",
                "/v1/copies",
                query={"only_try": only_try, "declare": declare, "purpose": purpose},
                media="application/zip",
                body=body,
            ),
            TakenOver,
        )

    def get_quarantine(
        self, import_id: Id, /, *, limit: int | None = None, after: str | None = None
    ) -> Rows[QuarantinedRow]:
        """List the rows without evidence."""
        return Rows(
            self._exchange,
            ask(
                "GET",
                f"/v1/imports/{part(import_id)}/quarantine",
                query={"limit": limit, "after": after},
            ),
            QuarantinedRow,
            sliced=False,
        )

    async def delete_quarantine(self, import_id: Id, /) -> LetGo:
        """Let all rows without evidence go."""
        return await self._answer(ask("DELETE", f"/v1/imports/{part(import_id)}/quarantine"), LetGo)

    async def post_release(
        self,
        import_id: Id,
        customer_id: Id,
        /,
        *,
        idempotency_key: str | None = None,
        **body: Unpack[Release],
    ) -> ConsentEvent:
        """Release a row by its evidence."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/imports/{part(import_id)}/quarantine/{part(customer_id)}/release",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            ConsentEvent,
        )

    async def delete_row(self, import_id: Id, customer_id: Id, /) -> None:
        """Let a row without evidence go."""
        await self._nothing(
            ask("DELETE", f"/v1/imports/{part(import_id)}/quarantine/{part(customer_id)}")
        )
