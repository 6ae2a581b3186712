"""The API in plain text: all of it as Markdown, and `llms.txt`, which says where what stands."""

from __future__ import annotations

from collections.abc import Iterator

from crm.web.calls import EXAMPLES, RULES, Call, Line

TITLE = "Firsthand"
SUMMARY = (
    "A consent-first CRM and newsletter service. Everything its console does with customers, their "
    "consent and campaigns, a program can do over HTTP. Each call acts for one business: the one "
    "whose key it carries."
)
MARKDOWN = "/docs/api.md"


def markdown(groups: dict[str, list[Call]], origin: str) -> str:
    """Write everything that /docs says."""
    parts = [f"# Programming with {TITLE}", SUMMARY]
    for title, words in RULES:
        parts += [f"## {title}", words]
        if title in EXAMPLES:
            parts.append(_typed(EXAMPLES[title].format(origin=origin)))
    for tag, calls in groups.items():
        parts.append(f"## {tag}")
        for call in calls:
            parts += _said(call)
    return "\n\n".join(parts) + "\n"


def llms(groups: dict[str, list[Call]], origin: str) -> str:
    """Write the file of llmstxt.org: a title, a summary, and lists of links."""
    parts = [
        f"# {TITLE}",
        f"> {SUMMARY}",
        "\n".join(f"- {title}: {words}" for title, words in RULES),
        "## Reference",
        (
            f"- [Every call, in Markdown]({origin}{MARKDOWN}): parameters, bodies, answers, curl, "
            f"Python\n- [OpenAPI 3.1]({origin}/docs/openapi.json): the same for generators"
        ),
    ]
    for tag, calls in groups.items():
        links = (
            f"- [{call.summary}]({origin}/docs#{call.id}): `{call.method} {call.path}`"
            for call in calls
        )
        parts += [f"## {tag}", "\n".join(links)]
    return "\n\n".join(parts) + "\n"


def _said(call: Call) -> Iterator[str]:
    yield f"### {call.summary}"
    yield f"`{call.method} {call.path}`. {_needed(call.scopes)}"
    if call.words:
        yield call.words
    yield _typed(call.curl)
    yield _typed(call.python)
    rows = {
        "Parameters": call.parameters,
        "Body": call.body,
        "Answers": call.answers,
        "Refusals": call.refusals,
    }
    for title, lines in rows.items():
        if lines:
            yield f"{title}:"
            yield "\n".join(_row(line) for line in lines)


def _needed(scopes: list[str]) -> str:
    if not scopes:
        return "Needs no scope."
    named = ", ".join(f"`{each}`" for each in scopes)
    return f"Needs the scope {named}." if len(scopes) == 1 else f"Needs the scopes {named}."


def _row(line: Line) -> str:
    name = f"`{line.name}`" if line.name else ""
    wanted = "required" if line.required else ""
    return "- " + ": ".join(
        filter(None, (", ".join(filter(None, (name, wanted, line.kind))), line.words))
    )


def _typed(line: str) -> str:
    return "\n".join(f"    {each}" for each in line.splitlines())
