"""A mailbox by IMAP (RFC 9051): as much of a server as a client that reads and moves mail needs."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime

_COMMAND = re.compile(rb"(\S+) (UID )?(\S+) ?(.*?)\r?\n", re.IGNORECASE)


class Imapd:
    """Folders of mails by uid; `drops` names a command after which the connection is cut."""

    def __init__(self) -> None:
        """Begin with an empty inbox."""
        self.port = 0
        self.password = "of a mailbox"
        self.folders: dict[str, dict[int, bytes]] = {"INBOX": {}}
        self.deleted: set[int] = set()
        self.drops = ""
        self.selected = "INBOX"
        # When mails came, by uid; others came today.
        self.came: dict[int, date] = {}
        self._next = 1

    def put(self, raw: bytes, folder: str = "INBOX") -> None:
        """Deliver a mail."""
        self.folders[folder][self._next] = raw
        self._next += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it leaves."""
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            found = _COMMAND.fullmatch(line)
            assert found, line
            tag, name = found[1], found[3].upper().decode()
            if name == self.drops:
                break
            if name == "AUTHENTICATE":
                writer.write(b"+ \r\n")
                said = b64decode(await reader.readline()).split(b"\0")
                right = said[-1].decode() == self.password
                writer.write(
                    tag + (b" OK in\r\n" if right else b" NO [AUTHENTICATIONFAILED] no\r\n")
                )
                continue
            writer.write(self._answer(name, found[4].decode()) + tag + b" OK done\r\n")
            if name == "LOGOUT":
                break
        writer.close()

    def _answer(self, name: str, said: str) -> bytes:  # noqa: C901  (one for each command)
        inbox = self.folders[self.selected]
        words = said.split()
        match name:
            case "CAPABILITY":
                return b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"
            case "SELECT":
                self.selected = said.strip('"')
                inbox = self.folders[self.selected]
                return f"* {len(inbox)} EXISTS\r\n* OK [UIDVALIDITY 1] .\r\n".encode()
            case "SEARCH":
                return f"* SEARCH {' '.join(map(str, self._found(inbox, said)))}\r\n".encode()
            case "FETCH":
                raw = inbox[int(words[0])]
                head = f"* 1 FETCH (UID {words[0]} BODY[]<0> {{{len(raw)}}}\r\n"
                return head.encode() + raw + b")\r\n"
            case "STORE":
                self.deleted |= {int(each) for each in words[0].split(",")}
            case "EXPUNGE":
                for each in self.deleted:
                    inbox.pop(each, None)
                self.deleted.clear()
            case "LIST":
                folder = words[-1].strip('"')
                known = folder in self.folders
                return f'* LIST () "/" "{folder}"\r\n'.encode() if known else b""
            case "CREATE":
                self.folders[said.strip('"')] = {}
            case "COPY":
                for number in words[0].split(","):
                    self.put(inbox[int(number)], words[-1].strip('"'))
        return b""

    def _found(self, folder: dict[int, bytes], said: str) -> list[int]:
        before = re.search(r"BEFORE (\S+?)\)?$", said)
        if before is None:
            return list(folder)
        day = datetime.strptime(before[1], "%d-%b-%Y").date()  # noqa: DTZ007  (a day has no zone)
        return [uid for uid in folder if uid in self.came and self.came[uid] < day]


@asynccontextmanager
async def imapd() -> AsyncIterator[Imapd]:
    """Serve a mailbox until the block ends."""
    box = Imapd()
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
