"""Settings of a serving engine over those of a profile: `--engine max_num_seqs=64,kv_blocks=2000`.

The names are vLLM's, so that a search over them reads as one over a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.emulator.profiles import Profile

BLOCK = 16  # tokens of a KV block
_WHOLE: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "max_num_seqs": lambda value: {"max_batch": value},
    "max_num_batched_tokens": lambda value: {"prefill_chunk_tokens": value},
    "kv_blocks": lambda value: {"kv_tokens": value * BLOCK},
    "copies": lambda value: {"copies": value},
}
NAMES = (*_WHOLE, "chunked_prefill", "scheduling_policy")
_POLICIES = ("fcfs", "priority")
DEFAULT_CHUNK = 2048


def changed(profile: Profile, text: str) -> Profile:
    """The profile with the settings of `name=value,…` over its own. Raises FmloadError naming the setting.

    `chunked_prefill=off` lets a prompt stop the decoding meanwhile; `on` has it ride on decode steps, so many tokens at
    a time as `max_num_batched_tokens` says, which alone means `on`. With `scheduling_policy=priority` the
    requests of the lowest `priority` go first.
    """
    given = dict(part.partition("=")[::2] for part in text.split(",") if part)
    if not given:
        return profile
    if profile.model is None:
        raise FmloadError(f"profile '{profile.name}' has no engine for --engine",
                          hint="choose one that imitates an engine")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name == "chunked_prefill":
            values |= _chunked(value, profile, values)
        elif name == "scheduling_policy":
            values["by_priority"] = _policy(value) == "priority"
        elif name in _WHOLE:
            values |= _WHOLE[name](_number(name, value))
        else:
            raise FmloadError(f"--engine: unknown setting '{name}'{did_you_mean(name, list(NAMES))}",
                              hint=f"known: {', '.join(NAMES)}")
    if given.get("chunked_prefill") == "off":
        values["prefill_chunk_tokens"] = None
    return profile.with_engine(**values)


def _chunked(value: str, profile: Profile, values: Mapping[str, Any]) -> dict[str, Any]:
    if value not in ("on", "off"):
        raise FmloadError(f"--engine chunked_prefill={value}: neither on nor off")
    assert profile.model is not None
    if value == "off" or "prefill_chunk_tokens" in values:
        return {}
    return {"prefill_chunk_tokens": profile.model.prefill_chunk_tokens or DEFAULT_CHUNK}


def _policy(value: str) -> str:
    if value not in _POLICIES:
        raise FmloadError(f"--engine scheduling_policy={value}: neither fcfs nor priority")
    return value


def _number(name: str, value: str) -> int:
    if not value.isdigit() or not int(value):
        raise FmloadError(f"--engine {name}={value}: not a whole number above 0", hint=f"for example {name}=64")
    return int(value)
