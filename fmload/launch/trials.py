"""Trials of a search over stacks as processes: each is an ordinary `fmload run` in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from fmload.base.child import apart
from fmload.base.errors import EXIT_BUDGET, EXIT_DISK_FULL, EXIT_INTERRUPTED, FmloadError
from fmload.base.signals import interrupted_after
from fmload.config.schema import RunFile
from fmload.config.secrets import lift
from fmload.launch.processes import run_file_in_memory
from fmload.model.stack import Found, Trial
from fmload.plan.estimate import described, estimate, latency_s, prices_of, sizes_of
from fmload.plan.stages import plan
from fmload.pricing.table import load_prices
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload.search import planner
from fmload.stacks.candidates import Stack, trial_run
from fmload.stacks.driver import Cost
from fmload.stacks.strategy import Ask

TYPICAL = 0.6  # of the stages that a search for the highest load may take
AROUND_S = 6.0  # processes start, prompts are made, the report is written
POLL_S = 0.1
TAIL_LINES = 15
END_S = 900.0  # for a trial that was interrupted to take down what it stood up
_TOO_DEAR = "it was stopped: max_cost would have been passed"
_ERROR = re.compile(r"^error: ", re.MULTILINE)


Read = Callable[[Path], Found | None]  # None: nothing was measured


class Stood(Protocol):
    """See fmload_deploy.machines.Stood."""

    @property
    def machine(self) -> str: ...
    @property
    def reused(self) -> bool: ...
    @property
    def took_s(self) -> float: ...
    @property
    def run(self) -> RunFile | None: ...
    @property
    def error(self) -> FmloadError | None: ...


class Machines(Protocol):
    """Machines that trials take over from one another: fmload_deploy.machines.Machines."""

    def key_of(self, run: RunFile) -> str | None: ...
    def stand_up(self, run: RunFile, folder: Path) -> Stood: ...
    def hand_back(self, name: str) -> None: ...
    def interrupt(self, name: str | None = None) -> None: ...
    def spent_usd(self, name: str | None = None) -> float | None: ...
    def end(self) -> None: ...


@dataclass(slots=True)
class _Child:
    """A trial's run. `process` is None while its machine is being stood up, and of one that had ended before and was
    not written down; `thread` stands it up and waits for the process, which must not outlive it."""

    trial: Trial
    began_s: float
    log: Path
    left_usd: float | None = None
    process: subprocess.Popen[bytes] | None = None
    thread: threading.Thread | None = None
    stood: Stood | None = None
    crashed: BaseException | None = None
    too_dear: bool = False

    @property
    def ended(self) -> bool:
        if self.thread is not None:
            return not self.thread.is_alive()
        return self.process is None or self.process.poll() is not None


class Trials:
    """A bench of this host. `read` opens a trial's folder; `startup_s` is what standing a run up takes; `billed` says
    what was deployed in a trial's folder has cost in USD, from creation to deletion: start-ups that failed, too."""

    def __init__(self, root: Path, run: RunFile, stacks: Sequence[Stack], read: Read,
                 startup_s: Callable[[RunFile], float] = lambda _: 0.0,
                 billed: Callable[[Path], float | None] = lambda _: None, machines: Machines | None = None) -> None:
        self._billed, self._machines, self._ending = billed, machines, False
        self._keys: dict[str, str | None] = {}
        self._root, self._run, self._read, self._startup_s = root, run, read, startup_s
        self._stacks = {stack.candidate.name: stack for stack in stacks}
        self._children: list[_Child] = []
        self._settled: dict[str, float] = {}  # by machine, what its trials that are over have cost
        self._expected: dict[Ask, Cost] = {}

    def settled(self, trials: Sequence[Trial]) -> None:
        """What trials of an earlier process were charged for machines that may stand yet."""
        for trial in trials:
            if trial.over and "machine_usd" in trial.facts:
                name = trial.facts["machine"]
                self._settled[name] = self._settled.get(name, 0.0) + trial.facts["machine_usd"]

    def begin(self, trial: Trial, left_usd: float | None) -> None:
        """Start the trial's process, or go on with the run that its folder holds."""
        run = trial_run(self._run, self._stacks[trial.candidate], trial.share, left_usd, trial.near)
        folder = self._root / trial.folder
        log = folder / "logs" / "run.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        trial.started_utc = trial.started_utc or datetime.now(UTC).isoformat(timespec="seconds")
        begun = stage_file.exists(Results(folder))
        child = _Child(trial, time.monotonic(), log, left_usd)
        self._children.append(child)
        if begun and _is_whole(run, folder):
            return
        if self.machine_of(trial.candidate) is None:
            with interrupted_after():
                child.process = _started(run, folder, log, begun)
            return
        child.thread = threading.Thread(target=self._on_a_machine, args=(child, run, folder, begun), daemon=True)
        child.thread.start()

    def machine_of(self, candidate: str) -> str | None:
        """What the candidates have in common that one machine serves in turn."""
        if candidate not in self._keys:
            run = trial_run(self._run, self._stacks[candidate], 1.0, None)
            self._keys[candidate] = None if self._machines is None else self._machines.key_of(run)
        return self._keys[candidate]

    def _on_a_machine(self, child: _Child, run: RunFile, folder: Path, begun: bool) -> None:
        """Stand its endpoint up and see its process to the end, from a thread of its own."""
        assert self._machines is not None
        try:
            child.stood = stood = self._machines.stand_up(run, folder)
            if stood.run is None or self._ending:
                return
            spent = self._spent_usd(child) or 0.0
            left = None if child.left_usd is None else max(child.left_usd - spent, 1e-9)
            child.process = _started(stood.run.model_copy(update={"max_cost": left}), folder, child.log, begun)
            child.process.wait()
        except BaseException as error:
            child.crashed = error

    def _spent_usd(self, child: _Child) -> float | None:
        """What the child's machine has cost since the trial took it, or the trial before let go of it."""
        if self._machines is None or child.stood is None:
            return None
        spent, before = self._machines.spent_usd(child.stood.machine), self._settled.get(child.stood.machine, 0.0)
        return None if spent is None else max(0.0, spent - before)

    def _watch_bill(self, child: _Child) -> None:
        """Stop a trial whose machine costs more than it may, while it is being stood up, too."""
        if self._machines is None or child.thread is None or child.left_usd is None or child.too_dear:
            return
        if child.stood is not None:
            spent = self._spent_usd(child)
        elif (spent := self._machines.spent_usd()) is not None:  # of which machine is not known yet: all that is new
            spent -= sum(self._settled.values())
        if spent is None or spent <= child.left_usd:
            return
        child.too_dear = True
        if child.process is not None:
            child.process.send_signal(signal.SIGINT)
        else:
            self._machines.interrupt(child.stood.machine if child.stood else None)

    def wait(self) -> Trial:
        """The next trial that ends. Raises KeyboardInterrupt for one that was interrupted: it stays as running."""
        try:
            while True:
                for child in self._children:
                    if child.ended:
                        self._children.remove(child)
                        return self._ended(child)
                    self._watch_bill(child)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            self.end()
            raise

    def end(self) -> None:
        """Have all trials that run end in their own time, and take down what was stood up."""
        self._ending = True
        if self._machines is not None:
            self._machines.interrupt()
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGINT)
        limit = time.monotonic() + END_S
        for child in self._children:
            if child.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(1.0, limit - time.monotonic()))
            if child.thread is not None:
                child.thread.join(max(1.0, limit - time.monotonic()))
        if self._machines is not None:
            self._machines.end()

    def expected(self, ask: Ask) -> Cost:
        """By the lengths of its stages and the price of its endpoint, as they are written."""
        if ask not in self._expected:
            self._expected[ask] = expected_of(trial_run(self._run, self._stacks[ask.candidate], ask.share, None),
                                              self._startup_s)
        return self._expected[ask]

    def _ended(self, child: _Child) -> Trial:
        if child.crashed is not None:
            raise child.crashed
        code = child.process.returncode if child.process else 0
        usd = self._settle(child)
        if child.too_dear:
            code = EXIT_BUDGET
        if self._ending or code in (EXIT_INTERRUPTED, -signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        words = _text(child.log)
        if code == EXIT_DISK_FULL:
            raise FmloadError(_error(words) or "disk full", exit_code=EXIT_DISK_FULL)
        if child.stood is not None and child.stood.error is not None:
            return self._not_served(child, child.stood.error, usd)
        folder, took_s = self._root / child.trial.folder, _took_s(child, self._root / child.trial.folder)
        ended = self._result(child, code, words, folder, took_s)
        known = [one for one in (ended.usd, self._billed(folder), usd) if one is not None]
        return replace(ended, usd=max(known, default=None), facts={**ended.facts, **_of_machine(child, usd)})

    def _settle(self, child: _Child) -> float | None:
        """The machine is the next trial's; what it has cost until now is this one's."""
        if self._machines is None or child.stood is None:
            return None
        usd = self._spent_usd(child)
        self._settled[child.stood.machine] = self._settled.get(child.stood.machine, 0.0) + (usd or 0.0)
        self._machines.hand_back(child.stood.machine)
        return usd

    def _not_served(self, child: _Child, error: FmloadError, usd: float | None) -> Trial:
        """A candidate whose endpoint never came up."""
        if error.exit_code == EXIT_INTERRUPTED and not child.too_dear:
            raise KeyboardInterrupt
        reason, _, words = (_TOO_DEAR if child.too_dear else error.message).partition("\n")
        return replace(child.trial, status="failed", took_s=_took_s(child, self._root / child.trial.folder), usd=usd,
                       reason=reason, words="\n".join(line.strip() for line in words.splitlines()[-TAIL_LINES:]),
                       facts=_of_machine(child, usd))

    def _result(self, child: _Child, code: int, words: str, folder: Path, took_s: float) -> Trial:
        found = self._read(folder)
        if found is None and code == EXIT_BUDGET:
            return replace(child.trial, status="failed", took_s=took_s, reason=_TOO_DEAR)
        if found is None:
            reason = _error(words) or f"fmload run ended with code {code}"
            return replace(child.trial, status="failed", took_s=took_s, reason=reason.splitlines()[0],
                           words=_last_words(reason, folder, child))
        if code == EXIT_BUDGET:
            return replace(child.trial, status="failed", took_s=took_s, usd=found.usd, facts=found.facts,
                           measured_s=found.measured_s, reason=_TOO_DEAR)
        return replace(child.trial, status=found.status, figure=found.figure, reason=found.reason, facts=found.facts,
                       measured_s=found.measured_s, usd=found.usd, took_s=took_s,
                       words=_last_words("", folder, child) if found.status == "failed" else "")


def _of_machine(child: _Child, usd: float | None) -> dict[str, Any]:
    """For the report: which machine served it, whether it stood already, and how long it took until it served."""
    if child.stood is None:
        return {}
    return {"machine": child.stood.machine, "reused": child.stood.reused, "ready_s": child.stood.took_s,
            "served": child.stood.error is None, "machine_usd": usd or 0.0}


def expected_of(run: RunFile, startup_s: Callable[[RunFile], float]) -> Cost:
    """What a trial will probably take: stages of the length of their windows, fewer than a search may come to."""
    return _cost(run, startup_s, TYPICAL, 1)


def most_of(run: RunFile, startup_s: Callable[[RunFile], float]) -> Cost:
    """What it takes at most: as many stages as its search can come to, each extended as far as it may be."""
    return _cost(run, startup_s, 1.0, run.load.find.extend if run.load.find is not None else 1)


def _cost(run: RunFile, startup_s: Callable[[RunFile], float], of_most: float, extend: int) -> Cost:
    stages, prompts = plan(run), described(run)
    most = planner.at_most(run, stages)
    count = max(1.0, most * of_most) if run.load.find is not None else float(len(stages))
    price = prices_of(run, load_prices(Path(run.prices) if run.prices else None))
    found = estimate(run, stages, prompts, price)
    size = sizes_of(prompts, run.endpoints[0])[stages[0].prompt_set]
    windows_s = sum((stage.window_s or 0.0) * (extend - 1) for stage in stages)
    stages_s = (found.endpoints[0].hours * 3600 + windows_s + latency_s(size)) / len(stages) * count
    usd = None
    if (known := found.endpoints[0].usd) is not None:
        usd = known / max(found.endpoints[0].hours * 3600, 1e-9) * (
            stages_s + (0.0 if found.endpoints[0].by_token else startup_s(run)))
    return Cost(stages_s + startup_s(run) + AROUND_S, usd)


def _started(run: RunFile, folder: Path, log: Path, resume: bool) -> subprocess.Popen[bytes]:
    lifted, secrets = lift(run)
    with run_file_in_memory(lifted) as run_file, log.open("ab") as output:
        command = [sys.executable, "-P", "-m", "fmload", "run", f"/dev/fd/{run_file}", "--out", str(folder), "--yes",
                   *(["--resume"] if resume else [])]
        return subprocess.Popen(command, env={**os.environ, **secrets}, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, pass_fds=[run_file], **apart())


def _is_whole(run: RunFile, folder: Path) -> bool:
    """Whether the run has ended by itself, and left nothing standing."""
    told = stage_file.read(Results(folder)).stages
    if any(stage.status in ("pending", "running", "interrupted") for stage in told) or planner.next_step(run, told):
        return False
    return not _standing(folder / "ledger.jsonl")


def _standing(ledger: Path) -> set[tuple[Any, ...]]:
    """What the ledger of a trial has created and not deleted."""
    up: set[tuple[Any, ...]] = set()
    for line in _text(ledger).splitlines():
        with suppress(ValueError, KeyError, TypeError):
            event: Mapping[str, Any] = json.loads(line)
            key = (event["kind"], event["name"], event["region"])
            up = up - {key} if event["event"] == "deleted" else up | {key}
    return up


def _took_s(child: _Child, folder: Path) -> float:
    """Since its start; of one that was broken off and gone on with, the parts together."""
    return child.trial.took_s + time.monotonic() - child.began_s if child.process or child.thread else max(
        child.trial.took_s, _written_s(folder, child.trial))


def _written_s(folder: Path, trial: Trial) -> float:
    """From its start to the last that its run wrote, where nobody was there to see it end."""
    with suppress(OSError, ValueError):
        began = datetime.fromisoformat(trial.started_utc).timestamp()
        return max(0.0, Results(folder).stages_json.stat().st_mtime - began)
    return 0.0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _error(log: str) -> str:
    """What the run said of why it failed; empty when it did not."""
    found = list(_ERROR.finditer(log))
    return log[found[-1].end():].strip() if found else ""


def _last_words(reason: str, folder: Path, child: _Child) -> str:
    """The end of the server's log, else of what the run said."""
    server = folder / "logs" / f"{child.trial.candidate}.log"
    said = _text(server).strip() or reason or _text(child.log).strip()
    return "\n".join(said.splitlines()[-TAIL_LINES:])

