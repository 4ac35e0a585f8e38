"""Tenants: those who share an endpoint, each with a model, headers, a priority, a tier and objectives of its own.

A tenant's requests go through its own form of the endpoint: the entry of the run file, with what the tenant says over
it. Nothing else knows what a tenant may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fmload.base.registry import did_you_mean
from fmload.config import http_rules, objectives
from fmload.config.model import Rule, key_names, options_model
from fmload.config.objectives import Objective, parse_objectives
from fmload.plugins import ENDPOINTS

TIER = "service_tier"
_HOURLY = ("instance_type", "hourly")
_NO_PRIORITY = ("bedrock", "gemini", "tgi", "ollama", "triton")  # their servers know no such field


def as_tenant(entry: Mapping[str, Any], tenant: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint's entry of the run file, as one of the tenants has it. Both as plain values; absent keys are None or
    missing."""
    own = {name.lower() for name in tenant.get("headers") or {}}
    headers = {name: value for name, value in (entry.get("headers") or {}).items() if name.lower() not in own}
    parameters = {**(entry.get("parameters") or {}), **(tenant.get("parameters") or {})}
    changed = {**entry, "headers": {**headers, **(tenant.get("headers") or {})}}
    if tenant.get("model") is not None:
        changed["model"] = tenant["model"]
    if tenant.get("priority") is not None:
        parameters["priority"] = tenant["priority"]
    if tenant.get(TIER) is not None:
        (changed if has_tiers(entry.get("protocol")) else parameters)[TIER] = tenant[TIER]
    return {**changed, "parameters": parameters}


def has_tiers(protocol: Any) -> bool:
    """Whether a protocol has a key of its own for the tier; elsewhere it is a parameter of the request's body."""
    return protocol in ENDPOINTS and TIER in key_names(options_model(ENDPOINTS, protocol))


def priced_as(entry: Mapping[str, Any], tenant: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entry by which a tenant's tokens are priced. None where the price in numbers that the endpoint has is of
    another tier than the tenant's."""
    changed = as_tenant(entry, tenant)
    price = dict(entry.get("price") or {})
    if tenant.get("price"):
        return {**changed, "price": tenant["price"]}
    if tenant.get(TIER) is not None and tenant[TIER] != (price.get("tier") or tier_of(entry)):
        if price.get("output_per_1m") is not None:
            return None
        price.pop("tier", None)
        changed[TIER] = tenant[TIER]
    return {**changed, "price": price} if entry.get("price") else changed


def tier_of(entry: Mapping[str, Any]) -> Any:
    """The tier that an endpoint asks for; None: none."""
    return entry.get(TIER) or (entry.get("parameters") or {}).get(TIER)


def objectives_of(tenant: Mapping[str, Any], of_run: Mapping[str, Any] | None) -> tuple[Objective, ...]:
    """What a tenant's requests are judged by: its own objectives; those of the run where it has none."""
    return parse_objectives(tenant.get("objectives") or of_run or {})


def broken(given: Mapping[str, Any]) -> Iterator[Rule]:
    """What is wrong with one tenant, whoever else there is."""
    if isinstance(given.get("headers"), Mapping):
        for name, wrong in http_rules.wrong_headers(given["headers"]):
            yield ("headers", name), wrong
    if isinstance(given.get("parameters"), Mapping):
        for key in ("priority", TIER):
            if given.get(key) is not None and key in given["parameters"]:
                yield ("parameters", key), f"stands beside '{key}' of the tenant; give one of them"
    if isinstance(given.get("objectives"), Mapping):
        yield from _wrong_objectives(given["objectives"])
    price = given.get("price")
    for key in _HOURLY if isinstance(price, Mapping) else ():
        if _key(price, key) is not None:
            yield ("price", key), "a tenant's price is that of its tokens: give input_per_1m and output_per_1m"


def _wrong_objectives(given: Mapping[str, Any]) -> Iterator[Rule]:
    for name, wrong in objectives.broken(given):
        yield ("objectives", name), wrong
    sound = {name: limit for name, limit in given.items() if not next(objectives.broken({name: limit}), None)}
    for one in parse_objectives(sound):
        if one.level in ("token", "session"):
            yield ("objectives", one.name), (
                f"is a limit on {one.level}s, which are not told apart by tenant; give one on requests, such as "
                f"{'tpot_p95' if one.level == 'token' else 'e2e_p95'}")


def strangers(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Tenants that components and prompt sets name, and that the run does not have."""
    known = [name for one in _listed(given.get("tenants")) if isinstance(name := _key(one, "name"), str)]
    for index, one in enumerate(_listed(_key(given.get("load"), "mix"))):
        name = _key(one, "tenant")
        if isinstance(name, str) and name not in known:
            yield ("load", "mix", index, "tenant"), unknown(name, known)
    for index, one in enumerate(_listed(given.get("prompts"))):
        named = _key(one, "tenants")
        for name in [named] if isinstance(named, str) else named if isinstance(named, Mapping) else ():
            if name not in known:
                yield ("prompts", index, "tenants"), unknown(str(name), known)


def unknown(name: str, known: list[str]) -> str:
    """What is told of a name that no tenant has."""
    return f"no tenant of this run is named '{name}'{did_you_mean(name, known)}; name it under tenants"


def unfit(given: Mapping[str, Any]) -> Iterator[Rule]:
    """What tenants have that the run's endpoints or its load do not go with."""
    for index, one in enumerate(_listed(given.get("tenants"))):
        for endpoint in _listed(given.get("endpoints")) if _key(one, "priority") is not None else ():
            if _key(endpoint, "protocol") in _NO_PRIORITY:
                yield ("tenants", index, "priority"), (
                    f"endpoint '{_key(endpoint, 'name')}' (protocol {_key(endpoint, 'protocol')}) takes no priority; "
                    "leave it out, or give a service_tier")
        if _key(one, "objectives") and _key(given.get("load"), "find") is not None:
            yield ("tenants", index, "objectives"), (
                "a search goes by the objectives of all requests together; leave these out, or give levels")


def _listed(entries: object) -> list[Any]:
    return entries if isinstance(entries, list) else []


def _key(entry: object, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)
