"""Why a model server did not start: what its last words mean, and where they are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fmload.base.errors import FmloadError

_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Cause:
    """A known end of a start: what it means, and what helps."""

    meaning: str
    remedy: str


# Lines after which no server of the table's containers has ever come up. The first that occurs decides.
_CAUSES: tuple[tuple[str, Cause], ...] = (
    (r"GatedRepoError|gated repo|Access to model \S+ is restricted|(401|403) Client Error", Cause(
        "the weights may not be fetched: the model is gated, or the token is missing or wrong",
        "accept the model's licence on its page, and give a token of that account (hf_token_secret, hf_token_env)")),
    (r"RepositoryNotFoundError|is not a valid model identifier", Cause(
        "there is no model of that name", "check model: (or model_id:) letter by letter")),
    (r"CUDA out of memory|OutOfMemoryError|HIP out of memory|NRT_RESOURCE|Failed to allocate .*HBM", Cause(
        "the accelerator's memory does not hold it",
        "a larger instance or tensor_parallel, or a smaller max_model_len (fmload deploy check --offline)")),
    (r"larger than the maximum number of tokens that can be stored in (the )?KV|No available memory for the cache",
     Cause("no memory is left for the KV cache", "a smaller max_model_len, or a larger tensor_parallel")),
    (r"No space left on device", Cause("the disk is full", "a larger volume_gib")),
    (r"driver version is insufficient|forward compatibility was attempted|unsupported display driver", Cause(
        "the host's driver is older than the image's CUDA",
        "inference_ami: (SageMaker) or ami: (EC2) of a newer driver")),
    (r"unrecognized arguments|error: argument |no such option", Cause(
        "the container does not know an argument", "compare args: and env: with the container's own help")),
    (r"exec format error|no matching manifest", Cause(
        "the image is for another processor", "an image for this instance type")),
    (r"neuronx-cc .*(terminated|failed)|Compilation failed|ERROR:neuron.*[Cc]ompil", Cause(
        "the Neuron compiler did not finish", "precompiled artefacts (docs/deploy.md), or a host with more memory")),
    (r"pull access denied|manifest unknown|CannotPullContainer|repository .* not found", Cause(
        "the image cannot be pulled", "check image: and, for a private registry, the role's permissions")),
)


def known_cause(log: str) -> Cause | None:
    """What the log's words mean; None when none of them is known."""
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, log)), None)


def failed_start(what: str, reason: str, logs: Mapping[str, str], folder: Path) -> FmloadError:
    """The error of a failed start: its logs are kept in `folder` by name, before anything is torn down."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for name, text in logs.items():
        if text.strip():
            (folder / name).write_text(text, encoding="utf-8")
            kept.append(str(folder / name))
    words = next((text for text in reversed(list(logs.values())) if text.strip()), "")
    cause = known_cause("\n".join([reason, *logs.values()]))
    tail = "".join(f"\n    {line.rstrip()}" for line in words.splitlines()[-_TAIL_LINES:])
    meaning = f" ({cause.meaning})" if cause else ""
    return FmloadError(f"{what}: {reason or 'it failed, without a reason'}{meaning}{tail}",
                       hint="; ".join([*([cause.remedy] if cause else []),
                                       f"whole logs: {', '.join(kept)}" if kept else "there are no logs"]))
