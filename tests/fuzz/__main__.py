"""`python -m tests.fuzz TARGET --inputs N`: coverage-guided by atheris where it is installed, else by mutation."""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType

from tests.fuzz.targets import TARGETS, Target

MAX_BYTES = 4096
_TOLD_EVERY_S = 30.0


def mutated(target: Target, chance: random.Random) -> Iterator[bytes]:
    """Inputs without end: seeds, cut, spliced, doubled and with the target's tokens in them."""
    pool = list(target.seeds)
    while True:
        data = bytearray(chance.choice(pool))
        for _ in range(1 + int(chance.expovariate(0.4))):
            _mutate(data, target, pool, chance)
        made = bytes(data[:MAX_BYTES])
        if chance.random() < 0.002:  # a few go on from where they are
            pool[len(target.seeds):] = [*pool[len(target.seeds):][-30:], made]
        yield made


def _mutate(data: bytearray, target: Target, pool: Sequence[bytes], chance: random.Random) -> None:
    at, to = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    match chance.randrange(7):
        case 0:
            data[at:at] = chance.choice(target.tokens)
        case 1:
            data[at:to] = chance.choice(target.tokens)
        case 2:
            del data[at:to]
        case 3 if data:
            data[at % len(data)] = chance.randrange(256)
        case 4:
            data[at:at] = data[at:to] * chance.choice((1, 1, 2, 8))
        case 5:
            data[at:] = chance.choice(pool)[chance.randint(0, 60):]
        case _:
            data[at:at] = chance.randbytes(chance.randint(0, 8))


def check(target: Target, data: bytes) -> None:
    """Run one input; raises what the target does not declare, with the input in the message."""
    try:
        target.run(data)
    except target.declared:
        pass
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} on {data!r}") from error


def fuzz(target: Target, inputs: int, seed: int) -> float:
    """Run so many mutated inputs; returns the seconds of CPU it took. Raises AssertionError with the first finding."""
    begun, told = time.process_time(), time.monotonic()
    for number, data in zip(range(inputs), mutated(target, random.Random(seed)), strict=False):
        check(target, data)
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            print(f"  {number} inputs", file=sys.stderr, flush=True)
    return time.process_time() - begun


_READERS = ("fmload.wire.", "fmload.endpoints.", "fmload.worker.measure", "fmload.worker.detail", "fmload.model.record",
            "tests.fuzz.targets")


def _read_by(target: Target) -> list[FunctionType]:
    """The functions whose branches guide the search: our own readers, not the libraries below them."""
    return [target.run, *(one for one in gc.get_objects() if isinstance(one, FunctionType)  # type: ignore[list-item]
                          and (one.__module__ or "").startswith(_READERS))]


def _escaped(token: bytes) -> str:
    """A token as libFuzzer's dictionaries write it."""
    return "".join(f"\\x{byte:02x}" for byte in token)


def guided(target: Target, inputs: int) -> bool:
    """Run atheris on the target; False where it is not installed. It ends the process when it is done."""
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    for function in _read_by(target):
        atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds, words = folder / "seeds", folder / "words"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds):
            (seeds / str(number)).write_bytes(seed)
        words.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens))
        # A finding is in its message whole; the files that libFuzzer writes beside it stay out of the repository.
        atheris.Setup([sys.argv[0], str(seeds), f"-runs={inputs}", f"-max_len={MAX_BYTES}", f"-dict={words}",
                       f"-artifact_prefix={folder}/"], lambda data: check(target, data))
        atheris.Fuzz()
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz one target or all of them, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by", choices=["atheris", "mutation"], help="default: atheris where it is installed")
    args = parser.parse_args(argv)
    for name in TARGETS if args.target == "all" else [args.target]:
        if args.by != "mutation" and guided(TARGETS[name], args.inputs):
            continue
        cpu_s = fuzz(TARGETS[name], args.inputs, args.seed)
        print(f"{name}: {args.inputs} inputs, no undeclared exception, {1e6 * cpu_s / args.inputs:.0f} µs each",
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
