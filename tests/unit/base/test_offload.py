from __future__ import annotations

import threading

import gevent

from fmload.base.offload import LARGE_BYTES, beside_the_loop


def test_large_works_take_turns_in_one_thread_beside_the_loop() -> None:
    """Three answers of 100 MB, read at once, kept the interpreter from the loop until the master gave the worker up."""
    under_way: list[int] = []
    most: list[int] = []

    def work(number: int) -> int:
        under_way.append(number)
        most.append(len(under_way))
        sum(range(1_000_000))
        under_way.remove(number)
        assert threading.current_thread() is not threading.main_thread()
        return number

    jobs = [gevent.spawn(beside_the_loop, LARGE_BYTES, work, number) for number in range(4)]
    gevent.joinall(jobs, raise_error=True)
    assert [job.value for job in jobs] == [0, 1, 2, 3] and max(most) == 1
