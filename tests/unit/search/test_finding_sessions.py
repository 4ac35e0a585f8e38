"""A search by the durations of sessions, and arrivals of sessions that an endpoint cannot keep up with."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from fmload.config.objectives import parse_objectives
from fmload.model.record import pack
from fmload.model.session import Session
from fmload.model.stage import Find, Load, Stage
from fmload.results import sessions as frames
from fmload.search import judging, saturation
from fmload.search.verdicts import judge
from fmload.statistics.observation import Observation, Seen
from fmload.statistics.observed_sessions import SeenSessions
from tests.handmade import request

S = 1_000_000_000


def session(name: str, begin_s: float, end_s: float, outcome: Any = "finished", stage: int = 0) -> Session:
    return Session(name, "job", "", "w", stage, "e", "job", round(begin_s * S), round(end_s * S), outcome, 3, 0)


def stage(kind: Any = "concurrency", value: float = 4, **more: Any) -> Stage:
    made = Stage(0, 0, 0, "e", "job", Load(kind, value, sessions=True), {}, 0.0, 0.0, 60.0, None, 10.0, **more)
    made.ramp_start_ns = made.window_start_ns = 10 * S
    made.window_end_ns = 70 * S
    return made


def observed(*told: Session, offset_ns: int = 0) -> Observation:
    observation = Observation()
    observation.watch([], [0])
    observation.take([pack(request("r", 1, [2])), *map(frames.pack, told)], offset_ns)
    return observation


@pytest.mark.parametrize(("lasting_s", "failed", "result"), [
    (1.0, 0, "meets"), (3.0, 0, "fails"), (1.0, 20, "fails"), (1.0, 3, "unclear")])
def test_a_load_is_judged_by_its_sessions_and_a_failed_one_takes_longer_than_any_limit(
        lasting_s: float, failed: int, result: str) -> None:
    told = [(session(f"s{n}", n, n + lasting_s, "failed" if n < failed else "finished"), 0) for n in range(80)]
    found = judge(parse_objectives({"session_duration_p95": "2s"}), Seen([]), 0.95, SeenSessions(told))
    assert found.judged[0].result == result


def test_sessions_count_that_ended_inside_the_window_by_themselves_on_the_masters_clock() -> None:
    told = [session("before", 0, 11), session("inside", 5, 20), session("cut", 15, 60, "cut"),
            session("after", 60, 75), session("other", 15, 20, stage=3), session("never", 15, 20)]
    told[-1].end_ns = None
    seen = observed(*told, offset_ns=2 * S).sessions(0)
    assert [one.session for one, _ in seen.ended_within(10 * S, 70 * S).told] == ["inside"]


def test_the_verdict_at_the_end_is_that_of_the_sessions_of_the_window() -> None:
    find = Find({"session_duration_p95": "2s"}, 0.95, 60.0)
    slow = [session(f"slow{n}", n / 10, 9.0) for n in range(60)]  # of the warm-up
    fast = [session(f"s{n}", 11 + n / 2, 12 + n / 2) for n in range(80)]
    assert judging.final(stage(find=find), observed(*slow, *fast)).result == "meets"
    assert judging.final(stage(find=find), observed(*slow)).result == "unclear"


@pytest.mark.parametrize(("every_s", "behind"), [(0.5, False), (1.0, True)])
def test_sessions_that_finish_more_slowly_than_they_arrive_fall_behind(every_s: float, behind: bool) -> None:
    """Two arrive a second."""
    told = [session(f"s{n}", 9 + n * every_s, 10 + n * every_s) for n in range(int(59 / every_s))]
    due = saturation.Due(iter([n / 2 for n in range(200)]))
    assert saturation.falls_behind(stage("rate", 2), observed(*told), due, 69 * S) is behind


def test_a_frame_of_a_session_is_read_back_and_one_of_an_earlier_version_too() -> None:
    whole = session("s", 1, 2)
    assert frames.unpack(frames.pack(whole)) == whole
    early = {name: value for name, value in msgpack.unpackb(frames.pack(whole)).items() if "path_" not in name}
    assert frames.unpack(msgpack.packb(early)) == whole
