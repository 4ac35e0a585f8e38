"""A demand: what may be written, its rate over a day, and a share of it that is drawn as the whole is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fmload.base.errors import FmloadError
from fmload_analysis.capacity.demand import Demand, Window, demand_of
from fmload_analysis.capacity.demand_file import DemandFile, parse_rate, read_demand
from fmload_analysis.capacity.model import ReplicaModel

MODEL = ReplicaModel(0.02, slots=8)
INPUTS, OUTPUTS = np.array([100.0, 200.0]), np.array([10.0, 20.0])


def demand(text: str) -> Demand:
    return demand_of(read_demand(text), text, INPUTS, OUTPUTS)


def written(folder: Path, text: str) -> str:
    path = folder / "demand.yml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("text", "per_s"), [("20/s", 20), ("90/min", 1.5), ("8.64M/day", 100), ("1e9/day", 11574.07),
                                             ("2.628G/month", 1000), ("3.6k / h", 1)])
def test_a_rate_has_its_time(text: str, per_s: float) -> None:
    assert parse_rate(text) == pytest.approx(per_s, rel=1e-4)


@pytest.mark.parametrize("text", ["20", "0/s", "20/week", "-1/s", "many", "1e99/s"])
def test_what_is_no_rate_is_refused_with_examples(text: str) -> None:
    with pytest.raises(FmloadError, match="neither a file nor a rate"):
        read_demand(text)


def test_all_that_is_wrong_in_a_demand_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "rate: 20\nusers: 5\nday: [0, 0]\nflash: {at: 1h, times: 0.5, lasts: 10}\nspread: odd\n")
    with pytest.raises(FmloadError) as error:
        read_demand(path)
    for where in ("demand.yml:1: rate", "demand.yml:2: users", "demand.yml:3: day", "demand.yml:4: flash.times",
                  "demand.yml:4: flash.lasts", "demand.yml:5: spread"):
        assert where in str(error.value)


def test_a_crowd_that_comes_after_the_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=r"demand.yml:2: flash\.at"):
        read_demand(written(tmp_path, "rate: 20/s\nflash: {at: 30h, times: 3, lasts: 5m}\n"))


@pytest.mark.parametrize("flash", ["{at: 23h, times: 3, lasts: 2h}", "{at: 1h, times: 3, lasts: 30h}",
                                   "{at: 23h59m, times: 3, lasts: 10s, rise: 30s}"])
def test_a_crowd_that_has_not_gone_by_the_end_of_the_day_is_refused(tmp_path: Path, flash: str) -> None:
    with pytest.raises(FmloadError, match=r"demand.yml:2: flash.lasts: the crowd has gone .* after the end of the day"):
        read_demand(written(tmp_path, f"rate: 5/s\nflash: {flash}\n"))


def test_a_crowd_may_last_to_the_end_of_the_day(tmp_path: Path) -> None:
    assert read_demand(written(tmp_path, "rate: 5/s\nflash: {at: 23h, times: 3, lasts: 58m}\n")).flash is not None


@pytest.mark.parametrize(("day", "told"), [
    ("{low: 2}", ["day.low: must be at most 1.0, not 2"]), ("{low: x}", ["day.low: must be a number, not 'x'"]),
    ("{lo: 0.2}", ["day.low: is missing", "day.lo: unknown key 'lo'; did you mean 'low'?"]),
    ("[1]", ["day: needs at least 2 entries; it has 1"]), ("5", ["day: must be a mapping or a list, not 5"])])
def test_a_day_of_one_form_is_told_what_is_wrong_in_that_form_alone(tmp_path: Path, day: str, told: list[str]) -> None:
    with pytest.raises(FmloadError) as error:
        read_demand(written(tmp_path, f"rate: 5/s\nday: {day}\n"))
    assert len(error.value.problems) == len(told)  # type: ignore[attr-defined]
    assert all(f"demand.yml:2: {one}" in str(error.value) for one in told), str(error.value)


@pytest.mark.parametrize(("level", "told"), [
    ("-1", "must be at least 0.0, not -1"), ("2000000", "must be at most 1000000.0, not 2000000"),
    (".nan", "must be a number"), (".inf", "must be a number"), ("many", "must be a number, not 'many'"),
    ("true", "must be a number, not true"), ("[1]", "must be a number, not a list")])
def test_a_level_of_the_day_that_is_no_rate_is_told_at_its_place(tmp_path: Path, level: str, told: str) -> None:
    with pytest.raises(FmloadError) as error:
        read_demand(written(tmp_path, f"rate: 5/s\nday: [1, {level}, 2]\n"))
    assert f"demand.yml:2: day[1]: {told}" in str(error.value)
    assert "mapping" not in str(error.value)


@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize("burstiness", [0.01, 0.1, 4.0])
def test_bursts_come_at_their_rate_and_a_share_of_them_is_what_chance_picks(share: float, burstiness: float) -> None:
    whole = demand_of(DemandFile(rate="50/s", spread="gamma", burstiness=burstiness), "", np.ones(1), np.ones(1))
    arrivals = [whole._arrivals(Window(0.0, 3600.0), share, seed) for seed in range(20)]
    counts = [len(one) for one in arrivals]
    assert np.mean(counts) == pytest.approx(180_000 * share, rel=0.1)
    gaps = np.diff(np.concatenate([one + 3600 * place for place, one in enumerate(arrivals)]))
    variation = float(np.var(gaps) / np.mean(gaps) ** 2)
    assert variation == pytest.approx(1 - share + share / burstiness, rel=0.1)  # of a thinned renewal process


@pytest.mark.parametrize("source", ["synthetic, input_tokens: 50, output_tokens: 5", "agent_trace, files: [t.jsonl]"])
def test_a_trace_of_a_source_without_arrivals_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(FmloadError, match=r"demand.yml:1: trace.source: '\w+' tells of no request when it came"):
        read_demand(written(tmp_path, f"trace: {{name: t, source: {source}}}\n"))


def test_users_and_a_days_curve_keep_the_mean(tmp_path: Path) -> None:
    found = demand(written(tmp_path, "users: 1000000\nrequests_per_user_per_day: 8.64\nday: {low: 0.25}\n"))
    assert found.mean_per_s == pytest.approx(100)
    assert found.peak_per_s == pytest.approx(160)
    assert found.per_s.min() == pytest.approx(40)


def test_a_flash_crowd_is_in_the_part_that_is_simulated(tmp_path: Path) -> None:
    found = demand(written(tmp_path, "rate: 10/s\nflash: {at: 6h, times: 4, rise: 1m, lasts: 10m}\n"))
    window = found.window(6000, 1.0)
    assert found.peak_per_s == pytest.approx(40)
    assert window.begin_s + window.from_s < 6 * 3600 + 600
    assert window.end_s > 6 * 3600


def test_a_share_of_a_demand_comes_at_its_rate_and_is_as_long(tmp_path: Path) -> None:
    found = demand(written(tmp_path, "rate: 200/s\nday: {low: 0.5}\n"))
    window = Window(0.0, 3600.0)
    whole, tenth = (found.jobs(MODEL, window, share, 1) for share in (0.2, 0.02))
    expected = float(np.interp(3600.0, found.at_s, found._integrated()))
    assert len(whole) == pytest.approx(expected * 0.2, rel=0.02)
    assert len(tenth) == pytest.approx(expected * 0.02, rel=0.05)
    assert {job.input_tokens for job in tenth} == {100.0, 200.0}
    assert [job.steps for job in whole[:100]] == [job.steps for job in tenth[:100]]


def test_lengths_of_a_prompt_and_its_answer_stay_together() -> None:
    assert {(job.input_tokens, job.steps) for job in demand("5/s").jobs(MODEL, Window(0.0, 100.0), 1.0, 3)} == {
        (100.0, 10), (200.0, 20)}


def traced(folder: Path, count: int = 600) -> Path:
    path = folder / "azure.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        rows.writerows([f"2024-05-10 00:{i // 60:02d}:{i % 60:02d}.5", 100 + i, 7] for i in range(count))
    return path


def test_a_trace_is_replayed_with_its_own_lengths(tmp_path: Path) -> None:
    found = demand(str(traced(tmp_path)))
    jobs = found.jobs(MODEL, Window(0.0, found.lasts_s + 1), 1.0, 1)
    assert len(jobs) == 600
    assert [job.arrival_s for job in jobs[:3]] == [0.0, 1.0, 2.0]
    assert [job.input_tokens for job in jobs[:2]] == [100.0, 101.0]
    assert {job.steps for job in jobs} == {7}


def test_a_trace_may_be_thinned_and_multiplied(tmp_path: Path) -> None:
    traced(tmp_path)
    found = demand(written(tmp_path, "rate: 4/s\ntrace: {name: t, source: azure_trace, files: [azure.csv]}\n"))
    window = Window(0.0, found.lasts_s + 1)
    assert len(found.jobs(MODEL, window, 1.0, 1)) == pytest.approx(4 * found.lasts_s, rel=0.02)
    assert len(found.jobs(MODEL, window, 0.1, 1)) == pytest.approx(0.4 * found.lasts_s, rel=0.15)


@pytest.mark.parametrize(("count", "begin_s", "end_s"), [(3, 0.0, 3.0), (600, 0.0, 600.0), (600, 200.0, 260.0)])
def test_a_trace_that_is_multiplied_comes_at_the_rate_that_is_asked_for(tmp_path: Path, count: int, begin_s: float,
                                                                        end_s: float) -> None:
    traced(tmp_path, count)
    found = demand(written(tmp_path, "rate: 40/s\ntrace: {name: t, source: azure_trace, files: [azure.csv]}\n"))
    jobs = found.jobs(MODEL, Window(begin_s, end_s), 1.0, 1)
    assert len(jobs) == pytest.approx(40 * (end_s - begin_s), rel=0.1)
    assert all(0 <= job.arrival_s < end_s - begin_s for job in jobs)


def test_a_file_whose_columns_are_not_known_is_refused_with_them(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("when,who\n1,2\n")
    with pytest.raises(FmloadError, match="who"):
        read_demand(str(tmp_path / "odd.csv"))


def test_a_session_asks_as_often_as_it_has_turns(tmp_path: Path) -> None:
    found = demand(written(tmp_path, "rate: 20/s\nsessions: {turns: 4, repeats: 0.8, pause: 10s}\n"))
    jobs = found.jobs(MODEL, Window(0.0, 600.0), 1.0, 1)
    counts = np.bincount([job.session for job in jobs])
    assert counts.max() == 4
    assert np.median(counts[:-300]) == 4
