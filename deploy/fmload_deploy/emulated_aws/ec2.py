"""Instances as they behave: what a scenario has them write on their console."""

from __future__ import annotations

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.responses.general import General

from fmload_deploy.emulated_aws.layer import lay
from fmload_deploy.emulated_aws.scenario import IN_FORCE

_STARTED = "cloud-init: running the start script\nfmload: containers started\n"


def apply() -> None:
    """Lay this module over moto's EC2, in this process."""
    lay(General, get_console_output=_with_console(General.get_console_output))


def _with_console(inner: Any) -> Any:
    def console(self: Any) -> Any:
        answer = inner(self)
        script = self.ec2_backend.get_instance(self._get_param("InstanceId")).user_data
        rule = IN_FORCE.start("RunInstances", script.decode() if script is not None else "")
        lines = rule.get("console", [])
        text = "".join(f"{line}\n" for line in lines) or _STARTED
        answer.result["Output"] = Base64EncodedString.from_raw_string(text)
        return answer
    return console
