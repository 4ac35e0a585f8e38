"""With what a request is sent: its endpoint, as a component of a mix or a tenant has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec, RunFile
from fmload.config.tenants import as_tenant, unknown
from fmload.endpoints.base import Endpoint
from fmload.model.prompt import Prompt

# Names of the limit on output tokens: OpenAI's two, TGI's, Bedrock's (Converse and others; Llama), those of Responses,
# Gemini, Ollama and llama.cpp.
_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_new_tokens", "maxTokens", "max_gen_len",
                  "max_output_tokens", "maxOutputTokens", "num_predict", "n_predict")

Key = tuple[str, int | None, str | None]  # endpoint, component of the mix, tenant


@dataclass(frozen=True, slots=True)
class Sender:
    """An endpoint that can send, and the limit on output tokens among its parameters (None: they set none)."""

    endpoint: Endpoint
    output_limit: int | None
    tenant: str | None = None


def output_limit(parameters: Mapping[str, Any]) -> int | None:
    """The limit on output tokens among an endpoint's inference parameters; None when they set none."""
    return next((parameters[name] for name in _OUTPUT_LIMITS if isinstance(parameters.get(name), int)), None)


def tenants_of(run: RunFile, shards: Iterable[Sequence[Prompt]]) -> set[str]:
    """The tenants whose requests a worker may send: those of its prompts; all of the run's where a locustfile names
    them as it goes, and of a trace, whose rows of a lost worker it may be given."""
    if run.load.trace is not None or any(spec.scripted for spec in run.prompts):
        return {tenant.name for tenant in run.tenants}
    return {prompt.tenant for shard in shards for prompt in shard if prompt.tenant is not None}


class Senders:
    """Every form of an endpoint that the run's requests need, built before the load.

    `tenants`: those whose prompts this worker may be dealt. `built` makes an endpoint of its entry. Raises FmloadError
    for one that cannot be built here.
    """

    def __init__(self, run: RunFile, tenants: Iterable[str], built: Callable[[EndpointSpec], Endpoint]) -> None:
        specs = {spec.name: spec for spec in run.endpoints}
        self._of_components = [one.tenant for one in run.load.mix or ()]
        known = {tenant.name: tenant.model_dump(mode="json", exclude_none=True) for tenant in run.tenants}
        self._known = frozenset(known)
        self._made: dict[Key, Sender] = {
            (name, None, None): Sender(built(spec), output_limit(spec.parameters)) for name, spec in specs.items()}
        named = sorted({*tenants, *filter(None, self._of_components)} & known.keys())
        for (name, component), spec in _forms(run, specs).items():
            if component is not None and (run.load.mix or ())[component].parameters:
                self._made[name, component, None] = Sender(built(spec), output_limit(spec.parameters))
            for tenant in named:
                own = _of_tenant(spec, known[tenant])
                self._made[name, component, tenant] = Sender(built(own), output_limit(own.parameters), tenant)

    @property
    def plain(self) -> dict[str, Endpoint]:
        """The endpoints by name, as the run file has them."""
        return {name: one.endpoint for (name, component, tenant), one in self._made.items()
                if component is None and tenant is None}

    def further(self) -> Iterator[Sender]:
        """Those of components and tenants."""
        return (one for (_, component, tenant), one in self._made.items() if (component, tenant) != (None, None))

    def tenant_of(self, prompt: Prompt, component: int | None) -> str | None:
        """Whose request a prompt makes: its own tenant, else that of its component."""
        if prompt.tenant is not None or component is None:
            return prompt.tenant
        return self._of_components[component] if component < len(self._of_components) else None

    def of(self, endpoint: str, component: int | None, tenant: str | None) -> Sender:
        """With what a request is sent. A run that names no tenants has them as labels alone; else raises FmloadError
        for one that it does not have."""
        if tenant is not None and self._known and tenant not in self._known:
            raise FmloadError(unknown(tenant, sorted(self._known)))
        found = self._made.get((endpoint, component, tenant)) or self._made.get((endpoint, component, None))
        return found or self._made[endpoint, None, None]


def _forms(run: RunFile, specs: Mapping[str, EndpointSpec]) -> dict[tuple[str, int | None], EndpointSpec]:
    """Each endpoint as it is sent to: by component of the mix, where there is one."""
    if run.load.mix is None:
        return {(name, None): spec for name, spec in specs.items()}
    return {(one.endpoint, place): _with_parameters(specs[one.endpoint], one.parameters)
            for place, one in enumerate(run.load.mix)}


def _with_parameters(spec: EndpointSpec, parameters: Mapping[str, Any]) -> EndpointSpec:
    return spec.model_copy(update={"parameters": {**spec.parameters, **parameters}}) if parameters else spec


def _of_tenant(spec: EndpointSpec, tenant: Mapping[str, Any]) -> EndpointSpec:
    """The endpoint as a tenant has it: read anew, as its protocol's own keys may change, too."""
    entry = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return EndpointSpec.model_validate(as_tenant(entry, tenant))
