"""The two servers that know the truth: the emulator with its log, and llama.cpp with its own timings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fmload.prompts
from fmload.emulator import truth
from tests.bench.peers.errors import Answer, answers_of, in_flight
from tests.integration import random_llama
from tests.load_rig import emulator
from tests.vllm_check import write_model

BUNDLED = Path(fmload.prompts.__file__).parent / "data" / "tokenizer.json"
SERVE_LLAMA = Path(__file__).parents[2] / "integration" / "serve_llama.py"


@dataclass(frozen=True, slots=True)
class Served:
    """What the server did during one load. `span_ns`: first byte received and last token sent, None where untold."""

    answers: Sequence[Answer]
    others: int  # requests that did not get a whole answer
    tokens: int
    input_tokens: float
    in_flight: int | None
    span_ns: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its address, its model's name, the folder of its tokenizer, whether it counts a text when it
    is asked as vLLM is, and what it has served since the last time that it was asked."""

    url: str
    model: str
    tokenizer: Path
    counts: bool
    pid: int
    served: Callable[[], Served]


@contextmanager
def emulated(folder: Path, options: Sequence[str]) -> Iterator[Server]:
    """The emulator; its tokenizer is the bundled one."""
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    shutil.copy(BUNDLED, tokenizer / "tokenizer.json")
    (tokenizer / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    with emulator(folder, *options) as server:
        tail = Tail(server.truth_log)
        yield Server(server.url, "emulated", tokenizer, True, server.process.pid, lambda: served(_truths(tail.more())))


class Tail:
    """What is appended to a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def more(self) -> bytes:
        """The bytes since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            new = file.read()
        self._at += len(new)
        return new


def _truths(log: bytes) -> list[truth.Truth]:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(log)
        return truth.read(file.name)


def served(truths: Sequence[truth.Truth]) -> Served:
    """The emulator's log of one load."""
    answered = [one for one in truths if one.outcome == "ok" and one.token_ns]
    spans = [(one.received_ns, one.token_ns[-1]) for one in answered]
    return Served(answers_of(truths), len(truths) - len(answered), sum(one.output_tokens for one in answered),
                  float(np.mean([one.input_tokens for one in answered])) if answered else 0.0,
                  in_flight(spans), (min(begin for begin, _ in spans), max(end for _, end in spans)) if spans else None)


_TIMING = re.compile(r"prompt eval time =\s*([\d.]+) ms /\s*(\d+) tokens.*?\n.*?eval time =\s*([\d.]+) ms /\s*(\d+)",
                     re.DOTALL)


def timings(log: str) -> Served:
    """What llama.cpp prints of each request: the prompt's time, which ends with the first token, and that of the rest.

    Its clock starts when a slot takes the request; waiting for a slot is in neither.
    """
    found = [(float(prompt), int(given), float(rest), int(made)) for prompt, given, rest, made in _TIMING.findall(log)]
    answers = [Answer(prompt / 1e3, None, rest / 1e3 / (made - 1) if made > 1 else None)
               for prompt, _, rest, made in found]
    return Served(answers, 0, sum(made for *_, made in found),
                  float(np.mean([given for _, given, _, _ in found])) if found else 0.0, None, None)


@contextmanager
def engine(folder: Path, slots: int) -> Iterator[Server]:
    """llama.cpp's own HTTP server with a random model, on one thread."""
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    write_model(tokenizer)
    random_llama.write(folder / "random.gguf", hidden=512, layers=6)
    command = [sys.executable, str(SERVE_LLAMA), str(folder / "random.gguf"), "--parallel", str(slots), "--context",
               str(1024 * slots)]
    log = folder / "engine.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removesuffix("/v1")
        if not url:
            raise SystemExit(f"the engine did not start:\n{log.read_text(errors='replace')[-2000:]}")
        tail = Tail(log)
        yield Server(url, "random", tokenizer, False, process.pid,
                     lambda: timings(tail.more().decode(errors="replace")))
    finally:
        process.kill()
        process.wait()


def pin(pid: int, core: int) -> None:
    """Every thread of a process onto one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})

