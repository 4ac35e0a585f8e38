"""Ids of requests: UUIDs of version 4, trials too, and the two are told apart."""

from __future__ import annotations

from uuid import UUID

from fmload.model.request_id import is_trial, new_id, new_trial_id


def test_all_ids_are_uuids_of_version_4() -> None:
    for made in (new_id(), new_trial_id()):
        assert str(UUID(made)) == made and UUID(made).version == 4 and UUID(made).variant == "specified in RFC 4122"


def test_trials_are_known_by_their_mark() -> None:
    assert is_trial(new_trial_id()) and not is_trial(new_id()) and new_trial_id() != new_trial_id()
