"""`fmload prompts`: prepare the prompt sets of a run file, and show their lengths."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fmload import config
from fmload.base.errors import EXIT_OK
from fmload.launch.prompt_bars import Bars, progress_bars
from fmload.model.prompt import Prompt
from fmload.prompts import prepare, read
from fmload.prompts.checking import check
from fmload.prompts.remarks import remarks

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
