"""The check from the dated tables alone: does the model fit, does the image suit the machine, do names agree?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload_deploy import images
from fmload_deploy.check.memory import Machine, Model, machine_of, model_of, room_gib
from fmload_deploy.check.rows import Row, State

_IMAGE_GIB = 30.0  # a serving image unpacked, and the system
_BIG_GIB, _BIG_BUDGET_S, _SMALL_BUDGET_S = 30.0, 1800, 600  # compiling: weights above which it takes longer; limits
_COMPILE_HOST_GIB = 32.0  # beside twice the weights
_NEURON_START_S = 3600.0
_OLD_NEURON, _NEW_NEURON = ("inf2", "trn1"), ("trn2", "trn3")


def offline(spec: EndpointSpec, region: str | None) -> Iterator[Row]:
    """The rows of one endpoint of a run file."""
    if spec.deploy is None or spec.deploy.target not in ("sagemaker", "ec2", "eks"):
        return
    options = spec.deploy.options
    if getattr(options, "emulator", None):
        yield Row(spec.name, "machine", "ok", f"emulated on this host (profile {options.emulator}): nothing to reckon")
        return
    yield from _Endpoint(spec, region).rows()


class _Endpoint:
    """What the tables know of one endpoint."""

    def __init__(self, spec: EndpointSpec, region: str | None) -> None:
        assert spec.deploy is not None
        self.spec, self.options, self.target, self.region = spec, spec.deploy.options, spec.deploy.target, region
        group = getattr(self.options, "node_group", None)
        self.instance_type: str | None = self.options.instance_type or (group.instance_type if group else None)
        named = getattr(self.options, "model_id", None) or spec.model or ""
        self.model: Model | None = model_of(named)
        self.model_name = named

    def rows(self) -> Iterator[Row]:
        machine = machine_of(self.instance_type) if self.instance_type else None
        if machine is None:
            yield self._row("machine", "missing" if self.instance_type else "unknown",
                            f"accelerators.yml does not know {self.instance_type}" if self.instance_type else
                            "the nodes are the cluster's own", "an instance type of that table")
            return
        yield self._row("machine", "ok", f"{self.instance_type}: {machine.count} × {machine.memory_gib:.0f} GiB, host "
                        f"{machine.host_gib:.0f} GiB, own disks {machine.disk_gb} GB")
        container = self._container()
        if isinstance(container, Row):
            yield container
            return
        yield from self._image(container, machine)
        if container is not None:
            yield self._names(container)
        if self.model is None:
            yield self._row("memory", "unknown", f"models.yml does not know {self.model_name or 'the model'}",
                            "reckon it by hand, or add it to the table")
            return
        yield from self._memory(self.model, machine)
        yield self._disk(self.model, machine)
        if machine.kind == "neuron":
            yield from self._compile(self.model, machine, container)
        yield from self._token(self.model)

    def _row(self, what: str, state: State, detail: str, remedy: str = "") -> Row:
        return Row(self.spec.name, what, state, detail, remedy)

    def _container(self) -> images.Container | Row | None:
        name = getattr(self.options, "container", None)
        if name is None:
            return None
        try:
            return images.container("sagemaker" if self.target == "sagemaker" else "ec2", name, self.region)
        except FmloadError as error:
            return self._row("image", "missing", error.message, error.hint or "")

    def _image(self, container: images.Container | None, machine: Machine) -> Iterator[Row]:
        if container is None:
            yield self._row("image", "unknown", "an image of your own: the table does not know it",
                            "see to it that it exists and that the role may pull it")
            return
        kind, dated = (self.instance_type or "").removeprefix("ml."), f"images.yml of {images.table_date()}"
        new = "trn2" in container.name
        if container.accelerator != machine.kind:
            yield self._row("image", "missing", f"{container.name} is for {container.accelerator}, {kind} has "
                            f"{machine.kind}", "a container for it")
        elif kind.startswith(_OLD_NEURON if new else _NEW_NEURON):
            yield self._row("image", "missing", f"{container.name} does not serve {kind}",
                            "vllm-neuronx for inf2 and trn1, vllm-neuronx-trn2 for trn2")
        elif self.target == "sagemaker" and "cu130" in container.image and not (
                container.inference_ami or self.options.inference_ami):
            yield self._row("image", "missing", "CUDA 13 does not start on SageMaker's default host", "inference_ami:")
        else:
            yield self._row("image", "ok", f"{container.name}: in {dated}")

    def _names(self, container: images.Container) -> Row:
        served, asked = self._served_name(container), self.spec.model or ""
        if self.spec.protocol != "openai" or served in (None, asked):
            return self._row("names", "ok", f"the server calls it {served or 'anything'}")
        return self._row("names", "missing", f"requests ask for '{asked}', the server calls it '{served}'",
                         "the same name on both sides: every request would get 404")

    def _served_name(self, container: images.Container) -> str | None:
        """What the server calls its model; None where it takes any name."""
        args, env = list(getattr(self.options, "args", ())), {**container.env, **self.options.env}
        if "--served-model-name" in args[:-1]:
            return str(args[args.index("--served-model-name") + 1])
        loaded = getattr(self.options, "model_path", None) or self.model_name
        if container.name == "lmi":
            return str(env.get("OPTION_SERVED_MODEL_NAME", "lmi")).replace("{model}", loaded)
        return None if container.name.startswith("tgi") else loaded

    def _shards(self, machine: Machine) -> tuple[int, float, int, int]:
        """Shards of a copy, the memory of each, copies on the machine, and the shards that there is room for."""
        cores = images.neuron_cores(self.instance_type or "")
        units, memory = (cores, machine.memory_gib * machine.count / cores) if cores else (
            machine.count, machine.memory_gib)
        held = getattr(self.options, "devices", None)
        most = units if held is None else held * units // machine.count
        shards = self.options.tensor_parallel or most
        asked = getattr(self.options, "model_copies", 1)
        return shards, memory, most // shards if asked == "max" else int(asked), most

    def _memory(self, model: Model, machine: Machine) -> Iterator[Row]:
        shards, memory, copies, most = self._shards(machine)
        copies = max(1, copies)
        if copies * shards > most:
            yield self._row("shards", "missing", f"{copies} × {shards} shards on {most} "
                            f"{'cores' if machine.kind == 'neuron' else 'GPUs'}",
                            "a smaller tensor_parallel, fewer model_copies, or a larger instance")
            return
        if machine.kind == "gpu" and model.heads % shards:
            yield self._row("shards", "missing", f"{model.heads} attention heads do not divide by {shards}",
                            "a tensor_parallel that divides them")
        length = self.options.max_model_len or model.context
        if length > model.context:
            yield self._row("context", "missing", f"{length} tokens are asked for, the model reads {model.context}",
                            f"max_model_len: {model.context}, or less: the server would refuse to start")
        at_once = self.options.max_sequences or 1
        one, room = model.kv_gib(length, shards), room_gib(memory, shards) - model.weights_gib
        fixed = machine.kind == "neuron"  # Neuron compiles for the whole batch, and keeps room for all of it
        need = one * (at_once if fixed else 1)
        detail = (f"weights {model.weights_gib:.4g} GiB over {shards} × {memory:.4g} GiB leave {max(room, 0):.4g} GiB; "
                  f"KV of {length} tokens is {one:.3g} GiB" + (f", × {at_once}" if fixed else ""))
        if room < need:
            yield self._row("memory", "missing", detail, "a larger tensor_parallel or instance, a smaller "
                            + ("max_model_len or max_sequences" if room > 0 else "model"))
            return
        full = f"; {int(room / one)} full-length sequences at once, {at_once} asked for" if not fixed else ""
        yield self._row("memory", "ok", f"{detail}{full}; {copies} {'copy' if copies == 1 else 'copies'}")

    def _disk(self, model: Model, machine: Machine) -> Row:
        compiled = model.weights_gib if machine.kind == "neuron" else 0.0  # sharded weights are written beside
        need = model.weights_gib + compiled
        volume = getattr(self.options, "volume_gib", None)
        if machine.disk_gb:
            have, where = machine.disk_gb * 1e9 / 1024 ** 3, "the machine's own disks"
            count = 4 if (self.instance_type or "").startswith((*_NEW_NEURON, "trn1.32")) else 1
            have = have / count if self.target == "ec2" else have  # one of them is mounted
        else:
            need += _IMAGE_GIB
            have, where = float(volume or (30 if self.target == "sagemaker" else 200)), "the volume"
        told = f"{need:.0f} GiB on {where} of {have:.0f} GiB"
        if have < need * 1.1:
            return self._row("disk", "missing", told, f"volume_gib: {int(need * 1.25) + 1}")
        return self._row("disk", "ok", told)

    def _compile(self, model: Model, machine: Machine, container: images.Container | None) -> Iterator[Row]:
        precompiled = getattr(self.options, "artifacts", None) or getattr(self.options, "model_data", None)
        if precompiled:
            yield self._row("compile", "ok", f"not on the node: precompiled artefacts, {precompiled}")
            return
        need = 2 * model.weights_gib + _COMPILE_HOST_GIB
        state: State = "ok" if machine.host_gib >= need else "missing"
        yield self._row("compile", state, f"on the node: takes about {need:.0f} GiB of host memory, there are "
                        f"{machine.host_gib:.0f}", "precompiled artefacts (artifacts: s3://…), or a larger host")
        yield self._budget(model, {**(container.env if container else {}), **self.options.env})

    def _budget(self, model: Model, env: Mapping[str, Any]) -> Row:
        vllm = "vllm" in (getattr(self.options, "container", None) or "") and self.target != "sagemaker"
        given = float(env.get("VLLM_ENGINE_READY_TIMEOUT_S", _SMALL_BUDGET_S)) if vllm else self.options.start_timeout_s
        need = _BIG_BUDGET_S if model.weights_gib > _BIG_GIB else _SMALL_BUDGET_S
        if given < need or self.options.start_timeout_s < _NEURON_START_S:
            return self._row("compile budget", "missing", f"{given:.0f} s for the engine, {need} s wanted; "
                             f"start_timeout {self.options.start_timeout_s:.0f} s, {_NEURON_START_S:.0f} s wanted",
                             "env: {VLLM_ENGINE_READY_TIMEOUT_S: \"1800\"}, start_timeout: 90m")
        return self._row("compile budget", "ok", f"{given:.0f} s for the engine, start_timeout "
                         f"{self.options.start_timeout_s:.0f} s")

    def _token(self, model: Model) -> Iterator[Row]:
        given = getattr(self.options, "hf_token_secret", None) or getattr(self.options, "hf_token_env", None)
        local = getattr(self.options, "model_data", None) or getattr(self.options, "model_path", None)
        if model.gated and not local:
            yield self._row("token", "ok" if given else "missing", f"a gated model; {given or 'no token is named'}",
                            "hf_token_secret: (EC2) or hf_token_env: (SageMaker, EKS)")
