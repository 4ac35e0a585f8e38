"""The JSON Schema for editors accepts what `load` accepts, and marks what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from fmload.base.resources import resource
from fmload.config.json_schema import entries, json_schema
from fmload.config.schema import ArrivalSpec, DeploySpec, EndpointSpec, PromptSpec
from fmload.plugins import TARGETS

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def errors(document: Any) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def quickstart() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(resource("configs", "quickstart.yml").read_text())
    return document


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_it_accepts_run_files_that_ship() -> None:
    for path in sorted(Path(resource("configs", "quickstart.yml")).parent.glob("*.yml")):
        document = yaml.safe_load(path.read_text())
        if "endpoints" in document:
            assert errors(document) == [], path.name


@pytest.mark.parametrize(("change", "path"), [
    (lambda run: run["endpoints"][0].update(parmeters={}), "$.endpoints[0]"),
    (lambda run: run["prompts"][0]["input_tokens"].update(sdev=1), "$.prompts[0].input_tokens"),
    (lambda run: run["load"].update(ramp=5), "$.load.ramp"),
    (lambda run: run["endpoints"][0]["deploy"].update(emulater="x"), "$.endpoints[0].deploy"),
    (lambda run: run.pop("load"), "$"),
    (lambda run: run.update(load={"rate": [1], "arrivals": {"process": "ramp", "over": 5}}), "$.load.arrivals"),
])
def test_it_marks_what_load_refuses(change: Callable[[dict[str, Any]], object], path: str) -> None:
    run = quickstart()
    change(run)
    assert path in errors(run)


@pytest.mark.parametrize("arrivals", ["poisson", {"process": "ramp", "over": "5s", "base": "constant"}])
def test_it_takes_an_arrival_process_by_its_name_alone_and_with_its_options(arrivals: Any) -> None:
    assert errors({**quickstart(), "load": {"rate": [1], "arrivals": arrivals}}) == []


def test_every_registered_entry_has_its_keys_in_the_schema() -> None:
    for model in (EndpointSpec, PromptSpec, ArrivalSpec):
        assert [name for name, _ in entries(model)] == model.registry.names()


def test_an_entry_that_cannot_be_imported_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS._table, "broken", "no_such_module:Target")
    names = [name for name, _ in entries(DeploySpec)]
    assert "broken" not in names
    assert "local" in names
    schema = json_schema()
    run = quickstart()
    run["endpoints"][0]["deploy"] = {"target": "broken", "whatever": 1}
    assert not list(Draft202012Validator(schema).iter_errors(run))
