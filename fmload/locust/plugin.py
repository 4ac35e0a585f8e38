"""What a locustfile imports: ties the worker and the controller to Locust's events, messages and signals.

In the process of the master `environment.fmload` conducts runs, in that of a worker it serves users; a single Locust
process does both.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import locust.runners
from gevent.util import print_run_info
from locust import argument_parser, events
from locust.event import EventHook
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from rich.console import Console

from fmload.base.descriptors import raise_limit
from fmload.base.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_USAGE, FmloadError, refused_by_disk
from fmload.base.redaction import masked_url, redact_logs
from fmload.config import RunFile, proxies
from fmload.config.secrets import refuse_inline_secrets
from fmload.exposition.watching import watch
from fmload.launch import server
from fmload.launch import session as launch
from fmload.launch.parent import parent
from fmload.locust import door, options, said, scripted, tried, webui
from fmload.locust.beginning import Arrival, expect_many_at_once
from fmload.locust.foreseen import Foreseen, foresee
from fmload.locust.link import RunnerLink
from fmload.locust.listener import keep_listening
from fmload.locust.master_first import listening
from fmload.locust.shape import FollowedShape, StageShape
from fmload.locust.user import PromptUser
from fmload.locust.webui import LiveView
from fmload.locust.webui.start import Tried
from fmload.master import flush
from fmload.master.budget import Budget
from fmload.master.collector import Collector
from fmload.master.controller import ALL_GONE, Controller
from fmload.master.spend import Spend
from fmload.model.outcome import NEITHER
from fmload.model.reading import Reading
from fmload.model.record import Record, scenario_of
from fmload.plan.estimate import prices_of, require_prices
from fmload.pricing.resolve import Pricing, Unpriced
from fmload.pricing.table import load_prices
from fmload.protocol import admission
from fmload.protocol.messages import (
    OF_WORKERS,
    Challenge,
    Flush,
    Hello,
    Message,
    Proof,
    Refused,
    decode,
    hello,
    kind_of,
)
from fmload.results.journal import contents
from fmload.worker.worker import Worker

__all__ = ["PromptUser", "StageShape"]

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
END_LIMIT_S = 180.0
LEAVE_LIMIT_S = 5.0
PARENT_EVERY_S = 1.0
REFUSAL_LEAD_S = 0.2  # for the refusal to be on its way


class RequestFailed(Exception):
    """What Locust's statistics show of a failed request: outcome and message."""


def _do_not_wait(environment: Any) -> None:
    """Locust's `stop` sleeps for stop_timeout inside the greenlet that reads messages; nothing is in flight now."""
    environment.stop_timeout = 0.0


class Plugin:
    """The tie of one process. `worker` serves users (None on a master), `controller` and `collector` are of the run."""

    def __init__(self, environment: Any, runner: Any) -> None:
        self.environment = environment
        self.runner = runner
        self.link = RunnerLink(runner)
        self.worker: Worker | None = None
        self.controller: Controller | None = None
        self.collector: Collector | None = None
        self._run_watched: Callable[[], None] = lambda: None
        self._stop_timeout = environment.stop_timeout
        self._interrupts = 0
        self._session: launch.Session | None = None  # of the run that is on
        self.guard = _guard(environment)
        self._arrival = Arrival(environment.parsed_options, lambda: len(self.link.users()))
        if not isinstance(runner, MasterRunner):
            self._serve()
        if not isinstance(runner, WorkerRunner):
            self._conduct()
        raise_limit()
        gevent.signal_handler(signal.SIGINT, self._on_sigint)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            gevent.signal_handler(signal.SIGHUP, self._on_sigint)
        if (started_by := parent()) is not None:
            gevent.spawn(self._watch_parent, started_by)
        gevent.signal_handler(signal.SIGUSR1, print_run_info)  # what each greenlet waits for, into the log

    # -- the worker's side ----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        identity = self.runner.client_id if isinstance(self.runner, WorkerRunner) else "local"
        worker = self.worker = Worker(self.link, identity, self._finished)
        self.environment.events.token_stream = EventHook()  # type: ignore[no-untyped-call]
        for kind, handler in worker.messages.items():
            self.runner.register_message(kind_of(kind), _worker_listener(kind, handler))
        self.runner.custom_messages[kind_of(Flush)] = (self._on_flush, False)
        self.runner.register_message(kind_of(Refused), _worker_listener(Refused, self._on_refused))
        self.runner.register_message(kind_of(Challenge), _worker_listener(Challenge, self._on_challenge))
        gevent.spawn(worker.ship_for_ever)
        gevent.spawn(worker.health.watch)
        self.environment.events.report_to_master.add_listener(
            lambda client_id, data, **_: data.update(fmload=worker.report()))
        self.environment.events.quitting.add_listener(lambda **_: worker.leave(0.0))
        if isinstance(self.runner, LocalRunner):
            gevent.spawn(self._report_to_self)
        else:
            # As the flush does: a message to spawn users that came behind it (a worker joined) has set it anew.
            self.environment.events.test_stop.add_listener(lambda environment, **_: _do_not_wait(environment))
            self.link.send(hello())

    def _on_refused(self, refused: Refused) -> None:
        """The master takes this worker for no part of its run, and sends it away."""
        logger.error("the master refuses this worker: %s", refused.reason)
        self.environment.process_exit_code = EXIT_INVALID

    def _on_challenge(self, challenge: Challenge) -> None:
        try:
            self.link.send(Proof(door.answer(self.runner.client_id, challenge.nonce)))
        except FmloadError as error:
            self._quit(str(error))

    def _quit(self, why: str) -> None:
        """End this worker with a usage error."""
        logger.error("%s", why)
        self.environment.process_exit_code = EXIT_USAGE
        gevent.spawn(self.runner.quit)

    def _on_flush(self, environment: Any, msg: Any, **_: Any) -> None:
        _do_not_wait(environment)
        assert self.worker is not None
        self.worker.on_flush(Flush())

    def _report_to_self(self) -> None:
        assert self.worker is not None
        while True:
            gevent.sleep(REPORT_EVERY_S)
            if self.collector is not None:
                self.collector.on_report("local", self.worker.report())

    def _finished(self, record: Record, reading: Reading) -> None:
        """One `request` event a model request; the tokens travel in `token_stream`."""
        assert self.worker is not None
        end_ns = record.last_token_ns or record.end_ns
        response_time = None if end_ns is None or record.send_ns is None else (end_ns - record.send_ns) / 1e6
        started_ns = record.send_ns or record.scheduled_ns
        failed = None if record.outcome == "ok" else RequestFailed(f"{record.outcome}: {record.error or 'no message'}")
        fire = self.environment.events
        if record.outcome not in ("censored", *NEITHER):
            fire.request.fire(
                request_type=self.worker.protocol(record.endpoint), name=_name(record),
                response_time=response_time, response_length=sum(len(chunk.text) for chunk in reading.chunks),
                exception=failed, context={}, response=None, url=record.address,
                start_time=time.time() - (time.monotonic_ns() - started_ns) / 1e9)
        fire.token_stream.fire(record=record, reading=reading)

    # -- the master's side ----------------------------------------------------------------------------------------

    def _conduct(self) -> None:
        for kind in OF_WORKERS:
            self.runner.register_message(kind_of(kind), self._master_listener(kind))
        if isinstance(self.runner, MasterRunner):
            with _usage_errors():
                door.Door(self.runner, self.environment.parsed_options.master_bind_host)
            keep_listening(self.runner, self._dropped)
            listening()
        self.environment.events.worker_report.add_listener(self._on_worker_report)
        self.environment.events.test_stopping.add_listener(lambda **_: self._on_test_stopping())
        self.environment.events.quitting.add_listener(lambda **_: self.end_run("Locust is quitting"))

        with _usage_errors():
            self._run_watched = watch(self.environment.parsed_options, lambda: self.collector)

    def _master_listener(self, kind: type[Message]) -> Any:
        def listen(environment: Any, msg: Any, **_: Any) -> None:
            if kind is not Hello and not self.link.knows(msg.node_id):
                return self._dropped(f"'{kind_of(kind)}' from {msg.node_id}, which has not greeted")
            try:
                message = decode(kind, msg.data)
            except ValueError as error:
                return self._dropped(f"from {msg.node_id}: {error}")
            if isinstance(message, Hello):
                self._greet(msg.node_id, message)
            elif self.collector is not None:
                self.collector.messages[kind](msg.node_id, message)
        return listen

    def _greet(self, worker: str, greeting: Hello) -> None:
        reason = self.link.greet(worker, greeting)
        if reason is None:
            return
        if self.controller is not None and self.collector is not None:
            self.collector.event("worker_refused", worker, reason)
        elif self.collector is None and self.environment.parsed_options.headless:  # it would be waited for in vain
            gevent.spawn_later(REFUSAL_LEAD_S, self._give_up)

    def _give_up(self) -> None:
        """End a master that still waits for its workers, and send those away that have come."""
        self.environment.process_exit_code = EXIT_INVALID
        self.runner.quit()
        sys.exit(EXIT_INVALID)

    def _dropped(self, what: str) -> None:
        """A message that is none: the run goes on, and tells of the first and of how many there were."""
        if self.collector is not None:
            self.collector.drop(what)
        else:
            logger.warning("a message was dropped: %s", what)

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        report = data.pop("fmload", None)
        if report is not None and self.collector is not None:
            self.collector.on_report(client_id, report)

    def tick(self) -> tuple[int, float] | None:
        """What the shape asks Locust for. Begins a run when none is on; None when it has ended."""
        if self.controller is None and not self._begin_run():
            return None
        controller = self.controller
        assert controller is not None
        while not controller.user_target.changed.wait(timeout=1.0) and controller.user_target.target is None:
            pass  # the plan is on its way: Locust has nothing to do yet
        controller.user_target.changed.clear()
        target = controller.user_target.target
        if target is None:
            self._run_ended(controller)
            return None
        # The turn makes equal targets differ by less than a millionth of the rate: Locust spreads users again.
        return target.users, target.rate + target.turn * 1e-6

    def _begin_run(self) -> bool:
        if isinstance(self.runner, MasterRunner) and (problem := self._arrival.wait()):
            return self._cannot_begin(FmloadError(problem, hint="their logs say why", exit_code=EXIT_INVALID))
        try:
            session = self._session = self._open()
            prices = self._prices(session)
            if self._interrupts:
                raise FmloadError("interrupted before the load began", exit_code=EXIT_INTERRUPTED)
            self.collector = Collector(session.results, uuid4().hex, self.link)
        except OSError as error:
            return self._cannot_begin(refused_by_disk(error, f"{error.filename or 'the results'} cannot be written"))
        except FmloadError as error:
            return self._cannot_begin(error)
        run = session.run
        self.collector.stages = session.stages
        self.collector.live.run["warnings"] = session.warnings
        self.collector.max_cost = run.max_cost
        self.collector.spend = Spend(prices, session.stages)
        self.collector.spend.take(contents(session.results))
        self.controller = Controller(run, session.stages, self.collector, self.link, self._budget(session),
                                     self._compact)
        self._stop_timeout = self.environment.stop_timeout
        self.environment.stop_timeout = run.load.drain_s
        gevent.spawn(self.controller.run)
        return True

    @staticmethod
    def _compact(root: Path) -> None:
        """Journals to Parquet. `fmload run` does it itself, where there is one: it has what that takes in memory."""
        if os.getppid() != parent():
            flush.compact(root)

    def _cannot_begin(self, error: FmloadError) -> bool:
        logger.error("%s", error)
        said.show_failure(self.environment, str(error))
        self.environment.process_exit_code = error.exit_code
        self._release()
        return False

    def _prices(self, session: launch.Session) -> dict[str, Pricing | Unpriced]:
        """What the run's endpoints cost. Raises FmloadError where `max_cost` needs to know more."""
        prices = prices_of(session.run, load_prices(Path(session.run.prices) if session.run.prices else None))
        require_prices(session.run, prices)
        return prices

    def _budget(self, session: launch.Session) -> Budget | None:
        """What keeps the run within `max_cost`; its guess of a request's price holds until some have ended."""
        collector, limit = self.collector, session.run.max_cost
        if collector is None or limit is None:
            return None
        expected = launch.estimate_of(session.run, session.results, session.stages, collector.spend.prices)
        return Budget(limit, collector.spend, lambda: sum(each.in_flight for each in collector.live.workers.values()),
                      expected.each_usd, collector.silent_s)

    def _open(self) -> launch.Session:
        given = self.environment.parsed_options
        users = self.environment.user_classes
        run = self._described(given, self.environment.host)
        scripted.check(run, users)
        scripted.check_shape(run, users, followed=isinstance(self.environment.shape_class, FollowedShape))
        run = proxies.with_proxies(run)
        for words in proxies.told(run):
            logger.info("%s", words)
        if isinstance(self.runner, MasterRunner):
            refuse_inline_secrets(run)
        out = Path(given.fmload_out) if given.fmload_out else None
        results = launch.open_folder(run.name, out, resume=given.fmload_resume, beside=not given.headless)
        session = launch.begin(run, results, launch.in_a_process, resume=given.fmload_resume)
        session.warnings.extend(scripted.remarks(users))
        for told in session.warnings:
            logger.warning("%s", told)
        swept = bool(given.fmload_config or given.fmload_concurrency or given.fmload_window)
        for told in said.phases(session.stages, given.num_users, given.spawn_rate, swept):
            logger.info("%s", told)
        return session

    def _described(self, given: Any, host: str | None) -> RunFile:
        """The run file that these options stand for. Raises FmloadError."""
        if not given.fmload_config:
            scripted.check_protocols(self.environment.user_classes)
        return options.run_file(given, self.guard.host(host), _protocol(self.environment), self._ask_for_model,
                                scripted.any_of(self.environment.user_classes), self._foreseen())

    def try_form(self, form: Mapping[str, str]) -> Tried:
        """What a start form asks for, before a run of it begins."""
        given, host = self.environment.parsed_options, form.get("host") or self.environment.host
        if given.fmload_config:
            return Tried(True, "")
        return tried.tried(lambda: self._described(tried.filled(given, form), host), self.guard.host(host),
                           isinstance(self.runner, MasterRunner))

    def _foreseen(self) -> Foreseen | None:
        """What the locustfile's own load shape will ask for; None where it has none."""
        shape = self.environment.shape_class
        return foresee(shape.theirs) if isinstance(shape, FollowedShape) else None

    def _ask_for_model(self, url: str, variable: str | None) -> str:
        """The model that a server serves first. Raises FmloadError with what keeps it from saying so."""
        served = server.ask(server.base_url(url), variable)
        logger.info("%s serves %s", served.url, model := server.choose(served, None))
        return model

    def _on_test_stopping(self) -> None:
        """Locust stops a test whose last worker is gone, too."""
        if self.controller is not None and not self.link.users():
            return self.end_run(ALL_GONE, EXIT_INVALID)
        return self.end_run("the test was stopped", counts=True)

    def end_run(self, reason: str, exit_code: int | None = None, counts: bool = False) -> None:
        """End the run that is on, if any, and wait until its records are in.

        With `counts` a stage in its window is done, and measured up to here: a person, or Locust's run time, ended it.
        """
        controller = self.controller
        if controller is not None:
            controller.interrupt(reason, exit_code, counts)
            controller.ended.wait(timeout=END_LIMIT_S)
            self._run_ended(controller)

    def _run_ended(self, controller: Controller) -> None:
        if self.controller is controller:
            self.controller = None
            self._tell_of_end()
            self._release()
            self._run_watched()
            self.environment.stop_timeout = self._stop_timeout
            if self.environment.parsed_options.headless:
                self.environment.process_exit_code = controller.exit_code

    def _tell_of_end(self) -> None:
        """The stages as a table and where the results are; an error on the page, too."""
        if self.collector is None or self._session is None:
            return
        snapshot = self.collector.live.snapshot(time.monotonic_ns(), self.collector.wall_anchor_ns)
        if error := snapshot["run"].get("error"):
            said.show_failure(self.environment, error)
        Console().print(*said.ended(snapshot, self.collector.stages, self._session.results.root), sep="\n",
                        highlight=False, soft_wrap=True)

    def _release(self) -> None:
        """Leave the results folder to the next run, of this process or another."""
        if self._session is not None:
            self._session.close()

    def _watch_parent(self, started_by: int) -> None:
        """End in order when `fmload run`, which started this process, is no more."""
        while os.getppid() == started_by:
            gevent.sleep(PARENT_EVERY_S)
        logger.error("'fmload run' (process %d) is gone: this process ends, too", started_by)
        if isinstance(self.runner, WorkerRunner) and self.worker is not None:
            self.worker.leave(LEAVE_LIMIT_S)
        self.end_run("'fmload run' was killed")
        self.runner.quit()

    # -- signals --------------------------------------------------------------------------------------------------

    def _on_sigint(self) -> None:
        """Once: end in good order. Twice: at once; what was journaled is kept."""
        self._interrupts += 1
        if self._interrupts > 1:
            os._exit(EXIT_INTERRUPTED)
        if isinstance(self.runner, WorkerRunner) and self.worker is not None:
            self.worker.leave(LEAVE_LIMIT_S)
        self.end_run("Ctrl-C")
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())  # raised, it would be printed, too


def _guard(environment: Any) -> webui.Guard:
    """Of the web UI. A user and password in the host are kept out of Locust's pages and messages."""
    given, host = environment.parsed_options, environment.host
    keyed = bool(given.fmload_api_key_env) or _protocol(environment) != "openai"
    if host:
        environment.host = given.host = masked_url(host)
    return webui.Guard(given, host, argument_parser.ui_extra_args_dict, keyed)


def _name(record: Record) -> str:
    """What a request is called in Locust's statistics: as its scenario calls it, or by endpoint and prompts."""
    note = scenario_of(record.detail)
    return str(note["name"]) if note and "name" in note else f"{record.endpoint} {record.prompt_set}"


def _protocol(environment: Any) -> str:
    """What runs without a run file speak: what the first class of users that asks models does."""
    return next(iter(scripted.protocols(environment.user_classes)), "openai")


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Ends the process with the message of an FmloadError: Locust would swallow it in its `init` event."""
    try:
        yield
    except FmloadError as error:
        raise SystemExit(str(error)) from error


def _worker_listener(kind: type[Message], handler: Callable[[Any], None]) -> Any:
    return lambda environment, msg, **_: handler(decode(kind, msg.data))


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_arguments(parser: Any, **_: Any) -> None:
    redact_logs()
    _make_token_for_forks()
    options.add_arguments(parser)
    parser.set_defaults(web_host="127.0.0.1")  # Locust's own default is every interface, without a login


def _make_token_for_forks() -> None:
    """`--processes` forks the workers of a master after this: they inherit the token."""
    given = [word.partition("=")[0] for word in sys.argv]
    forks = "--processes" in given or "LOCUST_PROCESSES" in os.environ
    if forks and "--worker" not in given and admission.token() is None:
        os.environ[admission.TOKEN_VARIABLE] = admission.made_token()


@events.init.add_listener  # type: ignore[untyped-decorator]
def _on_init(environment: Any, runner: Any, web_ui: Any = None, **_: Any) -> None:
    # Locust builds its whole argument parser once an option on every spawn message, which freezes a worker for 45 ms.
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
    locust.runners.WORKER_REPORT_INTERVAL = REPORT_EVERY_S
    if environment.shape_class is None:  # a locustfile with users alone
        environment.shape_class = StageShape()  # type: ignore[no-untyped-call]
        environment.shape_class.runner = runner
    elif not isinstance(environment.shape_class, StageShape):
        environment.shape_class = FollowedShape(environment.shape_class)
        environment.shape_class.runner = runner
    if isinstance(environment.shape_class, StageShape):
        expect_many_at_once()
    if options.with_usual_key(environment.parsed_options, _protocol(environment)):
        logger.info("key: %s", environment.parsed_options.fmload_api_key_env)
    plugin = environment.fmload = Plugin(environment, runner)
    if web_ui:
        view = LiveView(lambda: plugin.collector)
        webui.install(web_ui, environment.parsed_options.web_base_path, view, plugin.guard, plugin.try_form)
