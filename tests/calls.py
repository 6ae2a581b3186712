"""Writes the calls of `crm.client` and their types from the OpenAPI document.

`make calls` (or `python -m tests.calls`) writes `crm/client/{answers,bodies,calls}/` anew; a test
compares them with the document, so a route that changes takes the client with it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crm.consent.terms import NAMED
from crm.web.openapi import JSON, line_of, operations, resolved, resource
from tests.routes import DOCUMENT

CLIENT = Path(__file__).resolve().parent.parent / "crm" / "client"
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
# What more than one subject speaks of.
SHARED = "shared"
_FORMATS = {"uuid": "UUID", "date-time": "datetime", "date": "date"}
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEAD = """\"\"\"{what} Written by `make calls`.\"\"\"

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, NotRequired, TypedDict, Unpack
from uuid import UUID

from msgspec import Struct

"""


def written() -> dict[str, str]:
    """Make every file, by its path below `crm/client/`, formatted as the rest of the code."""
    answers, bodies = Shapes("answers"), Shapes("bodies")
    for _, _, operation in operations(DOCUMENT):
        tag = resource(operation)
        for schema in _said(operation):
            answers.used_by(tag, schema)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            bodies.used_by(tag, content["schema"])
    files = {**answers.files(), **bodies.files(), **_calls(answers, bodies)}
    return dict(zip(files, _formatted(list(files.values())), strict=True))


class Shapes:
    """The schemas that answers, or bodies, are made of, each in the module of its subject."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._users: dict[str, set[str]] = {}

    def used_by(self, tag: str, schema: dict[str, Any]) -> None:
        """Note that a subject speaks of this schema, and of all it is made of."""
        for name in _references(schema):
            users = self._users.setdefault(name, set())
            if tag not in users:
                users.add(tag)
                self.used_by(tag, SCHEMAS[name])

    def files(self) -> dict[str, str]:
        """Write each module of the folder."""
        homes: dict[str, list[str]] = {}
        for name in sorted(self._users):
            if self._written(name):
                homes.setdefault(self.home(name), []).append(name)
        files = {f"{self.folder}/__init__.py": f'"""What {_WHAT[self.folder]}, by subject."""\n'}
        for home, names in homes.items():
            shared = sorted({part for name in names for part in self._foreign(name, home)})
            text = _HEAD.format(what=f"What {_WHAT[self.folder]}: {_subject(home)}.")
            text += _import(f"crm.client.{self.folder}.{SHARED}", shared)
            text += _import("crm.client.exchange", ["Id"])
            text += "\n\n".join(self._shape(name) for name in names)
            files[f"{self.folder}/{home}.py"] = text
        return files

    def home(self, name: str) -> str:
        """Name the module of a schema."""
        users = self._users[name]
        return next(iter(users)) if len(users) == 1 else SHARED

    def kind(self, schema: dict[str, Any]) -> str:
        """Write the type of a value."""
        if "$ref" in schema:
            name = _last(schema["$ref"])
            return class_name(name) if self._written(name) else self.kind(SCHEMAS[name])
        if "oneOf" in schema:
            kinds = dict.fromkeys(self.kind(each) for each in schema["oneOf"])
            return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))
        if "enum" in schema and self.folder == "bodies":
            return (
                f"Literal[{', '.join(repr(each) for each in schema['enum'] if each is not None)}]"
            )
        return self._typed(schema, schema.get("type"))

    def _typed(self, schema: dict[str, Any], kind: Any) -> str:
        if isinstance(kind, list):
            return " | ".join(_PLAIN[each] for each in kind)
        if kind == "array":
            return f"list[{self.kind(schema.get('items', {}))}]"
        if kind == "object":
            further = schema.get("additionalProperties")
            return f"dict[str, {self.kind(further) if isinstance(further, dict) else 'Any'}]"
        if kind == "string":
            if schema.get("pattern") == NAMED:
                return "Id"
            plain = _FORMATS.get(schema.get("format", ""), "str")
            return "Id" if plain == "UUID" and self.folder == "bodies" else plain
        return _PLAIN.get(str(kind), "Any")

    def _written(self, name: str) -> bool:
        # In an answer a choice is a text: one that a later version adds must not break a client.
        schema = SCHEMAS[name]
        return "properties" in schema or ("enum" in schema and self.folder == "bodies")

    def _foreign(self, name: str, home: str) -> Iterator[str]:
        if home != SHARED:
            for part in _references(SCHEMAS[name]):
                if self._written(part) and self.home(part) == SHARED:
                    yield class_name(part)

    def _shape(self, name: str) -> str:
        schema = SCHEMAS[name]
        if "properties" not in schema:
            return f"{class_name(name)} = {self.kind(schema)}\n"
        wanted = set(schema.get("required", ()))
        fields = schema["properties"]
        said = _docstring(schema.get("description") or f"{class_name(name)}.")
        if self.folder == "bodies":
            lines = [f"    {each}: {self._entry(fields[each], each in wanted)}" for each in fields]
            return f"class {class_name(name)}(TypedDict):\n{said}\n" + "\n".join(lines)
        lines = [f"    {each}: {self._field(fields[each], each in wanted)}" for each in fields]
        head = f"class {class_name(name)}(Struct, frozen=True, kw_only=True):\n{said}\n"
        return head + "\n".join(lines)

    def _entry(self, schema: dict[str, Any], always: bool) -> str:  # noqa: FBT001
        return self.kind(schema) if always else f"NotRequired[{self.kind(schema)}]"

    def _field(self, schema: dict[str, Any], always: bool) -> str:  # noqa: FBT001
        kind = self.kind(schema)
        if always:
            return kind
        default = schema.get("default")
        if isinstance(default, str | int | float | bool):
            return f"{kind} = {default!r}"
        return f"{kind.removesuffix(' | None')} | None = None"


_WHAT = {"answers": "the service answers", "bodies": "a call takes"}


def _calls(answers: Shapes, bodies: Shapes) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    used: dict[str, dict[str, set[str]]] = {}
    for path, method, operation in operations(DOCUMENT):
        tag = resource(operation)
        call = Call(path, method, operation, answers, bodies)
        found.setdefault(tag, []).append(call.text)
        for module, names in call.used.items():
            used.setdefault(tag, {}).setdefault(module, set()).update(names)
    files = {"calls/__init__.py": _all_calls(sorted(found))}
    for tag, texts in found.items():
        text = _HEAD.format(what=f"The calls: {_subject(tag)}.")
        for module, names in sorted(used[tag].items()):
            text += _import(module, sorted(names))
        text += _import("crm.client.exchange", ["Id", "Resource", "ask", "part"])
        text += _import("crm.client.lines", ["Lines"])
        text += _import("crm.client.rows", ["Rows"])
        said = '    """Each is named as its operation in /docs."""'
        text += f"class {_camel(tag)}(Resource):\n{said}\n\n" + "\n\n".join(texts)
        files[f"calls/{tag}.py"] = text
    return files


def _all_calls(tags: list[str]) -> str:
    text = '"""The calls, by subject. Written by `make calls`."""\n\n'
    text += _import("crm.client.exchange", ["Exchange"])
    text += "".join(_import(f"crm.client.calls.{tag}", [_camel(tag)]) for tag in tags)
    text += 'class Calls:\n    """Every call there is, with the others of its subject."""\n\n'
    text += "    def __init__(self, exchange: Exchange) -> None:\n"
    text += '        """Speak through this exchange."""\n'
    return text + "".join(f"        self.{tag} = {_camel(tag)}(exchange)\n" for tag in tags)


class Call:
    """One operation as a method."""

    def __init__(
        self, path: str, method: str, operation: dict[str, Any], answers: Shapes, bodies: Shapes
    ) -> None:
        self.used: dict[str, set[str]] = {}
        self._path, self._method, self._operation = path, method, operation
        self._answers, self._bodies = answers, bodies
        self._headers = {p["name"] for p in self._parameters("header")}
        self._queries = [p for p in self._parameters("query") if p["name"] != "after"]
        self._paged = any(p["name"] == "after" for p in self._parameters("query"))
        self._line = line_of(operation)
        self._positional = [f"{p['name']}: Id" for p in self._parameters("path")]
        self._named: list[str] = []
        self._given: list[str] = []
        self._unpacked = ""
        self.text = self._written()

    def _parameters(self, where: str) -> list[dict[str, Any]]:
        return [each for each in self._operation.get("parameters", ()) if each["in"] == where]

    def _written(self) -> str:
        self._take_query()
        self._take_body()
        self._take_headers()
        asked = self._asked()
        kind, how = self._outcome(asked)
        slash = ["/"] if self._positional else []
        star = ["*", *self._named] if self._named else []
        wanted = ", ".join(
            ["self", *self._positional, *slash, *star, *filter(None, [self._unpacked])]
        )
        summary = _docstring(self._operation["summary"], 8)
        word = "def" if self._paged or self._line else "async def"
        name = self._operation["operationId"]
        return f"    {word} {name}({wanted}) -> {kind}:\n{summary}\n        {how}\n"

    def _take_query(self) -> None:
        pairs = []
        for each in sorted(self._queries, key=lambda each: not each["required"]):
            kind = self._bodies.kind(resolved(DOCUMENT, each["schema"])).replace(" | None", "")
            name = each["name"]
            self._named.append(
                f"{name}: {kind}" if each["required"] else f"{name}: {kind} | None = None"
            )
            pairs.append(f'"{name}": {name}')
        if self._paged:
            self._named.append("after: str | None = None")
            pairs.append('"after": after')
        if pairs:
            self._given.append(f"query={{{', '.join(pairs)}}}")

    def _take_body(self) -> None:
        contents = self._operation.get("requestBody", {}).get("content", {})
        # Of several for the same bytes the service tells itself which it is.
        for media, content in list(contents.items())[:1]:
            schema = content["schema"]
            shape = resolved(DOCUMENT, schema)
            if media != JSON:
                self._given.append(f'media="{media}"')
            if "properties" in shape:
                name = next(iter(_references(schema)))
                self._use(self._bodies, name)
                self._unpacked = f"**body: Unpack[{class_name(name)}]"
            else:
                binary = shape.get("format") == "binary"
                self._positional.append(f"body: {'bytes' if binary else self._bodies.kind(schema)}")
            self._given.append("body=body")

    def _take_headers(self) -> None:
        if "If-Match" in self._headers:
            self._named.insert(0, "if_match: int | str")
            self._given.append("if_match=if_match")
        if "Idempotency-Key" in self._headers:
            self._named.append("idempotency_key: str | None = None")
            self._given += ["keyed=True", "idempotency_key=idempotency_key"]

    def _asked(self) -> str:
        path = self._path
        for each in self._parameters("path"):
            path = path.replace(f"{{{each['name']}}}", f"{{part({each['name']})}}")
        mark = "f" if "{" in path else ""
        given = ", ".join([f'"{self._method.upper()}"', f'{mark}"{path}"', *self._given])
        return f"ask({given})"

    def _outcome(self, asked: str) -> tuple[str, str]:
        said = list(_said(self._operation))
        if not said:
            if self._sends_file():
                return "bytes", f"return await self._file({asked})"
            return "None", f"await self._nothing({asked})"
        schema = said[0]
        for name in _references(schema):
            self._use(self._answers, name)
        if self._line:
            row = self._answers.kind(schema)
            return f"Lines[{row}]", f"return Lines(self._exchange, {asked}, {row})"
        if self._paged:
            row, sliced = self._row(schema)
            return f"Rows[{row}]", f"return Rows(self._exchange, {asked}, {row}, sliced={sliced})"
        kind = self._answers.kind(schema)
        if kind.endswith(" | None"):
            whole = kind.removesuffix(" | None")
            return kind, f"return await self._answer_or_none({asked}, {whole})"
        return kind, f"return await self._answer({asked}, {kind})"

    def _sends_file(self) -> bool:
        return any(
            media != JSON
            for status, answer in self._operation["responses"].items()
            if status[0] == "2"
            for media in answer.get("content", {})
        )

    def _row(self, schema: dict[str, Any]) -> tuple[str, bool]:
        sliced = "$ref" in schema
        rows = SCHEMAS[_last(schema["$ref"])]["properties"]["rows"] if sliced else schema
        for name in _references(rows):
            self._use(self._answers, name)
        return self._answers.kind(rows["items"]), sliced

    def _use(self, shapes: Shapes, name: str) -> None:
        if shapes.kind({"$ref": f"/{name}"}) == class_name(name):
            module = f"crm.client.{shapes.folder}.{shapes.home(name)}"
            self.used.setdefault(module, set()).add(class_name(name))


def class_name(name: str) -> str:
    """Name the type of a schema: without where it comes from."""
    short = re.fullmatch(r"(?:[a-z]+_)+([A-Z]\w*)", name)
    if short:
        return short[1]
    sliced = re.fullmatch(r"Slice_.*\.(\w+)_", name)
    return f"{sliced[1]}Slice" if sliced else name


def _said(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if status[0] == "2" and JSON in content:
            yield content[JSON]["schema"]
    if line := line_of(operation):
        yield line


def _references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield _last(found["$ref"])
        for each in found.values():
            yield from _references(each)
    elif isinstance(found, list | tuple):
        for each in found:
            yield from _references(each)


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _import(module: str, names: list[str]) -> str:
    return f"from {module} import {', '.join(names)}\n" if names else ""


def _camel(tag: str) -> str:
    return "".join(each.capitalize() for each in tag.split("_")) + "Calls"


def _subject(tag: str) -> str:
    return tag.replace("_", " ")


def _docstring(words: str, indent: int = 4) -> str:
    margin = " " * indent
    text = f'Answer "{words}".' if words.endswith("?") else words.removesuffix(".") + "."
    if len(text) <= 94 - indent:
        return f'{margin}"""{text}"""'
    first, _, rest = text.partition("; ")
    lines = [first + ".", "", *textwrap.wrap(rest[:1].upper() + rest[1:], 96 - indent)]
    told = "\n".join(margin + line if line else "" for line in lines)
    return f'{margin}"""{told.lstrip()}\n{margin}"""'


def _formatted(texts: list[str]) -> list[str]:
    """Let ruff drop the imports that a module does not need, and format the rest."""
    ruff = str(Path(sys.executable).parent / "ruff")
    config = str(CLIENT.parent.parent / "pyproject.toml")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"m{number}.py" for number, _ in enumerate(texts)]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        fix = ["check", "--fix", "--quiet", "--select", "F401,I001", "--config", config]
        subprocess.run([ruff, *fix, folder], check=True)
        subprocess.run([ruff, "format", "--quiet", "--config", config, folder], check=True)
        return [file.read_text() for file in files]


if __name__ == "__main__":
    new = written()
    for place in ("answers", "bodies", "calls"):
        for old in (CLIENT / place).glob("*.py"):
            old.unlink()
    for path, text in new.items():
        (CLIENT / path).parent.mkdir(exist_ok=True)
        (CLIENT / path).write_text(text)
    sys.stdout.write(f"{len(new)} files\n")
