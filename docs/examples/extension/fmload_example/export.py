"""An export, `fmload report --export stopwatch`: one JSON file a stage, with one figure."""

from __future__ import annotations

from fmload_analysis.published.export import Exported
from fmload_analysis.published.views import ViewFacts
from fmload_analysis.run import Run
from fmload_example.view import stopwatch as measured


def stopwatch(run: Run, facts: ViewFacts) -> Exported:
    """What the view shows, with the run's name."""
    return Exported({"run": run.name, **measured(facts)})
