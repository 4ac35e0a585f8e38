"""Whose prompts a set holds: by the rows' own word, or drawn by weight for each prompt or session."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import orjson

from fmload.base.errors import FmloadError
from fmload.config.tenants import unknown

if TYPE_CHECKING:
    from fmload.config.schema import PromptSpec, RunFile


def belonging(content: bytes, run_file: RunFile, spec: PromptSpec) -> bytes:
    """The lines of a set with the tenant of each. What its row says goes before what is drawn; the turns of a
    conversation are of one tenant. Raises FmloadError for a tenant that the run does not have."""
    by_row = getattr(spec.options, "tenant_column", None) is not None
    if spec.tenants is None and not by_row:
        return content
    prompts = [orjson.loads(line) for line in content.splitlines()]
    if spec.tenants is not None:
        _draw(prompts, spec.tenants, f"{run_file.seed}/{spec.name}/tenants")
    known = [tenant.name for tenant in run_file.tenants]
    for prompt in prompts:
        if (name := prompt.get("tenant")) is not None and name not in known:
            raise FmloadError(f"prompt set '{spec.name}': tenant_column '{spec.options.tenant_column}': "
                              f"{unknown(str(name), known)}", hint="mend the row, or add the tenant to the run file")
    return b"".join(orjson.dumps(prompt, option=orjson.OPT_APPEND_NEWLINE) for prompt in prompts)


def _draw(prompts: list[dict[str, Any]], weights: dict[str, float], seed: str) -> None:
    """Independent draws, one a prompt or conversation, in their order: alike under every tokenizer."""
    draw = random.Random(seed)
    names = list(weights)
    drawn: dict[str, str] = {}
    for prompt in prompts:
        unit = prompt.get("conversation")
        if unit is None or unit not in drawn:
            name = draw.choices(names, list(weights.values()))[0]
            drawn[unit or prompt["id"]] = name
        prompt.setdefault("tenant", drawn[unit or prompt["id"]])
