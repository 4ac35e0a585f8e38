"""Up, told, back and down: the life of a fleet, from its folder `results/fleets/NAME`."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fmload.base.errors import EXIT_INTERRUPTED, FmloadError
from fmload.base.redaction import protect
from fmload.base.signals import as_interrupts
from fmload.base.units import format_duration
from fmload.config.schema import RunFile
from fmload.protocol import admission
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload_deploy import teardown
from fmload_deploy.aws import Aws, Busy
from fmload_deploy.base import Context
from fmload_deploy.fleet import belongings, cost, delivery
from fmload_deploy.fleet.base import Fleet, FleetTarget, Told, target_is_here, target_of, told
from fmload_deploy.fleet.mailbox import RUN, STOP, TAKEN, Mailbox
from fmload_deploy.fleet.parcel import pack_run, unpack
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.wait import wait_for

STOP_LIMIT_S = 300.0  # requests in flight may end, records are collected
_LOOK_EVERY_S = 1.0
SILENT_S = 60.0
_NO_MASTER = "it was killed, and with it what it had not sent: fmload fleet down takes the rest down"
BROUGHT = "brought"  # lies in the fleet's folder once the results are here
_MISSED = 3  # looks in a row at which none of its hosts ran
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A fleet that was made, with what is known of it here."""

    fleet: Fleet
    context: Context

    @property
    def target(self) -> FleetTarget:
        return target_of(self.fleet, self.context)

    @property
    def up(self) -> bool:
        """Whether something of it may still exist."""
        return any(entry.up for entry in self.context.ledger.entries())

    @property
    def lease_left_s(self) -> float:
        """Seconds until its hosts end themselves; negative afterwards."""
        return (cost.lease_end(self.fleet, self.context.ledger) - datetime.now(UTC)).total_seconds()


def folder_of(root: Path, name: str) -> Path:
    """Where a fleet's ledger, mailbox and logs lie."""
    return root / "fleets" / name


def standing(root: Path, name: str, say: Say) -> Standing:
    """The fleet of that name. Raises FmloadError where there is none."""
    folder = folder_of(root, name)
    if not (folder / NAME).exists():
        known = ", ".join(one.name for one in (root / "fleets").glob("*") if (one / NAME).exists())
        raise FmloadError(f"there is no fleet '{name}' in {root / 'fleets'}",
                          hint=f"there: {known}" if known else "fmload fleet up CONFIG makes one")
    fleet = Fleet.read(folder)
    return Standing(fleet, _context(fleet, folder, Ledger.open(folder / NAME), say))


def all_standing(root: Path, say: Say) -> Iterator[Standing]:
    """Every fleet of which something may still exist, by name; of one whose files are damaged its error is told."""
    for path in sorted((root / "fleets").glob(f"*/{NAME}")):
        try:
            if (path.parent / "fleet.json").exists() and (found := standing(root, path.parent.name, say)).up:
                yield found
        except FmloadError as error:
            say(str(error))


def _context(fleet: Fleet, folder: Path, ledger: Ledger, say: Say, prices: str | None = None) -> Context:
    return Context(ledger, folder / "logs", Aws(), say, fleet.region, Path(prices) if prices else None, keep=True,
                   lease_s=fleet.lease_s)


def planned(fleet: Fleet, run: RunFile, say: Say) -> Context:
    """A context to plan with, which leaves no trace."""
    return _context(fleet, Path("none"), Ledger(Path("none") / NAME, fleet.name), say, run.prices)


def up(root: Path, fleet: Fleet, run: RunFile, results: Results, say: Say) -> Standing:
    """Make the fleet, and return once its workers have connected. Whatever fails, or interrupts, takes down what was
    made; the ledger has all of it before it exists, should this process be killed.

    Raises FmloadError when a fleet of that name may still exist.
    """
    folder = _new_folder(root, fleet.name)
    (folder / "logs").mkdir()
    fleet.write(folder)
    made = Standing(fleet, _context(fleet, folder, Ledger.begin(folder / NAME, f"fleet-{fleet.name}"), say, run.prices))
    with as_interrupts():
        try:
            travelling = {} if target_is_here(fleet.target) else belongings.files(run)
            pack_run(belongings.moved(run, travelling), results, folder / RUN)
            made.target.up(folder / RUN, {**_secrets(fleet), **belongings.texts(travelling)})
            (folder / RUN).unlink()
            cost.write(results, fleet, made.context.ledger, None)
            _await_workers(made)
        except BaseException:
            say("taking down what was made")
            _quietly_down(made)
            raise
    return made


def _new_folder(root: Path, name: str) -> Path:
    """A folder of its own; one whose fleet is gone is put aside, with its ledger. Raises as `refuse_taken`."""
    refuse_taken(root, name)
    folder = folder_of(root, name)
    try:
        if (folder / NAME).exists():
            folder.rename(folder.with_name(f"{name}.{time.time_ns()}"))
        folder.mkdir(parents=True)
    except (FileExistsError, FileNotFoundError) as error:  # another was quicker
        raise _being_made(folder) from error
    return folder


def refuse_taken(root: Path, name: str) -> None:
    """Raises FmloadError where a fleet of that name may still have something up, or another process is making it."""
    folder = folder_of(root, name)
    if (folder / NAME).exists():
        if any(entry.up for entry in Ledger.open(folder / NAME).entries()):
            raise FmloadError(f"fleet '{name}' is up already, or was not taken down wholly",
                              hint=f"fmload fleet status {name}, fmload fleet down {name}; or --name another")
    elif folder.exists():
        raise _being_made(folder)


def _being_made(folder: Path) -> FmloadError:
    return FmloadError(f"fleet '{folder.name}' is being made by another command", hint="or was when it was killed "
                       f"before anything existed: then remove {folder}, or --name another")


def _secrets(fleet: Fleet) -> dict[str, str]:
    """What the hosts must know and nobody else: the run's token, and the variables that the run file names."""
    secrets = {admission.TOKEN_VARIABLE: admission.made_token(),
               **{name: os.environ[name] for name in fleet.variables}}
    for value in secrets.values():
        protect(value)
    return secrets


def _await_workers(made: Standing) -> None:
    """Until the load may begin. Raises FmloadError with the reason where a host cannot start, or the run has failed."""
    target = made.target

    def look() -> bool | None:
        now = told(target.mailbox())
        if now is not None and now.phase == "ended" and now.exit_code == _USAGE:
            raise FmloadError(f"the run could not begin: {now.why}")
        if now is not None and (now.phase != "waiting" or now.connected >= made.fleet.workers):
            return True
        target.look()
        return None
    wait_for(f"fleet {made.fleet.name}: {made.fleet.workers} workers", look, made.context,
             made.fleet.start_timeout_s, target.look_every_s, hint=f"logs: {made.context.logs}")


_USAGE = 2


def follow(made: Standing) -> Told:
    """What the master said last, once its run has ended. Raises FmloadError when its lease is over before, when its
    hosts are gone, or when another command has taken it down."""
    said, missed, silence = "", 0, Silence()
    while True:
        now = _now(made)
        if silence.since(now):
            raise FmloadError(f"fleet {made.fleet.name}: its master has not been heard of for "
                              f"{format_duration(SILENT_S)}", hint=_NO_MASTER)
        if now is not None and now.phase == "ended":
            return now
        if now is not None and (words := _words(now)) != said:
            said = words
            made.context.say(f"fleet {made.fleet.name}: {words}")
        missed = 0 if _lives(made) else missed + 1
        if missed >= _MISSED:
            raise FmloadError(f"fleet {made.fleet.name}: its hosts are gone, and its run had not ended",
                              hint="its lease was over, or its provider took them: fmload fleet down brings what it "
                                   "has sent, and deletes the rest")
        if made.context.stop.wait(max(made.target.look_every_s, _LOOK_EVERY_S)):
            raise FmloadError("interrupted", exit_code=EXIT_INTERRUPTED)


class Silence:
    """Of a master whose run goes on: it says something every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._beat, self._at = clock, -1, 0.0

    def since(self, now: Told | None) -> bool:
        """Whether its last word is older than SILENT_S."""
        if now is None or now.beat == 0:  # it packs the results, or has no run yet
            self._beat = -1
        elif now.beat != self._beat:
            self._beat, self._at = now.beat, self._clock()
        return self._beat > 0 and self._clock() - self._at > SILENT_S


def _lives(made: Standing) -> bool:
    """Whether a host of it runs, as far as anybody says. Raises FmloadError when it was taken down."""
    if not made.up:
        raise FmloadError(f"fleet {made.fleet.name} was taken down by another command",
                          hint=f"what it measured is in {made.fleet.results}")
    try:
        return made.target.running()[0] > 0
    except Busy:
        return True


def _words(now: Told) -> str:
    lost = f", {now.lost} lost" if now.lost else ""
    return f"{now.phase}: {now.connected} workers connected{lost}" + (f", {now.stage} stages" if now.stage else "")


def _now(made: Standing) -> Told | None:
    """What it says, or None while it cannot be asked."""
    try:
        return told(made.target.mailbox())
    except Busy:
        return None


def bring_back(made: Standing) -> Results | None:
    """The results folder with what the fleet has put into its mailbox, and what the load has cost; None before. A
    second command waits for the first.

    Raises FmloadError where only a part of the results has come, which is kept for the next try.
    """
    folder, results, mailbox = folder_of_context(made), Results(Path(made.fleet.results)), made.target.mailbox()
    with _one_at_a_time(folder):
        if brought(made):
            return results
        parts = delivery.fetch(mailbox, folder / "parts")
        if parts is None:
            return None
        _refuse_another_run(folder, results)
        _unpacked(parts, folder / "results.tar", results)
        (folder / BROUGHT).write_text(made.fleet.results, encoding="utf-8")
        shutil.rmtree(folder / "parts")
    _told_of_it(made, mailbox)
    cost.write(results, made.fleet, made.context.ledger, _last_word(made))
    return results


def _refuse_another_run(folder: Path, results: Results) -> None:
    """Raises FmloadError where the results folder has been used for another run since the fleet was made."""
    begun = folder / "begun"  # lies there once these results are being unpacked
    if not begun.exists() and not (folder / BROUGHT).exists() and stage_file.exists(results):
        raise FmloadError(f"{results.root} holds another run meanwhile",
                          hint=f"move that one away: mv {results.root} ELSEWHERE; the same command tries again")
    begun.touch()


def _unpacked(parts: Sequence[Path], tar: Path, results: Results) -> None:
    try:
        unpack(delivery.joined(parts, tar), results.create().root)
    except OSError as error:
        raise FmloadError(f"the results cannot be written to {results.root}: {error.strerror or error}",
                          hint=f"they are kept in {parts[0].parent}; the same command tries again") from error
    finally:
        tar.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _told_of_it(made: Standing, mailbox: Mailbox) -> None:
    try:
        mailbox.write(TAKEN, "yes")
    except FmloadError as error:  # the results are here; who waits to hear of it ends with the lease
        made.context.say(f"fleet {made.fleet.name} could not be told that its results are here: {error.message}")


def brought(made: Standing) -> bool:
    """Whether the results are here already, and nobody has removed them."""
    return (folder_of_context(made) / BROUGHT).exists() and Path(made.fleet.results, "run.yml").exists()


def folder_of_context(made: Standing) -> Path:
    """The fleet's folder."""
    return made.context.ledger.path.parent


def stop(made: Standing) -> None:
    """Ask a run that goes on to end in order, and wait for its results; what does not answer is not waited for."""
    mailbox, now = made.target.mailbox(), _now(made)
    if now is None or now.phase == "ended":
        return
    if made.target.running()[0] == 0:
        return
    made.context.say(f"fleet {made.fleet.name}: its run ends; requests in flight may end, records are kept")
    mailbox.write(STOP, "yes")
    silence = Silence()

    def look() -> bool | None:
        last = told(mailbox)
        if not made.up:  # another command was quicker
            return True
        if silence.since(last):
            made.context.say(f"fleet {made.fleet.name}: its master has not been heard of for "
                             f"{format_duration(SILENT_S)}: what it had not sent is lost")
            return True
        return True if last is not None and last.phase == "ended" else None
    wait_for(f"fleet {made.fleet.name}: the end of its run", look, made.context, STOP_LIMIT_S, _LOOK_EVERY_S)


def down(made: Standing, discard: bool = False) -> Results | None:
    """End the run, bring back what it measured, delete everything. Does nothing the second time. With `discard`
    nothing is waited for or brought back. Raises FmloadError with what could not be deleted, its price, and the
    command that tries again; and where the results could not be had, before anything is deleted."""
    results = None
    if made.up and not discard:
        try:
            stop(made)
            results = None if brought(made) else bring_back(made)
        except FmloadError as error:
            raise FmloadError(f"the results could not be brought back, and nothing was deleted: {error.message}",
                              hint=f"again: fmload fleet down {made.fleet.name}; without them: add --discard; the "
                                   f"lease ends its hosts in {format_duration(max(0.0, made.lease_left_s))}"
                                   + (f"; {error.hint}" if error.hint else "")) from error
    last = _last_word(made)
    teardown.down(made.context)
    if Path(made.fleet.results).exists():
        cost.write(Results(Path(made.fleet.results)), made.fleet, made.context.ledger, last)
    return results


def _last_word(made: Standing) -> Told | None:
    try:
        return told(made.target.mailbox()) if made.up else None
    except FmloadError:
        return None


def _quietly_down(made: Standing) -> None:
    try:
        teardown.down(made.context)
    except FmloadError as error:
        made.context.say(str(error))  # the first failure is the one to raise


def say_on_stderr(text: str) -> None:
    """One line of progress."""
    print(f"fleet: {text}", file=sys.stderr, flush=True)
