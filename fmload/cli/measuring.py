"""What `fmload run` does: deploy, prepare, load, analyse, report; of a run file, or of a URL and flags."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fmload import config
from fmload.base.errors import EXIT_INTERRUPTED, EXIT_INVALID, FmloadError, refused_by_disk
from fmload.base.signals import as_interrupts
from fmload.cli import flags, stacks
from fmload.config import RunFile, proxies
from fmload.config.loading import refuse_missing_variables
from fmload.endpoints.building import build
from fmload.exposition import watching
from fmload.launch import processes as orchestrate
from fmload.launch import session
from fmload.launch.described import run_file as run_file_of
from fmload.launch.importing import Locust
from fmload.launch.progress import Progress
from fmload.launch.prompt_bars import Bars, progress_bars
from fmload.launch.server import looks_like_url
from fmload.plan.stages import plan
from fmload.plugins import refuse_broken
from fmload.prompts.checking import check
from fmload.prompts.preparation import prepare
from fmload.prompts.remarks import remarks
from fmload.prompts.store import counted_by, read
from fmload.results.counting import count_answers
from fmload.results.folder import Results
from fmload.results.lock import lock_folder
from fmload.stacks.candidates import varies
from fmload.telemetry.recorder import recorded

if TYPE_CHECKING:
    from fmload_analysis.verdict.analysis import Analysis


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that was asked for, and is sound as far as can be told before anything is made. `path`: of its run file;
    None where flags stand for one."""

    args: argparse.Namespace
    run_file: RunFile
    path: Path | None
    progress: Progress

    @property
    def varies(self) -> bool:
        """Whether it is a search over serving stacks."""
        return varies(self.run_file)


def checked(args: argparse.Namespace) -> Asked:
    """What the command's options ask for. Raises FmloadError before anything is created."""
    progress = Progress(Console(stderr=True))
    refuse_broken()
    run_file, path = _run_file(args, progress.say)
    _check_locustfile(run_file, args.locustfile)
    run_file = proxies.with_proxies(run_file)
    for words in proxies.told(run_file):
        progress.say(words)
    if path is not None:
        refuse_missing_variables(run_file, path, args.set)
    plan(run_file)  # a load that cannot be planned is refused before anything is created
    if not args.resume and not (args.out and session.prompts_made(run_file, Results(args.out))):
        check(run_file, path, args.set)
    return Asked(args, run_file, path, progress)


def searched(asked: Asked) -> int:
    """Search over the stacks that a run file names; the exit code."""
    return stacks.run(asked.args, asked.run_file, asked.progress.say)


@as_interrupts()
def measured(asked: Asked, locust: Locust) -> int:
    """The run, from its folder to its report; the exit code."""
    args, run_file = asked.args, asked.run_file
    results = session.open_folder(run_file.name, args.out, resume=args.resume)
    lock_folder(results).close()  # the master locks it for as long as it runs
    told: list[Analysis] = []
    code = _load(asked, results, locust, told)
    analysis = _analyse(results)  # again where the report came before the teardown: now its cost is whole
    if analysis is None:
        Console(stderr=True).print(f"nothing was measured; what there is lies in {results.root}")
        return code or EXIT_INVALID
    if not told:
        _print_headline(analysis, results)
    if asked.path is None:
        _print_next(args, run_file, results)
    from fmload_analysis.pipeline import exit_code

    return code or exit_code(analysis, args.require_objectives)


def _run_file(args: argparse.Namespace, say: Callable[[str], None]) -> tuple[RunFile, Path | None]:
    """The run file that is named, with its path; or the one that a URL and flags stand for, and None."""
    url = args.config is not None and not Path(args.config).exists() and looks_like_url(args.config)
    if url:
        flags.take_url(args, args.config)
    named = flags.given(args)
    if args.config is not None and not url:
        if named:
            raise FmloadError(f"{' '.join(named)}: for a run without a run file",
                              hint="over a run file's keys goes --set, such as --set load.concurrency=1,8")
        path = config.find(args.config)
        return config.load(path, args.set), path
    if not (args.url or args.endpoint_name or args.model):
        raise FmloadError("nothing to measure is named",
                          hint="fmload run http://host:8000/v1, or my-run.yml, or quickstart to see how it goes")
    asked = flags.completed(flags.as_described(args), say)
    asked = flags.paced(asked, args, say)
    say(flags.plan_words(asked))
    return config.parse(run_file_of(asked), "the flags", Path.cwd(), args.set), None


def _load(asked: Asked, results: Results, locust: Locust, told: list[Analysis]) -> int:
    """Deploy, measure, take down; the exit code. `told` gets the analysis of a report that came before the teardown."""
    args, run_file, progress = asked.args, asked.run_file, asked.progress
    watched = watching.checked(args)
    workers = args.workers or run_file.load.workers
    remote = orchestrate.Remote.parse(args.remote_workers, args.bind) if args.remote_workers else None
    wanted = orchestrate.Wanted(results, workers, orchestrate.token_of(remote), args.resume, remote, watched,
                                args.locustfile and args.locustfile.resolve())
    try:
        with _prepared(args, run_file, results, progress) as ready:
            with recorded(ready, results, progress.say), progress:
                code = orchestrate.drive(ready, wanted, locust, progress)
            count_answers(results, progress.say)  # while a server that counts tokens is still there to be asked
            if any(spec.deploy and spec.deploy.target != "local" for spec in run_file.endpoints):
                told += _report_before_the_teardown(results)
            return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


@contextmanager
def _prepared(args: argparse.Namespace, run_file: RunFile, results: Results, progress: Progress) -> Iterator[RunFile]:
    """The run file with all addresses, its endpoints up, its prompts made, and its load agreed to."""
    here = partial(_prepare, progress)
    if not _needs_server(run_file):
        session.prepare_prompts(run_file, results, here)
    with _stood_up(args, run_file, results, progress.say) as ready:
        check_alive(ready)
        session.prepare_prompts(ready, results, here)
        progress.say(session.approve(ready, results, args.resume, args.yes, _agrees()))
        yield ready


def _stood_up(args: argparse.Namespace, run_file: RunFile, results: Results,
              say: Callable[[str], None]) -> AbstractContextManager[RunFile]:
    """The run file with the addresses of what it has stood up; boto3 is imported only where there is such a thing."""
    if not any(spec.deploy for spec in run_file.endpoints):
        return nullcontext(run_file)
    from fmload_deploy.lifecycle import deployed

    return deployed(run_file, results, yes=args.yes, keep=args.keep, say=say)


def _agrees() -> Callable[[str], bool] | None:
    """Asks at the terminal; None where nobody is there."""
    if not sys.stdin.isatty():
        return None

    def ask(told: str) -> bool:
        print(told, file=sys.stderr)
        return input("Start this load? [y/N] ").strip().lower() in ("y", "yes")

    return ask


def _reach(hop: tuple[str, int] | str, limit_s: float) -> None:
    """Connects, and closes again. Raises OSError."""
    if not isinstance(hop, str):
        socket.create_connection(hop, limit_s).close()
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit_s)
        sock.connect(hop)


def check_alive(run_file: RunFile) -> None:
    """Raises FmloadError naming the first endpoint at which nothing accepts a connection."""
    for spec in run_file.endpoints:
        for address in build(spec).addresses():
            try:
                _reach(address.first_hop, run_file.timeouts.connect_s)
            except OSError as error:
                raise FmloadError(f"endpoint '{spec.name}': nothing answers at {address}: {error.strerror or error}",
                                  hint="start the server, or mend the endpoint's url",
                                  exit_code=EXIT_INVALID) from error


def _prepare(progress: Progress, run_file: RunFile, results: Results) -> None:
    """Make the prompt sets in this process, with bars, and say what is remarkable about them."""
    progress.say("preparing the prompts")
    with progress_bars() as bars:
        paths = prepare(run_file, results, Bars(bars))
    for spec in run_file.prompts:
        if spec.count is not None or _needs_server(run_file):
            for told in remarks(run_file, spec, read(paths[spec.name])):
                progress.say(f"{spec.name}: {told}")


def _check_locustfile(run_file: RunFile, locustfile: Path | None) -> None:
    """Raises FmloadError where the prompts are a scenario's and no locustfile says which, or the file is not there."""
    scripted = [spec.name for spec in run_file.prompts if spec.source == "scenario"]
    if locustfile is None and scripted:
        raise FmloadError(f"prompt set '{scripted[0]}' (source: scenario) is written by the users of a locustfile",
                          hint="give it: --locustfile agent.py; 'fmload help scenarios' shows one")
    if locustfile is not None and not locustfile.is_file():
        raise FmloadError(f"--locustfile {locustfile}: there is no such file", hint="mind the folder")


def _needs_server(run_file: RunFile) -> bool:
    """Whether prompts are counted by an endpoint, and so cannot be made before it is up."""
    return any(counted_by(spec) != spec.tokenizer for spec in run_file.endpoints)


def _analyse(results: Results) -> Analysis | None:
    """The analysis of what was measured; None when there is no record at all."""
    if not any(path.stat().st_size for path in results.journal.glob("*.log")):
        return None
    from fmload_analysis.pipeline import analyse

    try:
        return analyse(results.root)
    except OSError as error:
        raise refused_by_disk(error, f"the report in {results.root} could not be written", (
            f"what was measured is kept: with room on the disk and memory enough, 'fmload report {results.root}' makes "
            "the report")) from error


def _report_before_the_teardown(results: Results) -> list[Analysis]:
    """The report, as long as nothing can spoil it: a teardown may take long, or be denied."""
    analysis = _analyse(results)
    if analysis is None:
        return []
    _print_headline(analysis, results)
    return [analysis]


def _print_headline(analysis: Analysis, results: Results) -> None:
    from fmload_analysis.report.terminal import headline

    console = Console()
    console.print(headline(analysis))
    console.print(f"report: {results.report_html}\n        {results.report_md}", highlight=False, soft_wrap=True)


def _print_next(args: argparse.Namespace, run_file: RunFile, results: Results) -> None:
    """How to go on from a run that flags described."""
    where = args.url or f"--endpoint-name {args.endpoint_name}"
    print(f"go on:  fmload run {where} --concurrency 1,2,4,8,16,32 --duration 60s      more levels, for longer\n"
          f"        fmload run {where} --rate 1,2,4                     arrivals that wait for no answer\n"
          f"        fmload report {results.root} --open      the report in the browser\n"
          f"        {results.run_yml}: the run file that this was; edit a copy, add prices and objectives, and run it")
