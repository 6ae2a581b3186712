"""Several threads at once, for what lets go of the interpreter's lock: a signature by OpenSSL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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

    beside = [_POOL.submit(take_part) for _ in range(min(helpers, len(tasks) - 1))]
    take_part()
    for each in beside:
        if not each.cancel():
            each.result()
    return [found[number] for number in range(len(tasks))]
