"""What a measurement comes to: its runs, their median and spread, and the ratio to a ceiling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

from msgspec import Struct

_SMALL = 10

Run = Callable[[int], Awaitable[float]]
Say = Callable[[str], None]
Notes = Mapping[str, float | int | str]


class Series(Struct, frozen=True):
    """The runs of one contender, in the order in which they were made."""

    what: str
    unit: str
    runs: list[float]

    @property
    def median(self) -> float:
        """The run in the middle."""
        return median(self.runs)

    @property
    def spread(self) -> float:
        """How far apart the runs are, as a share of the median."""
        return (max(self.runs) - min(self.runs)) / self.median if self.median else 0.0

    def told(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "what": self.what,
            "unit": self.unit,
            "runs": self.runs,
            "median": self.median,
            "spread": self.spread,
        }


class Goal(Struct, frozen=True):
    """The ratio to reach, or not to exceed."""

    ratio: float
    at_most: bool = False

    def reached(self, ratio: float) -> bool:
        """Say whether a ratio is good enough."""
        return ratio <= self.ratio if self.at_most else ratio >= self.ratio

    def __str__(self) -> str:
        """Write it as the table shows it."""
        return f"{'≤' if self.at_most else '≥'} {self.ratio:g}"


class Beside(Struct, frozen=True):
    """Another contender of the same rounds; only a ceiling has a goal."""

    series: Series
    goal: Goal | None = None


class Figure(Struct, frozen=True):
    """One measurement: ours, what it stands beside, and what else was counted on the way."""

    name: str
    ours: Series
    beside: list[Beside]
    notes: Notes

    def told(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            **self.ours.told(),
            "beside": [self._compared(each) for each in self.beside],
            "notes": dict(self.notes),
        }

    def ratio(self, other: Series) -> float:
        """Return ours as a multiple of another's."""
        return self.ours.median / other.median if other.median else 0.0

    def _compared(self, each: Beside) -> dict[str, Any]:
        ratio = self.ratio(each.series)
        told = {**each.series.told(), "ratio": ratio}
        if each.goal is not None:
            told |= {"goal": str(each.goal), "reached": each.goal.reached(ratio)}
        return told


class Missing(Struct, frozen=True):
    """What could not be measured here, and what to do about it."""

    name: str
    reason: str


def written(value: float) -> str:
    """Write a figure for people: three digits behind the point while it is small."""
    return f"{value:,.3f}" if value < _SMALL else f"{value:,.1f}"


async def interleaved(
    rounds: int, contenders: Mapping[str, tuple[str, Run]], say: Say
) -> dict[str, Series]:
    """Run every contender once a round, so that a slow minute of the machine meets all of them."""
    runs: dict[str, list[float]] = {what: [] for what in contenders}
    for number in range(rounds):
        for what, (unit, run) in contenders.items():
            found = await run(number)
            runs[what].append(found)
            say(f"round {number + 1} of {rounds}: {what}: {written(found)} {unit}")
    return {what: Series(what, unit, runs[what]) for what, (unit, _) in contenders.items()}
