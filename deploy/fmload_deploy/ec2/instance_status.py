"""What an instance tells of itself: the state of its copies and its logs, by its own port or by EC2's console."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

_LIMIT_S = 5.0


def told(status_url: str) -> Mapping[str, Any] | None:
    """`state`, `reason`, `copies`, `swallowed` (see templates/instance_watch.py); None while nothing answers."""
    text = _get(f"{status_url}/status")
    try:
        answer = json.loads(text) if text else None
    except json.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) and "state" in answer else None


def logs(status_url: str, copies: int) -> dict[str, str]:
    """The start script's output and every container's, by file name; what cannot be had is empty."""
    return {"start-script.log": _get(f"{status_url}/console"),
            **{f"container-{index}.log": _get(f"{status_url}/log/{index}") for index in range(copies)}}


def console(ec2: Any, instance: str) -> str:
    """The instance's console, the newest that EC2 has; empty when it has none or may not be asked."""
    for latest in ({"Latest": True}, {}):  # instances that are not Nitro know no Latest
        try:
            return str(ec2.get_console_output(InstanceId=instance, **latest).get("Output", ""))
        except ClientError:
            continue
    return ""


def console_failure(text: str) -> str | None:
    """What the start script or the watch has said to have failed; None when neither has."""
    match = re.search(r"fmload: FAILED (.+)", text)
    return match[1].strip() if match else None


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_LIMIT_S) as answer:
            return str(answer.read().decode(errors="replace"))
    except (urllib.error.URLError, OSError, ValueError):
        return ""
