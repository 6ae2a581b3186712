"""Tasks on several threads: each done once, in order, and nobody waited for who has not begun."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from crm.mail import side_by_side as module
from crm.mail.side_by_side import side_by_side


@pytest.mark.parametrize("helpers", [0, 1, 3])
@pytest.mark.parametrize("many", [0, 1, 2, 40])
def test_each_is_done_once_and_told_in_order(helpers: int, many: int) -> None:
    begun: list[int] = []

    def task(number: int) -> int:
        begun.append(number)
        return number * number

    tasks = [lambda number=number: task(number) for number in range(many)]
    assert side_by_side(tasks, helpers) == [number * number for number in range(many)]
    assert sorted(begun) == list(range(many))


def test_another_thread_takes_its_part() -> None:
    """Two that each wait until the other has begun cannot both be the caller's."""
    meet = threading.Barrier(2, timeout=30)

    def task() -> int:
        meet.wait()
        return threading.get_ident()

    assert len(set(side_by_side([task, task], 1))) == 2


def test_nobody_waits_for_who_has_not_begun() -> None:
    """Here the pool is busy with something else until all is done."""
    over = threading.Event()
    busy = [module._POOL.submit(over.wait, 30) for _ in range(module._POOL._max_workers)]  # noqa: SLF001
    try:
        idents = side_by_side([threading.get_ident] * 5, 1)
    finally:
        over.set()

    assert idents == [threading.get_ident()] * 5
    assert all(each.result() for each in busy)


def test_where_no_thread_can_be_started_the_caller_does_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a limit of processes or of memory, and when the interpreter ends."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    monkeypatch.setattr(module, "_POOL", pool)

    assert side_by_side([threading.get_ident] * 5, 3) == [threading.get_ident()] * 5


def test_what_was_begun_has_ended_when_another_has_failed() -> None:
    meet, failed = threading.Barrier(2, timeout=30), threading.Event()
    ended: list[bool] = []

    def fails() -> None:
        meet.wait()
        failed.set()
        raise ValueError("no")

    def goes_on() -> None:
        meet.wait()
        ended.append(failed.wait(30))

    with pytest.raises(ValueError, match="no"):
        side_by_side([fails, goes_on], 1)
    assert ended == [True]


@pytest.mark.parametrize("where", [0, 1])
def test_what_one_raises_is_raised(where: int) -> None:
    meet = threading.Barrier(2, timeout=30)

    def task(number: int) -> None:
        meet.wait()
        if number == where:
            raise ValueError(number)

    with pytest.raises(ValueError, match=str(where)):
        side_by_side([lambda: task(0), lambda: task(1)], 1)
