"""SageMaker's stateful sessions: the id that the container gives to each of ours, for the requests after the first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

NEW_SESSION = "NEW_SESSION"
_TOLD_IN = "x-amzn-sagemaker-new-session-id"  # `<id>; Expires=<date>`
_KEPT = 100_000  # sessions of one worker; more are never under way


class StickySessions:
    """Ids by session, as far as the container has told them."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()

    def is_new(self, session: str) -> bool:
        """Whether the container has not named it yet."""
        return session not in self._ids

    def id_of(self, session: str) -> str:
        """The session's id as SageMaker wants it; a new one is asked for where there is none."""
        return self._ids.get(session, NEW_SESSION)

    def learn(self, session: str, headers: Mapping[str, str]) -> None:
        """Keep the id that an answer told, if it told one."""
        told = headers.get(_TOLD_IN, "").partition(";")[0].strip()
        if told:
            self._ids[session] = told
            while len(self._ids) > _KEPT:
                self._ids.popitem(last=False)
