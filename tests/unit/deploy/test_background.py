"""Work that is repeated beside the run."""

from __future__ import annotations

import threading

from fmload_deploy.background import repeating


def test_what_raises_is_done_again_and_ends_with_the_block() -> None:
    turns, enough = [0], threading.Event()

    def fail() -> None:
        turns[0] += 1
        if turns[0] == 3:
            enough.set()
        raise RuntimeError("no")
    with repeating(fail, 0.0, "x"):
        assert enough.wait(60)
    done = turns[0]
    assert not [thread for thread in threading.enumerate() if thread.name == "x"]
    assert turns[0] == done >= 3
