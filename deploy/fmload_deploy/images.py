"""Which container serves a model, from the dated table or, for SageMaker, from the sagemaker SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.resources import table

Platform = Literal["sagemaker", "ec2"]
Accelerator = Literal["gpu", "neuron"]
_COMMERCIAL = ("us-east-", "us-west-", "eu-", "ap-", "sa-", "ca-", "me-", "af-", "il-", "mx-")
_VALUES = ("model", "tensor_parallel", "max_model_len", "max_sequences")


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served and how; containers want these values under names of their own. None: the container's choice."""

    model: str
    tensor_parallel: int | None = None
    max_model_len: int | None = None
    max_sequences: int | None = None

    def values(self) -> dict[str, str]:
        """The values that are given, as text."""
        return {name: str(value) for name in _VALUES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Container:
    """An entry of the table, region and account filled in."""

    name: str
    image: str
    accelerator: Accelerator = "gpu"
    port: int = 8080
    health: str = "/health"
    inference_ami: str | None = None
    payload_format: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    after_start: tuple[str, ...] = ()

    def arguments(self, serving: Serving) -> list[str]:
        """The container's command for what is served; an option without a value is left out."""
        return _filled(self.args, serving.values())

    def environment(self, serving: Serving) -> dict[str, str]:
        """The container's environment for what is served; a variable without a value is left out."""
        values = serving.values()
        return {name: filled[0] for name, text in self.env.items() if (filled := _filled((text,), values))}


def container(platform: Platform, name: str, region: str | None) -> Container:
    """The container of a platform. Raises FmloadError for an unknown name."""
    shipped = table("images.yml")
    entries: dict[str, dict[str, Any]] = shipped[platform]
    if name not in entries:
        raise FmloadError(f"unknown container '{name}'{did_you_mean(name, list(entries))}",
                          hint=f"known on {platform}: {', '.join(entries)}; or give image:")
    entry = dict(entries[name])
    where = region or "us-east-1"
    image = entry.pop("image").format(region=where, account=_account(where, shipped, name), suffix=_suffix(where))
    more: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return Container(name=name, image=image, **more)


def _account(region: str, shipped: Mapping[str, Any], name: str) -> str:
    """Whose registry it is. Raises FmloadError in a partition of which the table knows no account."""
    account = shipped["accounts"].get(region)
    if account is None and not region.startswith(_COMMERCIAL):
        raise FmloadError(f"images.yml knows no registry of AWS's in {region}, for container '{name}'",
                          hint="give image: with a registry of your own there")
    return str(account or shipped["account"])


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def machine_image_parameter(accelerator: Accelerator) -> str:
    """The SSM parameter that holds the newest machine image for an accelerator."""
    return str(table("images.yml")["machine_images"][accelerator])


def neuron_cores(instance_type: str) -> int:
    """NeuronCores of an instance type as software counts them; 0 when it has none.

    Trainium2 and 3 join two physical cores into a logical one by default (LNC=2).
    """
    kind = instance_type.removeprefix("ml.")
    physical = int(table("accelerators.yml")["instances"].get(kind, {}).get("cores", 0))
    return physical // 2 if kind.startswith(("trn2", "trn3")) else physical


def table_date() -> str:
    """When the table was right."""
    return str(table("images.yml")["date"])


def sdk_image(framework: str, version: str | None, region: str, instance_type: str) -> str:
    """The image URI that the sagemaker SDK knows. Raises FmloadError when it is not installed or knows none."""
    try:
        from sagemaker.core import image_uris
    except ImportError as error:
        raise FmloadError("image_uri asks the sagemaker SDK, which is not installed",
                          hint="pip install 'fmload[sagemaker]', or give image: or container:") from error
    try:
        return str(image_uris.retrieve(framework, region, version=version, instance_type=instance_type,
                                       image_scope="inference"))
    except (ValueError, TypeError) as error:
        raise FmloadError(f"the sagemaker SDK has no image for {framework} {version or ''}: {error}",
                          hint="give image: or container:") from error


def _filled(parts: tuple[str, ...], values: Mapping[str, str]) -> list[str]:
    """The parts with values put in; a part whose value is absent goes, with the option before it."""
    out: list[str] = []
    for part in parts:
        names = [name for name in _VALUES if f"{{{name}}}" in part]
        if all(name in values for name in names):
            out.append(part.format_map(values) if names else part)
        elif out and out[-1].startswith("--"):
            out.pop()
    return out
