"""The plan: the fewest replicas that keep the objectives, what a share of a fleet says of it, and what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import ENGINE, measured

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.config.objectives import parse_objectives
from fmload_analysis.capacity.autoscale import Autoscale
from fmload_analysis.capacity.demand import Demand
from fmload_analysis.capacity.figures import Estimate, estimate
from fmload_analysis.capacity.limits import judged, objectives_of
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.plan import Plan, plan
from fmload_analysis.capacity.trial import Settings, Trial

MODEL = ReplicaModel(0.03, 0.0005, 2e-7, 0.01, 2e-4, 32)
OBJECTIVES = parse_objectives({"ttft_p95": "500ms"})


def steady(per_s: float) -> Demand:
    draw = np.random.default_rng(3)
    return Demand(f"{per_s}/s", np.array([0.0, 86400.0]), np.array([per_s, per_s]), draw.integers(20, 600, 500) * 1.0,
                  draw.integers(10, 90, 500) * 1.0)


def test_one_replica_less_than_the_plan_says_misses_the_objectives() -> None:
    found = plan(MODEL, steady(20), OBJECTIVES, Settings(seeds=3, requests=3000))
    assert found.best is not None
    assert found.best.keeps
    less = next(one for one in found.tried if one.replicas == found.best.replicas - 1)
    assert not less.keeps
    assert less.figures["ttft_p95"].value > found.best.figures["ttft_p95"].value


def test_a_lost_replica_needs_another_one() -> None:
    def replicas(lose: int) -> int:
        found = plan(MODEL, steady(20), OBJECTIVES, Settings("least_busy", seeds=3, requests=3000, lose=lose))
        assert found.best is not None
        return found.best.replicas

    assert replicas(0) < replicas(1) <= replicas(0) + 2


def test_a_fleet_that_loses_more_than_the_demand_needs_has_one_left_that_serves() -> None:
    for lose in (1, 40):
        found = plan(MODEL, steady(1), OBJECTIVES, Settings("least_busy", seeds=2, requests=300, lose=lose))
        assert found.best is not None and found.best.replicas > lose
        assert found.best.figures["requests"].value < 600  # no multiple of the demand is simulated


def test_a_fleet_of_which_all_that_serve_are_simulated_needs_no_confirmation() -> None:
    slow = replace(MODEL, step_fixed_s=0.3, slots=8)
    found = plan(slow, steady(4), parse_objectives({"ttft_p95": "1s"}),
                 Settings("least_busy", seeds=2, requests=200, lose=40, most_simulated=4))
    assert found.best is not None and found.best.simulated == found.best.replicas - 40 > 4
    assert not found.share_error and found.share_left == 0


def test_a_demand_in_which_no_request_comes_is_refused() -> None:
    with pytest.raises(FmloadError, match="no request comes in the part of the demand that is simulated"):
        plan(MODEL, steady(1e-7), OBJECTIVES, Settings(seeds=2))


def test_a_fleet_that_answers_no_request_has_no_figure_and_no_plan(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s", "--objective", "ttft_p95=1s", "--mtbf", "10ms",
                 "--restart", "200ms", "--seeds", "1", "--requests", "200"]) == 3
    assert "n/a (missed)" in " ".join(capsys.readouterr().out.split())
    assert "NaN" not in (tmp_path / "run" / "capacity.json").read_text()


def test_no_time_between_failures_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["capacity", "r", "--demand", "3/s", "--mtbf", "0s"])
    assert "--mtbf: must be above 0" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_plans_folder_is_told_before_the_work(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measured(tmp_path / "run", rates=(0.5, 3), window_s=30)
    (tmp_path / "plan").write_text("mine")
    monkeypatch.setattr("fmload_analysis.capacity.answer.answer", lambda *_: pytest.fail("worked for nothing"))
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s", "--out", str(tmp_path / "plan")]) == 2
    told = capsys.readouterr().err
    assert f"cannot make the folder {tmp_path / 'plan'}: File exists" in told and "--out" in told


def test_limits_that_no_replica_keeps_alone_have_no_plan() -> None:
    found = plan(MODEL, steady(2), parse_objectives({"ttft_p95": "1ms"}), Settings(seeds=2, requests=500))
    assert found.best is None
    assert len(found.tried) > 1


def test_bursts_that_many_replicas_would_serve_are_not_called_hopeless() -> None:
    demand = replace(steady(2), spread="gamma", burstiness=0.01)
    found = plan(MODEL, demand, parse_objectives({"ttft_p95": "1s"}), Settings("least_busy", seeds=2, requests=400))
    assert found.best is not None
    assert found.best.replicas > 8


def test_prompts_that_nobody_counted_are_told_and_cost_no_made_up_month(tmp_path: Path,
                                                                        capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30, change={"input_tokens": None})
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s", "--seeds", "2", "--requests", "200",
                 "--per-token", "anthropic.claude-haiku-4-5-20251001-v1:0"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "were not counted, by the server nor by a tokenizer" in told and "no prompt of the run was counted" in told
    found = json.loads((tmp_path / "run" / "capacity.json").read_text())
    assert found["by_token"][0]["usd_per_month"] is None


def test_an_answer_of_which_the_server_tells_no_token_is_as_long_as_its_chunks(tmp_path: Path) -> None:
    for name, change in (("told", {}), ("zero", {"output_tokens": 0})):
        measured(tmp_path / name, rates=(0.5, 3, 12), window_s=30, change=change)
        assert main(["capacity", str(tmp_path / name), "--demand", "3/s", "--seeds", "2", "--requests", "200"]) == 0
    told, zero = (json.loads((tmp_path / name / "capacity.json").read_text())["options"][0]
                  for name in ("told", "zero"))
    assert zero["replicas"] == told["replicas"] and zero["fleets"] == told["fleets"]


def test_failures_that_none_of_the_simulated_part_saw_are_told(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    asked = ["capacity", str(tmp_path / "run"), "--demand", "3/s", "--seeds", "2", "--requests", "200", "--mtbf"]
    told = "no replica was down in what was simulated"
    assert main([*asked, "1000h"]) == 0 and told in capsys.readouterr().out
    main([*asked, "10s"])
    assert told not in capsys.readouterr().out


def test_what_autoscaling_pays_for_beyond_the_rates_call_is_told(tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    main(["capacity", str(tmp_path / "run"), "--demand", "10/s", "--seeds", "2", "--requests", "2000",
          "--routing", "least_busy", "--autoscale", "1-40,target=0.4,startup=0s"])
    found = json.loads((tmp_path / "run" / "capacity.json").read_text())["options"][0]
    paid, month = found["autoscaled"]["figures"]["paid_replicas"]["value"], found["autoscaled"]["mean_replicas"]
    assert paid > 1.05 * month
    assert f"a month may cost {paid / month - 1:.0%} more than is told" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "why"), [
    ("5-3", "from 1 to 10,000,000, the smaller one first"), ("2-99999999999", "from 1 to 10,000,000"),
    ("2-9,target=", "is not a share of the slots"), ("2-9,target=2", "1 at most"), ("2-9,look=1ms", "1s at least"),
    ("2-9,look=2s,look=3s", "'look' stands twice"), ("2-9,startup=0", "is not a duration")])
def test_a_rule_of_autoscaling_that_cannot_be_is_refused_with_why(text: str, why: str, tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", str(tmp_path), "--demand", "3/s", "--autoscale", text]) == 2
    assert why in capsys.readouterr().err


def test_an_objective_that_stands_twice_is_refused() -> None:
    with pytest.raises(FmloadError, match="--objective ttft_p95=2s: 'ttft_p95' stands twice; keep one"):
        objectives_of({}, ["ttft_p95=1s", "ttft_p95=2s"])


def test_objectives_of_which_a_simulation_judges_none_are_not_called_absent(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s", "--seeds", "2", "--requests", "200",
                 "--objective", "itl_p95=1s"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "a simulation judges none of the objectives" in told and "no objectives were given" not in told


def test_one_replica_keeps_and_many_are_told_to_the_last() -> None:
    from fmload_analysis.capacity.words import count

    assert (count(18_067), count(4.0), count(3.4567)) == ("18,067", "4", "3.46")


@pytest.mark.parametrize("routing", ["round_robin", "least_busy"])
def test_what_a_share_of_a_fleet_says_comes_near_to_the_whole_fleet(routing: str) -> None:
    replicas = 48
    demand = steady(0.75 * replicas * MODEL.most_requests_per_s(310, 50))

    def figures(simulated: int) -> dict[str, Estimate]:
        settings = Settings(routing, seeds=2, requests=200 * simulated, most_simulated=simulated)
        window = demand.window(settings.requests, simulated / replicas)
        return Trial(MODEL, demand, OBJECTIVES, settings, window, print).of(replicas).figures

    whole, share = figures(48), figures(16)
    for name, near in (("e2e_p50", 0.05), ("e2e_p95", 0.05), ("ttft_p95", 0.12), ("utilisation", 0.03)):
        assert share[name].value == pytest.approx(whole[name].value, rel=near), name


def test_a_billion_requests_a_day_need_the_same_replicas_whatever_share_is_simulated() -> None:
    def planned(simulated: int) -> Plan:
        return plan(MODEL, demand, OBJECTIVES, Settings("least_busy", seeds=2, requests=800, most_simulated=simulated))

    demand = steady(1e9 / 86400)
    demand = replace(demand, outputs=demand.outputs * 4)  # fewer requests a replica: a test of a few seconds
    each = MODEL.most_requests_per_s(310, 200)
    small, large = planned(4), planned(8)
    for found in (small, large):
        assert found.best is not None
        assert found.best.keeps
        assert 0.9 * 11574 / each < found.best.replicas < 1.5 * 11574 / each
        assert set(found.share_error) >= {"ttft_p95", "e2e_p95"}
    assert small.best is not None
    assert large.best is not None
    assert 16 <= small.best.simulated < large.best.simulated < 48
    assert small.best.simulated == 4 * small.searched
    assert small.share_left == pytest.approx(max(map(abs, small.share_error.values())) / 3)
    assert small.best.replicas == pytest.approx(large.best.replicas, rel=0.06)


@pytest.mark.parametrize("routing", ["round_robin", "least_busy"])
def test_a_million_requests_a_day_need_as_many_replicas_when_a_share_is_simulated_as_when_all_are(routing: str) -> None:
    slow = replace(MODEL, step_fixed_s=0.3, slots=8)  # some 25 replicas for 11.6 a second
    demand = steady(1e6 / 86400)
    limits = parse_objectives({"ttft_p95": "1s"})

    def planned(simulated: int) -> int:
        found = plan(slow, demand, limits, Settings(routing, seeds=3, requests=80 * min(simulated, 20),
                                                    most_simulated=simulated))
        assert found.best is not None
        return found.best.replicas

    whole = planned(200)
    assert 20 < whole <= planned(8) <= 1.15 * whole


def test_autoscaling_pays_for_less_than_the_peak_where_the_day_has_one() -> None:
    day = steady(12)
    at_s = np.linspace(0, 86400, 8641)
    wave = Demand("day", at_s, 12 * (1 - 0.8 * np.cos(2 * np.pi * at_s / 86400)), day.inputs, day.outputs)
    found = plan(MODEL, wave, OBJECTIVES, Settings("least_busy", Autoscale(1, 40, 0.4), seeds=2, requests=2000))
    assert found.best is not None
    assert found.scaled is not None
    assert found.paid_replicas is not None
    assert found.paid_replicas < found.best.replicas


def test_a_share_of_an_autoscaled_fleet_never_stands_for_more_replicas_than_the_rule_allows() -> None:
    demand = steady(0.75 * 48 * MODEL.most_requests_per_s(310, 50))
    found = plan(MODEL, demand, OBJECTIVES, Settings("least_busy", Autoscale(1, 2, 0.5), seeds=1, requests=400,
                                                        most_simulated=3)).scaled
    assert found is not None and not found.keeps
    assert max(look.paid for look in found.looks) / found.share <= 2


def test_a_share_of_an_autoscaled_fleet_loses_its_share_of_what_is_lost() -> None:
    demand = steady(0.6 * 48 * MODEL.most_requests_per_s(310, 50))
    settings = Settings("least_busy", Autoscale(1, 200, 0.5), lose=16, seeds=1, requests=400, most_simulated=6)
    found = plan(MODEL, demand, OBJECTIVES, settings)
    assert found.scaled is not None and found.best is not None
    assert found.scaled.figures["failures"].value == round(16 * found.scaled.share) < 4


def test_kept_means_the_whole_interval_and_unclear_that_it_holds_the_limit() -> None:
    def result(low: float, high: float) -> str:
        figures = {"ttft_p95": Estimate((low + high) / 2, low, high), "kept_up": Estimate(1.0)}
        return judged(OBJECTIVES, figures)[0].result

    assert [result(0.3, 0.49), result(0.4, 0.6), result(0.51, 0.6)] == ["kept", "unclear", "missed"]


def test_intervals_over_seeds_are_students() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2 - 4.303 / 3 ** 0.5, 2 + 4.303 / 3 ** 0.5))
    assert estimate([5.0]) == Estimate(5.0)


def test_all_objectives_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(FmloadError) as error:
        objectives_of({}, ["ttft_p95", "tftt_p95=1s", "e2e_p95=3", "e2e_p99=2s"])
    assert all(text in str(error.value) for text in ("ttft_p95:", "tftt_p95=1s", "e2e_p95=3"))
    assert "e2e_p99" not in str(error.value).partition("hint")[0]


def test_objectives_that_a_simulation_cannot_judge_are_named() -> None:
    known, others = objectives_of({"ttft_p95": "1s", "price_per_1k_transactions": 2}, [])
    assert [one.name for one in known] == ["ttft_p95"]
    assert others == ("price_per_1k_transactions",)


FEW = ["--seeds", "2", "--requests", "400", "--simulate", "4"]


def test_the_command_writes_a_page_and_json_that_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "12/s", *FEW, "--per-token",
                 "anthropic.claude-haiku-4-5-20251001-v1:0"]) == 0
    told = json.loads((tmp_path / "run" / "capacity.json").read_text())
    option = told["options"][0]
    assert option["usd_per_month"] == pytest.approx(option["replicas"] * 1.2 * 730)
    assert told["by_token"][0]["usd_per_month"] > 0
    page = (tmp_path / "run" / "capacity.html").read_text()
    out = capsys.readouterr().out
    for text in (page, out):
        assert f"{option['replicas']} replica" in text
        assert f"{option['usd_per_month']:,.2f}" in text


def test_runs_of_several_instance_types_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "cheap", rates=(0.5, 3, 12), window_s=30, name="cheap")
    faster = replace(ENGINE, decode_fixed_s=0.01, prefill_tokens_per_s=12_000.0)
    measured(tmp_path / "dear", rates=(0.5, 6, 24), window_s=30, model=faster, name="dear",
             endpoints=[{"name": "a", "price": {"hourly": 9.0}}])
    assert main(["capacity", str(tmp_path / "cheap"), str(tmp_path / "dear"), "--demand", "40/s", *FEW]) == 0
    told = json.loads((tmp_path / "cheap" / "capacity.json").read_text())
    cheap, dear = told["options"]
    assert [cheap["name"], dear["name"]] == ["cheap · a", "dear · a"]
    assert dear["replicas"] < cheap["replicas"]
    assert dear["usd_per_month"] > cheap["usd_per_month"]


def test_the_same_seed_gives_the_same_plan(tmp_path: Path) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    texts = []
    for folder in ("one", "two"):
        main(["capacity", str(tmp_path / "run"), "--demand", "12/s", *FEW, "--out", str(tmp_path / folder)])
        texts.append((tmp_path / folder / "capacity.json").read_text())
    assert texts[0] == texts[1]


def test_all_that_is_wrong_with_a_command_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", str(tmp_path / "none"), "--demand", "20", "--objective", "odd=1s", "--autoscale",
                 "9-2,target=3,speed=1"]) == 2
    said = capsys.readouterr().err
    for text in ("none", "--demand 20", "odd", "9-2", "target=3", "speed"):
        assert text in said


def test_where_no_number_keeps_the_objectives_the_command_tells_which_is_missed(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "2/s", *FEW, "--objective", "ttft_p95=1ms"]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "no number of replicas keeps ttft_p95" in said
    assert "(missed)" in said
    assert "n/a" in said


def test_an_endpoint_that_was_not_measured_is_refused_with_those_that_were(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "1/s", "--endpoint", "b"]) == 2
    assert "there are a" in capsys.readouterr().err
