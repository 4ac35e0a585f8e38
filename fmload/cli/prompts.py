"""`fmload prompts`: prepare the prompt sets of a run file, and show their lengths."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from fmload import config
from fmload.base.errors import EXIT_OK
from fmload.config.schema import PromptSpec, RunFile
from fmload.model.prompt import Prompt
from fmload.prompts import prepare, read
from fmload.prompts.aligned import difference
from fmload.prompts.checking import check
from fmload.prompts.store import counted_by, prompts_for
from fmload.prompts.tokenizer import Tokenizer

_BINS = 12
_BAR_WIDTH = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("config", metavar="CONFIG", help="a run file, or the name of one that ships")
    parser.add_argument("--out", type=Path, default=Path("prompts"), metavar="DIR", help="folder for <set>.jsonl")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="replace a key of the run file (repeatable)")


def run(args: argparse.Namespace) -> int:
    """Write the sets and print a histogram of each."""
    path = config.find(args.config)
    run_file = config.load(path, args.set)
    check(run_file, path, args.set)
    console = Console(highlight=False)
    with progress_bars() as bars:
        paths = prepare(run_file, args.out, Bars(bars))
    for spec in run_file.prompts:
        prompts = read(paths[spec.name])
        _print_set(console, spec.name, paths[spec.name], prompts)
        for told in remarks(run_file, spec, prompts):
            console.print(told, soft_wrap=True)
    return EXIT_OK


def remarks(run_file: RunFile, spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    """What is to be known of a prepared set: that it is smaller than asked for, and how tokenizers differ."""
    return [*_shortage(spec, prompts), *alignments(run_file, spec, prompts)]


def _shortage(spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    made = Counter(prompt.tokenizer for prompt in prompts)
    return [f"{number:,} prompts under the tokenizer {name}, not the {spec.count:,} of count: no more differ and pass "
            "the filter" for name, number in made.items() if spec.count is not None and number < spec.count]


def alignments(run_file: RunFile, spec: PromptSpec, prompts: Sequence[Prompt]) -> list[str]:
    """For every endpoint with `align: server`: what its server and its tokenizer count."""
    return [f"{endpoint.name}: {difference(spec, mine, Tokenizer.load(endpoint.tokenizer))}"
            for endpoint in run_file.endpoints if counted_by(endpoint) != endpoint.tokenizer
            if (mine := prompts_for(prompts, counted_by(endpoint)))]


def progress_bars() -> Progress:
    """A bar for each prompt set, on stderr, gone when all is done."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                    console=Console(stderr=True), transient=True)


class Bars:
    """A progress bar for each set, made when its first news comes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)


def _print_set(console: Console, name: str, path: Path, prompts: Sequence[Prompt]) -> None:
    for tokenizer in dict.fromkeys(prompt.tokenizer for prompt in prompts):
        mine = [prompt for prompt in prompts if prompt.tokenizer == tokenizer]
        console.print(f"\n[bold]{name}[/bold]: {len(mine):,} prompts under the tokenizer {tokenizer}, in {path}")
        console.print(histogram("input tokens", [prompt.input_tokens or 0 for prompt in mine]))
        asked = [prompt.output_tokens for prompt in mine if prompt.output_tokens is not None]
        if asked:
            console.print(histogram("output tokens asked for", asked))


def histogram(title: str, lengths: Sequence[int]) -> Table:
    """Lengths in up to 12 classes of equal width, with a bar for each; mean and extremes in the title."""
    least, most = min(lengths), max(lengths)
    width = max(1, -(-(most - least + 1) // _BINS))
    counts = [0] * ((most - least) // width + 1)
    for length in lengths:
        counts[(length - least) // width] += 1
    span = f"{title}: mean {sum(lengths) / len(lengths):,.1f}, {least:,} to {most:,}"
    table = Table("tokens", "prompts", "", title=span, title_justify="left", box=None)
    for index, count in enumerate(counts):
        low = least + index * width
        label = f"{low:,}" if width == 1 else f"{low:,}–{low + width - 1:,}"
        table.add_row(label, f"{count:,}", "█" * round(_BAR_WIDTH * count / max(counts)))
    return table
