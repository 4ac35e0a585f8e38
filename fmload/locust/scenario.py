"""Users with a scenario of their own: ordinary Locust users whose client measures as `fmload run` does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.lock import RLock
from locust import User
from locust.clients import HttpSession
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately
from locust.user.task import LOCUST_STATE_STOPPING

from fmload.endpoints.base import Made
from fmload.locust.client import Chat, Client
from fmload.locust.idle import idle
from fmload.locust.inherited import Inherited
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.worker.seat import Seat
from fmload.worker.session_log import SessionLog

_FLOW = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
_NO_TASK = object()
# The task in which the running greenlet is; greenlets that a task starts inherit it, and end with it.
_task: Inherited[object] = Inherited(_NO_TASK)


class StageOver(GreenletExit):  # type: ignore[misc]
    """The stage that a task was in has closed: the task ends here, and another begins in the next stage."""


class ModelUser(User):
    """A user that writes its own requests: tasks, weights, `wait_time`, tags and task sets are Locust's.

    `protocol` is what a run without a run file speaks; `endpoint` the name of the run's endpoint that this user asks
    (None: whichever there is), `tenant` on whose behalf. With `raise_for_failure` a request that fails raises
    RequestLost. `http_host`: what relative addresses of `self.http` begin with.
    """

    abstract = True
    scripted = True
    protocol = "openai"
    endpoint: str | None = None
    tenant: str | None = None
    raise_for_failure = False
    http_host = ""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._seat: Seat | None = None
        self._asked = False  # whether the task that is on has sent something
        self._task: object = _NO_TASK  # the one that is on
        self._seating = RLock()  # requests side by side take one seat
        self.client = Client(type(self).__name__, self._send, self._keep, self.raise_for_failure, _FLOW,
                             begin=self._begin, tenant=self.tenant, at=self._at)

    @cached_property
    def http(self) -> HttpSession:
        """Plain HTTP beside the model: Locust's own client, in Locust's own statistics."""
        return HttpSession(base_url=self.http_host, request_event=self.environment.events.request, user=self)

    def session(self, name: str = "session", system: str | None = None) -> Any:
        """As `client.session`."""
        return self.client.session(name, system)

    # -- tasks ----------------------------------------------------------------------------------------------------

    # Locust makes the outermost task set in `run`; its tasks are what a stage that closes may end.
    @property
    def _taskset_instance(self) -> Any:
        return self.__dict__.get("tasks_on")

    @_taskset_instance.setter
    def _taskset_instance(self, tasks: Any) -> None:
        if tasks is not None:
            tasks.execute_task = partial(self._do, tasks.execute_task)
            self.greenlet.link(lambda _: self._leave())
        self.__dict__["tasks_on"] = tasks

    def _do(self, execute: Callable[[Any], None], task: Any) -> None:
        self._asked, self._task = False, object()
        before = _task.set(self._task)
        try:
            execute(task)
        except StageOver as over:
            raise RescheduleTask from over
        finally:
            self._task = _NO_TASK
            _task.set(before)

    # -- requests -------------------------------------------------------------------------------------------------

    def _send(self, prompt: Prompt, note: dict[str, Any], makes: Made = "text",
              endpoint: str | None = None) -> tuple[Record, Reading]:
        seat = self._take_seat()
        ended = seat.ask(prompt, note, makes, endpoint)
        if ended is None or (not seat.open and ended[0].outcome in ("censored", "cancelled")):
            raise self._over()
        return ended

    def _take_seat(self) -> Seat:
        """The seat of the stage that is on; waits for one. Ends the task where it began in a stage that has closed."""
        with self._seating:
            self._end_with_its_task()
            if self._seat is None or not self._seat.open:
                self._leave()
                if self._asked or self._state == LOCUST_STATE_STOPPING:
                    raise self._over()
                self._seat = self.environment.fmload.worker.seat(partial(idle, self), self.endpoint)
                self._end_with_its_task()
            self._asked = True
            return self._seat

    def _end_with_its_task(self) -> None:
        """A greenlet whose task has ended sends nothing more, nor does one whose user is gone."""
        if self.greenlet.dead:
            self._leave()
        if self.greenlet.dead or _task.get() is not self._task:
            raise GreenletExit

    def _over(self) -> BaseException:
        """What ends the task: raised here, or, out of a greenlet that the task has started, in the task itself."""
        if gevent.getcurrent() is self.greenlet:
            return StageOver()
        if _task.get() is self._task is not _NO_TASK:
            self.greenlet.kill(StageOver, block=False)
        gone: BaseException = GreenletExit()
        return gone

    def _leave(self) -> None:
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    def _at(self) -> tuple[int, str] | None:
        """Stage and endpoint of the seat; None without one."""
        return None if self._seat is None else (self._seat.lane.stage, self._seat.lane.endpoint)

    def _begin(self, log: SessionLog) -> None:
        self.environment.fmload.worker.begin_session(log)

    def _keep(self, session: Any) -> None:
        self.environment.fmload.worker.keep_session(session)


class OpenAIUser(ModelUser):
    """Asks endpoints that speak OpenAI's protocol."""

    abstract = True
    protocol = "openai"


class SageMakerUser(ModelUser):
    """Asks SageMaker endpoints."""

    abstract = True
    protocol = "sagemaker"


class BedrockUser(ModelUser):
    """Asks models on Bedrock."""

    abstract = True
    protocol = "bedrock"


__all__ = ["BedrockUser", "Chat", "ModelUser", "OpenAIUser", "SageMakerUser"]
