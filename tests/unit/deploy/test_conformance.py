"""What every deploy target and every resource kind must be, third parties' included."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel

from fmload.plugins import FLEETS, KINDS, TARGETS
from fmload_deploy.sweep import _ORDER

# this host's, a cluster's, and what AWS has by itself while it updates: the tagging API does not know them
OUTSIDE_TAGS = {"process", "k8s-namespace", "k8s-job", "k8s-secret", "k8s-service", "sagemaker-endpoint-update"}


@pytest.mark.parametrize("name", TARGETS.names())
def test_a_target_has_options_that_say_what_they_are_a_plan_and_an_up(name: str) -> None:
    target = TARGETS.load(name)
    assert issubclass(target.Options, BaseModel)
    assert target.Options.model_config["extra"] == "forbid"
    assert list(inspect.signature(target).parameters) == ["spec", "context"]
    assert callable(target.plan) and callable(target.up) and target.__doc__


@pytest.mark.parametrize("name", FLEETS.names())
def test_a_fleet_target_has_flags_that_say_what_they_are_and_all_that_a_fleet_lives_by(name: str) -> None:
    target = FLEETS.load(name)
    assert target.Options.model_config["extra"] == "forbid"
    assert all(field.description for field in target.Options.model_fields.values())
    assert list(inspect.signature(target).parameters) == ["fleet", "context"]
    assert all(callable(getattr(target, method)) for method in ("plan", "up", "mailbox", "look", "running"))


@pytest.mark.parametrize("name", KINDS.names())
def test_a_kind_can_be_found_and_deleted_by_what_the_ledger_knows(name: str) -> None:
    kind = KINDS.load(name)()
    for method in (kind.find, kind.delete):
        assert list(inspect.signature(method).parameters) == ["resource", "context"]


def test_sweep_knows_the_order_of_every_kind_that_tags_can_find() -> None:
    assert set(_ORDER) == set(KINDS.names()) - OUTSIDE_TAGS
