"""The same conversations by AIPerf's and GuideLLM's multi-turn modes and by fmload, compared by the server's own log.

    python -m tests.bench peers --install DIR --only aiperf,guidellm     # in environments of their own
    python -m tests.bench.sessions_beside --tools DIR                    # two minutes

All get the same questions, in a file of the form that each reads, and send each conversation once to the emulator,
which logs what every request held. Prints what each sent: conversations, requests, how many at a time, and by turn the
messages, their roles, the tokens, and whether they are the questions of the file and the answers that the server gave.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fmload.emulator import truth
from fmload.emulator.truth import Truth
from fmload.model.request_id import is_trial
from tests.bench.peers.install import programs_of, version
from tests.bench.peers.servers import Server, emulated, served
from tests.bench.peers.tool import Place, Tool
from tests.bench.peers.tools import aiperf as aiperf_tool
from tests.bench.peers.tools import guidellm as guidellm_tool
from tests.bench.peers.tools import ours

CONVERSATIONS, TURNS, AT_A_TIME, ANSWER_TOKENS = 12, 4, 3, 12
SERVER = ("--ttft", "40ms", "--gap", "4ms", "--truth-texts")
_WORDS = ("river", "price", "winter", "engine", "letter", "market", "garden", "signal", "paper", "window")

Talks = Sequence[Sequence[str]]  # the questions of each conversation


def questions(seed: int = 1) -> Talks:
    """Conversations of questions of different lengths, no two alike."""
    draw = random.Random(seed)
    return [[f"{talk}.{turn}: " + " ".join(draw.choices(_WORDS, k=draw.randint(8, 40))) for turn in range(TURNS)]
            for talk in range(CONVERSATIONS)]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one tool sent as the same turn of all conversations. `served`: of the answers that it repeated, how many
    are those that the server gave; `asked`: of its questions, how many are those of the file."""

    requests: int
    roles: tuple[str, ...]  # of the messages, where all requests had the same
    tokens: float
    repeated: int
    served: int
    asked: int


def turns_of(sent: Sequence[Truth], talks: Talks) -> list[Turn]:
    """The requests of a log by the turn of their conversation, which the first question tells."""
    by_talk: dict[str, list[Truth]] = {}
    for one in sorted(sent, key=lambda one: one.received_ns):
        by_talk.setdefault((one.asked or [""])[0], []).append(one)
    known = {talk[0]: talk for talk in talks}
    return [_turn(number, {first: found for first, found in by_talk.items() if len(found) > number}, known)
            for number in range(max(map(len, by_talk.values()), default=0))]


def _turn(number: int, by_talk: dict[str, list[Truth]], known: dict[str, Sequence[str]]) -> Turn:
    mine = [found[number] for found in by_talk.values()]
    roles = {tuple(one.roles or ()) for one in mine}
    repeated = served = asked = 0
    for first, found in by_talk.items():
        texts = found[number].asked or []
        repeated += len(texts) // 2
        served += sum(said == before.said for said, before in zip(texts[1::2], found, strict=False))
        asked += texts[0::2] == list(known.get(first, ()))[:number + 1]
    return Turn(len(mine), roles.pop() if len(roles) == 1 else ("not alike",),
                sum(one.input_tokens for one in mine) / len(mine), repeated, served, asked)


def aiperf(place: Place, talks: Talks) -> Sequence[str]:
    """`aiperf profile` on a data set of conversations of several turns."""
    path = place.folder / "talks.jsonl"
    path.write_text("".join(json.dumps({"session_id": f"s{number}", "turns": [{"text": text} for text in talk]}) + "\n"
                            for number, talk in enumerate(talks)))
    return [*aiperf_tool.profile(place, AT_A_TIME), "--custom-dataset-type", "multi_turn", "--input-file", str(path),
            "--conversation-num", str(len(talks)), "--extra-inputs", f"max_completion_tokens:{ANSWER_TOKENS}"]


def guidellm(place: Place, talks: Talks) -> Sequence[str]:
    """`guidellm run` on a table of conversations with a column a turn."""
    path = place.folder / "talks.jsonl"
    path.write_text("".join(json.dumps({f"prompt_{turn}": text for turn, text in enumerate(talk)}
                                       | {f"output_tokens_count_{turn}": ANSWER_TOKENS for turn in range(len(talk))})
                            + "\n" for talk in talks))
    return guidellm_tool.run(place, AT_A_TIME, sum(map(len, talks)), f"kind=json_file,path={path}")


def fmload(place: Place, talks: Talks) -> Sequence[str]:
    """`fmload run` on ShareGPT's form, each turn with the answers that the server gave."""
    path = place.folder / "talks.json"
    path.write_text(json.dumps([{"id": f"s{number}", "conversations": [
        said for text in talk for said in ({"from": "human", "value": text}, {"from": "gpt", "value": "none"})]}
        for number, talk in enumerate(talks)]))
    run = place.folder / "run.yml"
    run.write_text(yaml.safe_dump({
        "name": "beside", "endpoints": [{"name": "server", "protocol": "openai", "url": f"{place.url}/v1",
                                         "model": place.model}],
        "prompts": [{"name": "talks", "source": "sharegpt", "files": [str(path)], "turns": TURNS, "answers": "served",
                     "answer_lengths": False, "output_tokens": ANSWER_TOKENS, "exact_output": True}],
        "load": {"concurrency": [AT_A_TIME], "requests": {"exactly": len(talks) * TURNS}, "ramp": 0, "trial": False}}))
    return [sys.executable, "-m", "fmload", "run", str(run), "--out", str(place.folder / "out")]


Command = Callable[[Place, Talks], Sequence[str]]
TOOLS: Sequence[tuple[Tool, Command]] = ((aiperf_tool.TOOL, aiperf), (guidellm_tool.TOOL, guidellm),
                                         (ours.TOOL, fmload))


def main(argv: Sequence[str] | None = None) -> int:
    """The loads on the same server, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sessions_beside", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=Path, default=Path(".peers"), metavar="DIR", help="the tools' environments")
    where = parser.parse_args(argv).tools.absolute()
    versions = {tool.package: version(tool, where) for tool, _ in TOOLS}
    if missing := [package for package, found in versions.items() if found is None]:
        print(f"{where}: {', '.join(missing)} not there: python -m tests.bench peers --install DIR --only "
              f"{','.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="fmload-beside-") as name, emulated(Path(name), SERVER) as server:
        for tool, command in TOOLS:
            print(f"\n{tool.package} {versions[tool.package]}", end=" ", flush=True)
            _send(tool, command, server, programs_of(tool, where), Path(name))
    return 0


def _send(tool: Tool, command: Command, server: Server, programs: Path, folder: Path) -> None:
    (own := folder / tool.package).mkdir()
    place, talks = Place(server.url, server.model, server.tokenizer, server.counts, programs, own), questions()
    before = len(_log(folder))
    done = subprocess.run(command(place, talks), cwd=own, capture_output=True, text=True, check=False,
                          env={**os.environ, **tool.environment})
    _tell(done.returncode, _log(folder)[before:], talks)
    if done.returncode not in (0, 4):  # 4: the audit of a run on a busy machine
        print(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _log(folder: Path) -> list[Truth]:
    return [one for one in truth.read(folder / "emulator.truth") if not is_trial(one.request_id)]


def _tell(code: int, sent: Sequence[Truth], talks: Talks) -> None:
    whole, done = [one for one in sent if one.outcome == "ok"], served(sent)
    print(f"(exit {code}): {len(sent)} requests, {len(whole)} answered with {done.tokens} tokens, "
          f"{done.in_flight} at a time; asked for {len(talks)} conversations of {TURNS} turns, {AT_A_TIME} at a time")
    print(f"{'turn':>4}{'requests':>10}{'tokens':>9}{'questions of the file':>23}{'answers of the server':>23}  roles")
    for number, turn in enumerate(turns_of(whole, talks)):
        roles = " ".join(role[0] for role in turn.roles)
        print(f"{number + 1:>4}{turn.requests:>10}{turn.tokens:>9.1f}{turn.asked:>15} of {turn.requests:<4}"
              f"{turn.served:>15} of {turn.repeated:<4}  {roles}")


if __name__ == "__main__":
    sys.exit(main())
