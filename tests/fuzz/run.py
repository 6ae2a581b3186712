"""The API as its document describes it, tried by schemathesis: all phases, all checks.

Runs in a thread of its own, beside the event loop that serves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from itertools import count, islice
from typing import Any, TypeAlias

import schemathesis
from msgspec import Struct
from schemathesis import AuthContext, Case, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData

AnyCase: TypeAlias = "Case[Any]"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
# What stands for a refusal of ours by the words of the decoder: the document should have said it.
_DECODERS = re.compile(r"^(Expected|Object|Invalid|Unrecognized|JSON is malformed)")
_OF_KEYS = re.compile(r"/v1/keys?/")
_INVALID = 422
_LONGEST = 700


class Plan(Struct, frozen=True, kw_only=True):
    """How much is tried: examples of each operation, and one in so many cases of coverage."""

    seed: int
    examples: int
    phases: Sequence[str] = PHASES
    one_in: int = 1


class Wrong(Struct, frozen=True):
    """Something that the document and the service do not agree about, and how to see it."""

    check: str
    operation: str
    words: str
    call: str = ""
    answer: str = ""

    def __str__(self) -> str:
        """Write it for a reader of a failed test."""
        return f"{self.check}: {self.operation}: {self.words}\n    {self.call}\n    {self.answer}"


class Found(Struct):
    """What came of a run: how often which status was answered, and what was wrong, each once."""

    statuses: Counter[int]
    wrong: dict[tuple[str, str], Wrong]

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return self.statuses.total()


class Keys:
    """The key of the run: whoever tries to rotate and to revoke keys goes on with another one."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self.current = make()

    def heed(self, case: AnyCase, response: Response) -> None:
        """Take another key after any that was rotated or revoked; it may have been this one."""
        done = response.status_code < HTTPStatus.BAD_REQUEST
        if done and case.method != "GET" and _OF_KEYS.match(case.path):
            self.current = self._make()


def tried(
    document: dict[str, Any],
    url: str,
    make_key: Callable[[], str],
    plan: Plan,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Try the API at `url` as its document describes it; `tell` hears how far it has come."""
    schema = schemathesis.openapi.from_dict(document, config=_config(url, plan))
    keys = Keys(make_key)
    schema.auth(refresh_interval=None)(_provider(keys))

    @schema.hook
    def after_call(_: HookContext, case: AnyCase, response: Response) -> None:
        keys.heed(case, response)

    schema.hook(filter_failure)
    _thin(schema, plan.one_in)
    found = Found(Counter(), {})
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _gather(event.recorder, found)
        elif isinstance(event, events.NonFatalError):
            found.wrong["error", event.label] = Wrong("error", event.label, repr(event.value))
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.PhaseFinished):
            tell(f"{event.phase.name.value}: {found.requests} requests, {len(found.wrong)} wrong")
    return found


def filter_failure(_: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
    """Keep a failure, unless it is a refusal by a rule that no schema can state.

    That a schema-valid request is refused is a failure only where the decoder refused it: then
    the schema could have said so. That a slug is taken, or a segment not there, it cannot.
    """
    if not isinstance(failure, RejectedPositiveData) or response.status_code != _INVALID:
        return True
    said = response.json()
    if said["code"] != "invalid":
        return False
    return any(_DECODERS.match(each["detail"]) for each in said.get("errors", ()))


def _config(url: str, plan: Plan) -> SchemathesisConfig:
    accepts = ["2xx", "401", "403", "404", "409", "412", "429"]
    rejects = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428", "429"]
    return SchemathesisConfig.from_dict(
        {
            "base-url": url,
            "seed": plan.seed,
            "continue-on-failure": True,
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": plan.examples,
                "no-shrink": True,
                "database": "none",
                # That each asks for a key is a check, and `tests/test_hostile.py`.
                "with-security-parameters": False,
            },
            "phases": {phase: {"enabled": phase in plan.phases} for phase in PHASES},
            "checks": {
                # 412: If-Match of a version that is not there any more, as 409 is of a state.
                "positive_data_acceptance": {"expected-statuses": accepts},
                "negative_data_rejection": {"expected-statuses": rejects},
                "missing_required_header": {"expected-statuses": ["400", "428"]},
            },
        }
    )


def _provider(keys: Keys) -> type:
    class Provider:
        """Asked before every call."""

        def get(self, _case: AnyCase, _ctx: AuthContext) -> str:
            return keys.current

        def set(self, case: AnyCase, data: str, _ctx: AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return Provider


def _thin(schema: Any, one_in: int) -> None:
    """Of the cases of coverage, which are thousands, try one in so many of each operation."""
    every = schema.iter_coverage_cases
    counted = count()

    def some(*args: Any, **kwargs: Any) -> Iterator[AnyCase]:
        return islice(every(*args, **kwargs), next(counted) % one_in, None, one_in)

    schema.iter_coverage_cases = some


def _gather(recorder: ScenarioRecorder, found: Found) -> None:
    for each in recorder.interactions.values():
        if each.response is not None:
            found.statuses[each.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                wrong = _wrong(check.name, check.failure_info.failure, recorder, case_id)
                found.wrong.setdefault((wrong.check, wrong.operation), wrong)


def _wrong(check: str, failure: Failure, recorder: ScenarioRecorder, case_id: str) -> Wrong:
    case = recorder.cases[case_id].value
    seen = recorder.interactions.get(case_id)
    answer = ""
    if seen is not None and seen.response is not None:
        body = (seen.response.content or b"")[:_LONGEST].decode(errors="replace")
        answer = f"{seen.response.status_code} {body}"
    words = " ".join(f"{failure.title} {failure.message}".split())
    return Wrong(
        check, case.operation.label, words[:_LONGEST], case.as_curl_command()[:_LONGEST], answer
    )


@schemathesis.serializer("application/zip", "text/csv")
def _as_it_is(_: Any, value: Any) -> bytes:
    """Send what is no JSON as it was drawn."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
