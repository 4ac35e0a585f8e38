"""The prepared sessions that a worker has under way, each in a greenlet of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.worker.session_run import SessionRun
from fmload.worker.slots import Lane

Send = Callable[[Lane, Prompt, int, dict[str, Any]], tuple[Record, Reading] | None]


class PreparedSessions:
    """`ask` sends a request of a lane and waits for its end, `serves` says whether a lane's requests may be sent,
    `keep` gets each session that has ended; `when_ended` is called after that."""

    def __init__(self, ask: Send, serves: Callable[[Lane], bool], keep: Callable[[Session], None],
                 when_ended: Callable[[], None]) -> None:
        self._ask, self._serves, self._keep, self._when_ended = ask, serves, keep, when_ended
        self._runs: dict[gevent.Greenlet, SessionRun] = {}
        self._begun: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, lane: Lane, prompt: Prompt, due_ns: int) -> gevent.Greenlet:
        """Begin a session that is due at an instant. One that is begun again is another one."""
        name = f"{lane.stage}/{lane.endpoint}/{prompt.id}"
        self._begun[name] += 1
        times = self._begun[name]
        run = SessionRun(prompt, name if times == 1 else f"{name}/{times}", partial(self._ask, lane), self._keep,
                         partial(self._serves, lane))
        greenlet = gevent.Greenlet(run.run, due_ns)
        self._runs[greenlet] = run
        greenlet.link(self._ended)
        greenlet.start()
        return greenlet

    def close(self) -> None:
        """The stages have closed: sessions end with the requests that are under way, those that think or use a tool
        now."""
        for greenlet, run in list(self._runs.items()):
            run.close()
            if not run.asking:
                greenlet.kill(block=False)

    def join(self, limit_s: float) -> None:
        """Wait until all have ended, so long at most."""
        gevent.joinall(list(self._runs), timeout=limit_s)

    def _ended(self, greenlet: gevent.Greenlet) -> None:
        del self._runs[greenlet]
        self._when_ended()
