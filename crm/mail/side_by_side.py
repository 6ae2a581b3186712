"""Several threads at once, for what lets go of the interpreter's lock: a signature by OpenSSL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

# More than four threads would only wait for the one that writes the mails.
_HELPERS = min(len(os.sched_getaffinity(0)), 4) - 1
_POOL = ThreadPoolExecutor(max(_HELPERS, 1), thread_name_prefix="beside")


def side_by_side(tasks: Sequence[Callable[[], T]], helpers: int = _HELPERS) -> list[T]:
    """Return what each task returns, in their order; what one raises is raised.

    The caller's thread takes its part and waits for nobody who has not begun: on a busy machine it
    does all by itself, and is late by one task at most.
    """
    left = deque(enumerate(tasks))
    found: dict[int, T] = {}

    def take_part() -> None:
        while left:
            try:
                number, task = left.popleft()
            except IndexError:  # somebody was quicker
                return
            found[number] = task()

    beside: list[Future[None]] = []
    try:
        # Help is an offer: where no thread can be started, none is needed.
        with suppress(RuntimeError):
            for _ in range(min(helpers, len(tasks) - 1)):
                beside.append(_POOL.submit(take_part))  # noqa: PERF401  (those before it stay)
        take_part()
    finally:
        left.clear()
        begun = [each for each in beside if not each.cancel()]
        wait(begun)
    for each in begun:
        each.result()
    return [found[number] for number in range(len(tasks))]
