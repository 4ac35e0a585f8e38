"""One FMBench experiment as one endpoint: where it runs, what serves it, with which parameters."""

from __future__ import annotations

import re
from typing import Any

from fmload_deploy.fmbench.key_reader import KeyReader

_EC2_CONTAINERS = {"djl": "lmi", "vllm": "vllm-neuronx", "vllm_gpu": "vllm", "sglang": "sglang", "ollama": "ollama",
                   "triton": "triton-vllm"}
_RENAMED = {"max_new_tokens": "max_tokens"}
_NOT_SENT = {"Content-type", "do_sample", "return_full_text", "details", "truncate", "decoder_input_details", "caching",
             "use_boto3", "max_new_tokens", "max_tokens"}  # the length goes with the prompt sets


def endpoint_of(keys: KeyReader, index: int) -> dict[str, Any]:
    """The endpoint of experiment `index`, as an entry of our run file."""
    experiment = _Experiment(keys, index)
    endpoint = {"name": re.sub(r"[^A-Za-z0-9._-]+", "-", str(experiment.get("name") or f"experiment-{index + 1}")),
                **experiment.placed(), "stream": bool(experiment.get("inference_spec", "stream"))}
    parameters = experiment.parameters()
    return {**endpoint, **({"parameters": parameters} if parameters else {})}


class _Experiment:
    def __init__(self, keys: KeyReader, index: int) -> None:
        self._keys, self._index = keys, index

    def get(self, *path: str) -> Any:
        return self._keys.get("experiments", self._index, *path)

    def placed(self) -> dict[str, Any]:
        """Protocol, address or deployment, and price."""
        script = str(self.get("inference_script") or "")
        for start, place in (("bedrock", self._bedrock), ("ec2", self._ec2), ("eks", self._eks), ("rest", self._rest),
                             ("custom_rest", self._rest)):
            if script.startswith(start):
                return place()
        return self._sagemaker()

    def parameters(self) -> dict[str, Any]:
        name = self.get("inference_spec", "parameter_set")
        given = (self._keys.get("inference_parameters", name) if name else None) or {}
        self.get("inference_spec", "parameters")
        return {_RENAMED.get(key, key): value for key, value in given.items() if key not in _NOT_SENT}

    def _model(self) -> Any:
        return self.get("hf_model_id") or self.get("hf_tokenizer_model_id") or self.get("model_id")

    def _price(self) -> dict[str, Any]:
        count = self.get("instance_count") or 1
        return {"price": {"instance_type": self.get("instance_type"), **({"count": count} if count > 1 else {})}}

    def _bedrock(self) -> dict[str, Any]:
        self.get("ep_name"), self.get("instance_type"), self.get("instance_count")
        model = str(self.get("model_id"))
        return {"protocol": "bedrock", "model": model, "price": {"model": model}}

    def _rest(self) -> dict[str, Any]:
        url = _base_url(str(self.get("ep_name")))
        return {"protocol": "openai", "url": url, "model": self._model(), **self._price()}

    def _ec2(self) -> dict[str, Any]:
        if not self.get("deploy"):
            return self._rest()
        self.get("ep_name"), self.get("deployment_script")
        kind = str(self.get("inference_spec", "container_type") or "djl")
        copies = self.get("inference_spec", "model_copies")
        deploy = {"target": "ec2", "instance_type": self.get("instance_type"),
                  "container": _EC2_CONTAINERS.get(kind, "vllm"),
                  "tensor_parallel": self.get("inference_spec", "tp_degree"),
                  "model_copies": "max" if copies in ("max", "auto") else int(copies or 1),
                  "start_timeout": _seconds(self.get("ec2", "model_loading_timeout")), "env": self._env()}
        return {"protocol": "openai", "model": self._model(), "deploy": _given(deploy)}

    def _eks(self) -> dict[str, Any]:
        deploy = {"target": "eks", "cluster": self.get("eks", "eks_cluster_name"), "container": "vllm-neuronx",
                  "instance_type": self.get("instance_type"), "env": self._env()}
        self.get("deploy"), self.get("deployment_script")
        return {"protocol": "openai", "model": self._model(), "deploy": _given(deploy), **self._price()}

    def _sagemaker(self) -> dict[str, Any]:
        endpoint = {"protocol": "sagemaker", "model": self._model()}
        if not self.get("deploy"):
            return {**endpoint, "endpoint_name": self.get("ep_name"), **self._price()}
        self.get("ep_name")
        deploy = {"target": "sagemaker", "instance_type": self.get("instance_type"),
                  "instance_count": self.get("instance_count"), **self._container(), "env": self._env(),
                  "accept_eula": self.get("accept_eula")}
        return {**endpoint, "deploy": _given(deploy)}

    def _container(self) -> dict[str, Any]:
        script, kind = str(self.get("deployment_script") or ""), str(self.get("instance_type"))
        neuron = kind.startswith(("ml.inf", "ml.trn"))
        if script.startswith("jumpstart"):
            return {"jumpstart": self.get("model_id")}
        if "tgi" in script:
            return {"container": "tgi-neuronx" if neuron else "tgi"}
        properties = _properties(self.get("serving.properties"))
        if properties:
            return {"image": self.get("image_uri"), "serving_properties": properties, "bucket": self.get("bucket")}
        return {"container": "vllm-neuronx" if neuron else "lmi"}

    def _env(self) -> dict[str, str] | None:
        env = self.get("env")
        return {key: str(value) for key, value in env.items()} if env else None


def _properties(text: Any) -> dict[str, str]:
    lines = [line.partition("=") for line in str(text or "").splitlines() if "=" in line and not line.startswith("#")]
    return {key.strip(): value.strip() for key, _, value in lines}


def _base_url(url: str) -> str:
    """The base of an OpenAI server's address, whatever path FMBench posted to."""
    return re.sub(r"/(invocations|v1(/.*)?|generate|api/generate)?/?$", "", url) + "/v1"


def _seconds(value: Any) -> str | None:
    return None if value is None else f"{value}s"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, {}, [])}
