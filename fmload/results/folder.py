"""The results folder: the only contract between measuring and analysing. Every name in it, in one place."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fmload.base.errors import FmloadError


@dataclass(frozen=True, slots=True)
class Results:
    """Paths inside one results folder; nothing is created before `create`."""

    root: Path

    @property
    def run_yml(self) -> Path:
        """The run file as resolved, secrets out."""
        return self.root / "run.yml"

    @property
    def environment_json(self) -> Path:
        """Versions, hosts, kernel, command lines, what is emulated."""
        return self.root / "environment.json"

    @property
    def stages_json(self) -> Path:
        """Stages as asked and as they were; windows in ns of the master's monotonic clock."""
        return self.root / "stages.json"

    @property
    def workers_json(self) -> Path:
        """Workers: host, pid, clock offset to the master's clock with its uncertainty, stamp source."""
        return self.root / "workers.json"

    @property
    def records(self) -> Path:
        """Parquet files of the records, at least one a stage."""
        return self.root / "records"

    @property
    def journal(self) -> Path:
        """Append-only logs written as requests end; `records` is made from them."""
        return self.root / "journal"

    @property
    def compaction_json(self) -> Path:
        """What could not be read of the journals, or not be put into the records, when these were made."""
        return self.root / "compaction.json"

    @property
    def health_jsonl(self) -> Path:
        """The clients' own health, one JSON line a worker and second."""
        return self.root / "health.jsonl"

    @property
    def events_jsonl(self) -> Path:
        """What befell the run: lost workers, late joiners, interrupts. One JSON line each."""
        return self.root / "events.jsonl"

    @property
    def prompts(self) -> Path:
        """The prompts as sent, one JSONL file a prompt set."""
        return self.root / "prompts"

    @property
    def logs(self) -> Path:
        """Output of every process that the run started."""
        return self.root / "logs"

    @property
    def summary_csv(self) -> Path:
        """One row a stage."""
        return self.root / "summary.csv"

    @property
    def tenants_csv(self) -> Path:
        """A row a stage and tenant; only of runs that have tenants."""
        return self.root / "tenants.csv"

    @property
    def audit_json(self) -> Path:
        """The report's checks of its own numbers."""
        return self.root / "audit.json"

    @property
    def report_md(self) -> Path:
        return self.root / "report.md"

    @property
    def details_md(self) -> Path:
        """What report.md gives in short, in full."""
        return self.root / "details.md"

    @property
    def audit_md(self) -> Path:
        """Every check with its figures, and the load generator's health."""
        return self.root / "audit.md"

    @property
    def environment_md(self) -> Path:
        """Endpoints, versions, the run file, the glossary."""
        return self.root / "environment.md"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    @property
    def capacity_html(self) -> Path:
        """The page of the capacity plan that was made last."""
        return self.root / "capacity.html"

    @property
    def capacity_json(self) -> Path:
        """The same plan, for programs and for the report."""
        return self.root / "capacity.json"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def telemetry_log(self) -> Path:
        """The same line by line, as it comes."""
        return self.logs / "telemetry.jsonl"

    @property
    def telemetry_parquet(self) -> Path:
        """What the endpoints did meanwhile (source, metric, labels, instant, value)."""
        return self.root / "telemetry.parquet"

    @property
    def telemetry_problems_json(self) -> Path:
        """Collectors that failed: the first message of each, and how often it came."""
        return self.root / "telemetry_problems.json"

    @property
    def sessions_parquet(self) -> Path:
        """How each session ended, how long it took, and where the time went."""
        return self.root / "sessions.parquet"

    @property
    def texts_parquet(self) -> Path:
        """Texts of answers that their server did not count."""
        return self.root / "texts.parquet"

    @property
    def counts_parquet(self) -> Path:
        """What a tokenizer counted of them after the run."""
        return self.root / "counts.parquet"

    @property
    def counting_json(self) -> Path:
        """Which tokenizer counted what, and the server's counts beside it where answers were kept."""
        return self.root / "counting.json"

    @property
    def answers_parquet(self) -> Path:
        """Answers, where the run file asks for them."""
        return self.root / "answers.parquet"

    @property
    def verdicts_jsonl(self) -> Path:
        """The ledger of the judges' verdicts: one JSON line each, appended as it comes."""
        return self.root / "verdicts.jsonl"

    @property
    def evaluation_json(self) -> Path:
        """How good the kept answers were."""
        return self.root / "evaluation.json"

    @property
    def evaluated_jsonl(self) -> Path:
        """The answers that were evaluated, with their scores and verdicts."""
        return self.root / "evaluated.jsonl"

    @property
    def fleet_json(self) -> Path:
        """The hosts that made the load, where they were a fleet, and what they cost; of no endpoint's price."""
        return self.root / "fleet.json"

    def refuse_links(self) -> None:
        """Raises FmloadError when something in the folder is a symbolic link: what is written to it would be written
        elsewhere, and what is read from it come from there. The folder itself may be one."""
        links = [os.path.relpath(os.path.join(folder, name), self.root)
                 for folder, folders, files in os.walk(self.root) for name in (*folders, *files)
                 if os.path.islink(os.path.join(folder, name))]
        if links:
            more = f" and {len(links) - 3} more" if len(links) > 3 else ""
            raise FmloadError(f"{self.root} holds symbolic links: {', '.join(sorted(links)[:3])}{more}",
                              hint="put the files themselves in their place (cp -rL OLD NEW), or remove the links")

    def create(self) -> Results:
        """Make the folder and those inside it. Raises FmloadError when the disk refuses, or for links in it."""
        self.refuse_links()
        try:
            for folder in (self.root, self.records, self.journal, self.prompts, self.logs, self.figures):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FmloadError(f"cannot make the results folder {self.root}: {error.strerror}",
                              hint="name another folder with --out") from error
        return self


def new_results(name: str, base: Path = Path("results")) -> Results:
    """`results/<name>-<UTC>/`, with `results/latest` pointing at it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    results = Results(base / f"{name}-{stamp}").create()
    latest = base / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(results.root.name)
    return results


def spent_on_tokens(results: Results) -> float:
    """USD for tokens of the run that is on, as its master wrote last; 0 before that."""
    try:
        run = json.loads((results.logs / "live.json").read_text()).get("run", {})
    except (OSError, ValueError):
        return 0.0
    return float(run.get("tokens_usd") or 0.0)
