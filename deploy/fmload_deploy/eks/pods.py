"""What keeps pods from starting, told as soon as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload.base.errors import FmloadError

_HOPELESS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError",
             "CreateContainerError", "RunContainerError")
_LOG_LINES = 15


def look_at_pods(client: Any, namespace: str, labels: Mapping[str, str] | None = None) -> None:
    """Raises FmloadError when a container of the namespace (of the pods with `labels`) will not start, with its reason
    and its last words."""
    from lightkube.resources.core_v1 import Pod
    for pod in client.list(Pod, namespace=namespace, labels=labels):
        for status in (pod.status.containerStatuses if pod.status else None) or []:
            waiting = status.state.waiting if status.state else None
            if waiting is not None and waiting.reason in _HOPELESS:
                raise FmloadError(f"pod {pod.metadata.name}: {waiting.reason}: {waiting.message or ''}"
                                  + _last_words(client, namespace, pod.metadata.name),
                                  hint=f"kubectl -n {namespace} describe pod {pod.metadata.name}")


def _last_words(client: Any, namespace: str, pod: str) -> str:
    from lightkube import ApiError
    try:
        return "".join(f"\n    {line.rstrip()}" for line in client.log(pod, namespace=namespace, tail_lines=_LOG_LINES))
    except ApiError as error:
        return f"\n    (no log: {error.status.message})"
