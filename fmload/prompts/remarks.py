"""What is worth saying of a prompt set once it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fmload.config.schema import PromptSpec, RunFile
from fmload.model.prompt import Prompt
from fmload.prompts import media
from fmload.prompts.aligned import difference
from fmload.prompts.store import counted_by, prompts_for
from fmload.prompts.tokenizer import Tokenizer


def remarks(run_file: RunFile, spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    """What is to be known of a prepared set: that it is smaller than asked for, how tokenizers differ, and
    what its images, sound and video take."""
    return [*_shortage(spec, prompts), *alignments(run_file, spec, prompts), *media.remarks(prompts)]


def _shortage(spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    made = Counter(prompt.tokenizer for prompt in prompts)
    return [f"{number:,} prompts under the tokenizer {name}, not the {spec.count:,} of count: no more differ and pass "
            "the filter" for name, number in made.items() if spec.count is not None and number < spec.count]


def alignments(run_file: RunFile, spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    """For every endpoint with `align: server`: what its server and its tokenizer count."""
    return [f"{endpoint.name}: {difference(spec, mine, Tokenizer.load(endpoint.tokenizer))}"
            for endpoint in run_file.endpoints if counted_by(endpoint) != endpoint.tokenizer
            if (mine := prompts_for(prompts, counted_by(endpoint)))]
