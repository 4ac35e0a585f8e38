"""The public Python API: run a load test, open its results, and have them as pandas DataFrames.

`run` starts the `fmload run` command as a process of its own, so that it works in a notebook, beside threads and
without gevent; `open_run` reads a results folder.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from fmload.base.child import apart
from fmload.base.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OBJECTIVES, EXIT_OK, FmloadError
from fmload.base.signals import interrupted_after
from fmload_analysis.pipeline import analyse, analyse_run
from fmload_analysis.request_table import REQUEST_COLUMNS, requests_of
from fmload_analysis.run import open_run as _open_results
from fmload_analysis.verdict.table import STAGE_COLUMNS

if TYPE_CHECKING:
    from fmload_analysis.verdict.analysis import Analysis

MEASURED = (EXIT_OK, EXIT_OBJECTIVES, EXIT_INVALID, EXIT_INTERRUPTED)  # there may be results to open


class Run:
    """One results folder: what was measured, judged and checked. Made by `run` and `open_run`.

    Figures are worked out from the records when they are first asked for, and kept.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._run = _open_results(self.folder)

    @cached_property
    def _analysis(self) -> Analysis:
        return analyse_run(self._run)

    @property
    def name(self) -> str:
        """The run file's name."""
        return self._run.name

    @cached_property
    def stages(self) -> pd.DataFrame:
        """One row a stage, with the columns of summary.csv: seconds, tokens, requests a second, USD; NaN is unknown.

        Columns and dtypes are those of `STAGE_COLUMNS`.
        """
        return pd.DataFrame(self._analysis.rows(), columns=list(STAGE_COLUMNS), dtype=object).astype(STAGE_COLUMNS)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a request of all stages, ordered by the instant it was due.

        Columns and dtypes are those of `REQUEST_COLUMNS`: instants in seconds after the first request of the run was
        due, latencies in seconds, counts of tokens; `reported` tells the requests that started in a stage's window.
        """
        return requests_of(self._run)

    @cached_property
    def audit(self) -> pd.DataFrame:
        """One row a check: `stage`, `check`, `result` (PASS, WARN, FAIL, NOT APPLICABLE), `text`."""
        rows = [(result.stage, check.name, check.result, check.sentence)
                for result in self._analysis.results for check in result.checks]
        return pd.DataFrame(rows, columns=["stage", "check", "result", "text"])

    @property
    def best(self) -> pd.DataFrame:
        """The recommended stages, one row a prompt set that has one, with the columns of `stages`."""
        chosen = [found.best.stage for found in self._analysis.best if found.best]
        return self.stages[self.stages["stage"].isin(chosen)].reset_index(drop=True)

    @property
    def verdicts(self) -> list[str]:
        """What the report says of each prompt set, in a sentence: the recommendation, or why there is none."""
        return [found.sentence for found in self._analysis.best]

    def capacity(self, demand: str | Path, objectives: Mapping[str, Any] | None = None,
                 **settings: Any) -> dict[str, Any]:
        """How many replicas a demand needs and what they cost: the content of capacity.json; writes nothing.

        `demand`: a rate such as "20/s" or "10M/day", a demand file or a trace. `objectives`: {"ttft_p95": "2s"}, in the
        place of the run's own. `settings`: those of `fmload_analysis.capacity.trial.Settings`, such as
        routing="least_busy", lose=1, seeds=5. Raises FmloadError where the run or the demand cannot be planned with.
        """
        from fmload_analysis.capacity.answer import Asked, answer, as_json
        from fmload_analysis.capacity.demand_file import read_demand
        from fmload_analysis.capacity.limits import objectives_of
        from fmload_analysis.capacity.trial import Settings

        own = objectives if objectives is not None else self._run.spec.get("objectives") or {}
        asked = Asked(read_demand(str(demand)), str(demand), *objectives_of(own, ()), Settings(**settings))
        return as_json(answer([self._run], asked))

    def report(self) -> Path:
        """Write report.html, report.md, summary.csv and audit.json into the folder; returns the path of report.html."""
        analyse(self.folder)
        return self._run.results.report_html

    def __repr__(self) -> str:
        return f"<fmload run '{self.name}' in {self.folder}: {len(self._run.stages)} stages>"

    def _repr_html_(self) -> str:
        """The headline and a chart, for a notebook."""
        from fmload_analysis.report.notebook import chart_svg, headline_html

        return (f"<h4>{escape(self.name)}</h4>" + headline_html(self._analysis) + chart_svg(self._analysis)
                + "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdicts))


def open_run(folder: str | Path = "results/latest") -> Run:
    """The run in a results folder. Raises FmloadError when the folder is not one."""
    return Run(folder)


def run(config: str | Path | Mapping[str, Any] | None = None, *, url: str | None = None, out: str | Path | None = None,
        set: Sequence[str] = (), progress: bool = True, **flags: Any) -> Run:
    """Run a load test and open its results; returns when the last record is in.

    `config`: a run file's path, the name of one that ships (`"quickstart"`), or its content as a mapping. Or `url`
    with the flags of `fmload run URL` as keywords, lists for several levels: `concurrency=[1, 8]`, `duration="30s"`,
    `input_tokens=550`. `set` replaces keys (`"load.window=30s"`); `progress` lets the command's progress through to
    stderr. `out`: the results folder, a new one in `results/` when absent.

    Raises FmloadError with the command's own words when nothing could be measured. Missed objectives and a failed
    audit are no errors: see `Run.audit` and `Run.best`.
    """
    if (config is None) == (url is None):
        raise FmloadError("run takes a run file or a url", hint='fmload.run("my-run.yml") or fmload.run(url="http://…")')
    with tempfile.TemporaryDirectory(prefix="fmload-") as scratch:
        given = url if config is None else _file_of(config, Path(scratch))
        folder = Path(out) if out is not None else _new_folder()
        command = [sys.executable, "-m", "fmload", "run", str(given), "--out", str(folder), "--yes",
                   *(word for value in set for word in ("--set", value)), *_words(flags)]
        _call(command, progress)
    return Run(folder)


def _call(command: Sequence[str], progress: bool) -> None:
    said: list[str] = []
    with ExitStack() as end:
        with interrupted_after():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True, **apart())
            end.enter_context(_to_its_end(process))
        assert process.stderr is not None
        for line in process.stderr:
            said = [*said[-20:], line]
            if progress:
                sys.stderr.write(line)
    code = process.returncode
    if code not in MEASURED:
        words = "".join(said).partition("error: ")[2] or "".join(said[-3:])
        message, _, hint = words.strip().partition("\nhint: ")
        raise FmloadError(message or f"fmload run ended with code {code}", hint or None, exit_code=code)


@contextmanager
def _to_its_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Wait for the process; a Ctrl-C meanwhile is its own, too."""
    try:
        yield
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        raise
    finally:
        process.wait()


def _file_of(config: str | Path | Mapping[str, Any], scratch: Path) -> str | Path:
    if not isinstance(config, Mapping):
        return config
    path = scratch / "run.yml"
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    return path


def _new_folder() -> Path:
    return Path("results") / f"run-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"


def _words(flags: Mapping[str, Any]) -> list[str]:
    """Keywords as the flags of the command: `input_tokens=550` is `--input-tokens 550`."""
    words = []
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)]
    return words


__all__ = ["REQUEST_COLUMNS", "STAGE_COLUMNS", "Run", "open_run", "run"]
