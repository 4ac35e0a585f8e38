"""The public parameters that name the Deep Learning and Neuron AMIs; moto knows those of plain Linux only. And commands
that fail, where a scenario says so."""

from __future__ import annotations

from typing import Any

from moto.ssm.models import Command, Parameter, SimpleSystemManagerBackend

from fmload_deploy.emulated_aws.layer import lay
from fmload_deploy.emulated_aws.scenario import IN_FORCE

_PREFIXES = ("/aws/service/deeplearning/ami/", "/aws/service/neuron/dlami/")
_IMAGE = "ami-dca37ea5"  # a Deep Learning AMI that moto knows


def apply() -> None:
    """Lay this module over moto's SSM, in this process."""
    lay(SimpleSystemManagerBackend, get_parameter=_with_images(SimpleSystemManagerBackend.get_parameter))
    lay(Command, get_invocation=_as_told(Command.get_invocation))


def _as_told(inner: Any) -> Any:
    def invocation(command: Any, instance_id: str, plugin_name: str | None) -> Any:
        answer = inner(command, instance_id, plugin_name)
        rule = IN_FORCE.start("SendCommand", "\n".join((command.parameters or {}).get("commands", [])))
        if "fails" not in rule:
            return answer
        said = "".join(f"{line}\n" for line in [*rule.get("log", ()), rule["fails"]])
        return {**answer, "Status": "Failed", "StatusDetails": "Failed", "ResponseCode": 1,
                "StandardErrorContent": said}
    return invocation


def _with_images(inner: Any) -> Any:
    def get(backend: Any, name: str) -> Any:
        if not name.startswith(_PREFIXES):
            return inner(backend, name)
        make: Any = Parameter
        return make(account_id=backend.account_id, name=name, value=_IMAGE, parameter_type="String",
                         description=None, allowed_pattern=None, keyid=None, last_modified_date=0.0, version=1,
                         data_type="text")
    return get
