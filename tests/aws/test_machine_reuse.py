"""Candidates of one machine are served by it in turn: on an emulated account, its ledger, leases, teardown and cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fmload.cli.stacks import machines_for
from fmload.config.schema import RunFile
from fmload_deploy.emulation import Emulation
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.machines import Machines, key_of

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

ROLE = "arn:aws:iam::123456789012:role/serve"
MakeEc2 = Callable[..., RunFile]


@pytest.fixture
def rule(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts rules of a scenario into force; all are gone after the test."""
    monkeypatch.setattr(Emulation, "_serve_aws", lambda self: (self._process("aws"), aws.url))
    yield lambda **keys: aws.post("/fmload/scenario", **keys)
    aws.delete("/fmload/scenario")


@pytest.fixture
def ec2(make_run_file: MakeRunFile) -> MakeEc2:
    def make(name: str, **deploy: Any) -> RunFile:
        return make_run_file({"name": name, "protocol": "openai", "model": "Qwen/Qwen3-32B", "deploy": {
            "target": "ec2", "instance_type": "g6e.12xlarge", "container": "vllm", "emulator": "instant", **deploy}})
    return make


@pytest.fixture
def sagemaker(make_run_file: MakeRunFile) -> MakeEc2:
    def make(name: str, **deploy: Any) -> RunFile:
        return make_run_file({"name": name, "protocol": "sagemaker", "model": "Qwen/Qwen3-32B", "deploy": {
            "target": "sagemaker", "instance_type": "ml.g6e.12xlarge", "container": "vllm", "role": ROLE, **deploy}})
    return make


@pytest.fixture
def machines(rule: Callable[..., None], tmp_path: Path) -> Iterator[Machines]:
    made = machines_for(tmp_path, 1)
    yield made
    made.end()


def ledger(folder: Path, name: str = "00") -> Ledger:
    return Ledger.open(folder / "machines" / name / NAME)


def up(folder: Path, kind: str, name: str = "00") -> list[str]:
    return [entry.resource.name for entry in ledger(folder, name).entries() if entry.up and entry.resource.kind == kind]


def running(aws: EmulatedAws) -> list[str]:
    return [one["InstanceId"] for group in aws.client("ec2").describe_instances(Filters=[
        {"Name": "tag-key", "Values": ["fmload:run"]}, {"Name": "instance-state-name", "Values": ["running"]}])[
            "Reservations"] for one in group["Instances"]]


def test_the_next_candidate_of_a_machine_is_served_by_other_containers_on_the_same_instance(
        aws: EmulatedAws, machines: Machines, ec2: MakeEc2, tmp_path: Path) -> None:
    first = machines.stand_up(ec2("a", max_sequences=8), tmp_path / "t0")
    assert first.run is not None and not first.reused and first.run.endpoints[0].url
    [instance] = running(aws)
    machines.hand_back(first.machine)
    second = machines.stand_up(ec2("b", max_sequences=32), tmp_path / "t1")
    assert second.run is not None and second.reused and second.machine == first.machine
    assert running(aws) == [instance] and second.run.endpoints[0].name == "b"
    sent = aws.client("ssm").list_commands(InstanceId=instance)["Commands"]
    script = "\n".join(sent[-1]["Parameters"]["commands"])
    assert "docker rm --force" in script and "--max-num-seqs 32" in script and len(sent) == 1
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    machines.hand_back(first.machine)
    machines.end()
    assert not running(aws) and not [entry for entry in ledger(tmp_path).entries() if entry.up]


def test_the_same_candidate_again_needs_no_other_containers(
        aws: EmulatedAws, machines: Machines, ec2: MakeEc2, tmp_path: Path) -> None:
    for trial in ("t0", "t1"):
        machines.hand_back(machines.stand_up(ec2("a"), tmp_path / trial).machine)
    [instance] = running(aws)
    assert aws.client("ssm").list_commands(InstanceId=instance)["Commands"] == []


def test_another_machine_is_made_after_the_former_is_gone(
        aws: EmulatedAws, machines: Machines, ec2: MakeEc2, tmp_path: Path) -> None:
    one = machines.stand_up(ec2("a"), tmp_path / "t0")
    machines.hand_back(one.machine)
    other = machines.stand_up(ec2("b", instance_type="g6e.2xlarge"), tmp_path / "t1")
    assert not other.reused and other.machine != one.machine and len(running(aws)) == 1
    assert up(tmp_path, "ec2-instance") == [] and len(up(tmp_path, "ec2-instance", other.machine)) == 1


def test_containers_that_do_not_start_are_told_with_their_log_and_the_machine_serves_the_next(
        aws: EmulatedAws, machines: Machines, rule: Callable[..., None], ec2: MakeEc2, tmp_path: Path) -> None:
    rule(call="SendCommand", holds="--max-num-seqs 512", fails="exit status 1",
         log=["loading", "torch.OutOfMemoryError: CUDA out of memory"])
    machines.hand_back(machines.stand_up(ec2("a", max_sequences=8), tmp_path / "t0").machine)
    failed = machines.stand_up(ec2("b", max_sequences=512), tmp_path / "t1")
    assert failed.run is None and failed.reused and failed.error is not None
    assert "memory does not hold it" in failed.error.message and "CUDA out of memory" in failed.error.message
    machines.hand_back(failed.machine)
    third = machines.stand_up(ec2("c", max_sequences=16), tmp_path / "t2")
    assert third.run is not None and third.reused and len(running(aws)) == 1


def test_a_machine_whose_first_start_fails_is_taken_down_at_once(
        aws: EmulatedAws, machines: Machines, rule: Callable[..., None], ec2: MakeEc2, tmp_path: Path) -> None:
    rule(call="RunInstances", holds="--max-num-seqs 512", console=["fmload: FAILED line 88 of the start script"])
    failed = machines.stand_up(ec2("a", max_sequences=512), tmp_path / "t0")
    assert failed.error is not None and "line 88" in failed.error.message
    assert running(aws) == [] and not [entry for entry in ledger(tmp_path).entries() if entry.up]


def test_an_endpoint_is_updated_and_what_the_update_leaves_is_deleted(
        aws: EmulatedAws, machines: Machines, sagemaker: MakeEc2, tmp_path: Path) -> None:
    first = machines.stand_up(sagemaker("a", max_sequences=8), tmp_path / "t0")
    machines.hand_back(first.machine)
    [endpoint], [model] = up(tmp_path, "sagemaker-endpoint"), up(tmp_path, "sagemaker-model")
    second = machines.stand_up(sagemaker("b", max_sequences=32), tmp_path / "t1")
    assert second.reused and second.run is not None and up(tmp_path, "sagemaker-endpoint") == [endpoint]
    [config], [other] = up(tmp_path, "sagemaker-endpoint-config"), up(tmp_path, "sagemaker-model")
    described = aws.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    assert other != model and described["EndpointConfigName"] == config and described["EndpointStatus"] == "InService"
    assert second.run.endpoints[0].options.endpoint_name == endpoint
    updates = [one for one in ledger(tmp_path).lives() if one.resource.kind == "sagemaker-endpoint-update"]
    assert [one.up for one in updates] == [False] and (updates[0].resource.hourly or 0) > 5  # both fleets are paid for
    machines.hand_back(first.machine)
    machines.end()
    assert not aws.tagged(ledger(tmp_path).run_id)


def test_an_update_that_aws_takes_back_is_told_with_the_containers_log(
        aws: EmulatedAws, machines: Machines, rule: Callable[..., None], sagemaker: MakeEc2, tmp_path: Path) -> None:
    rule(call="UpdateEndpoint", holds='"512"', fails="did not pass the ping health check",
         log=["torch.OutOfMemoryError: CUDA out of memory"])
    machines.hand_back(machines.stand_up(sagemaker("a", max_sequences=8), tmp_path / "t0").machine)
    failed = machines.stand_up(sagemaker("b", max_sequences=512), tmp_path / "t1")
    assert failed.error is not None and "CUDA out of memory" in failed.error.message
    machines.hand_back(failed.machine)
    aws.slow(4)  # time enough to look at the log, in which the former containers' words stand, too
    third = machines.stand_up(sagemaker("c", max_sequences=16), tmp_path / "t2")
    assert third.run is not None and third.reused
    machines.hand_back(third.machine)
    before = len(aws.calls())
    machines.end()
    deletes = [call for call in aws.calls()[before:] if call.startswith("Delete")]
    assert deletes[0] == "DeleteEndpoint", "what it is served by goes after it, though it was made later"


def test_an_update_that_is_taken_back_without_a_word_in_the_log_has_awss_reason(
        machines: Machines, rule: Callable[..., None], sagemaker: MakeEc2, tmp_path: Path) -> None:
    rule(call="UpdateEndpoint", holds='"512"', fails="did not pass the ping health check")
    machines.hand_back(machines.stand_up(sagemaker("a", max_sequences=8), tmp_path / "t0").machine)
    failed = machines.stand_up(sagemaker("b", max_sequences=512), tmp_path / "t1")
    assert failed.error is not None and "did not pass the ping health check" in failed.error.message


@pytest.mark.parametrize("at", ["before the command", "after the command"])
def test_killed_between_two_candidates_the_next_process_serves_what_is_asked_for(
        aws: EmulatedAws, machines: Machines, ec2: MakeEc2, tmp_path: Path, at: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger never says that the former containers serve where they may not."""
    import fmload_deploy.ec2.serve_anew as module

    machines.hand_back(machines.stand_up(ec2("a", max_sequences=8), tmp_path / "t0").machine)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_sent" if at.startswith("before") else "_ended", lambda *_: exec("raise SystemExit"))
        with pytest.raises(SystemExit):
            machines.stand_up(ec2("b", max_sequences=32), tmp_path / "t1")
    again = machines_for(tmp_path, 1)  # another process, with nothing but the folder
    try:
        back = again.stand_up(ec2("a", max_sequences=8), tmp_path / "t2")
        assert back.run is not None and back.reused and len(running(aws)) == 1
        [instance] = running(aws)
        last = aws.client("ssm").list_commands(InstanceId=instance)["Commands"][-1]
        assert "--max-num-seqs 8" in "\n".join(last["Parameters"]["commands"])
    finally:
        again.end()
    assert not running(aws)


def test_what_an_earlier_process_has_left_is_taken_down_though_nobody_asks_for_it(
        aws: EmulatedAws, machines: Machines, sagemaker: MakeEc2, tmp_path: Path) -> None:
    machines.stand_up(sagemaker("a"), tmp_path / "t0")
    machines_for(tmp_path, 1).end()
    assert not aws.tagged(ledger(tmp_path).run_id)


def test_the_bill_of_a_machine_goes_on_over_its_trials(
        aws: EmulatedAws, machines: Machines, sagemaker: MakeEc2, tmp_path: Path) -> None:
    one = machines.stand_up(sagemaker("a", max_sequences=8), tmp_path / "t0")
    first = machines.spent_usd(one.machine)
    machines.hand_back(one.machine)
    machines.stand_up(sagemaker("b", max_sequences=16), tmp_path / "t1")
    second = machines.spent_usd(one.machine)
    machines.end()
    assert first is not None and second is not None and 0 < first < second <= (machines.spent_usd() or 0)


def test_flags_do_not_make_another_machine_and_hardware_does(ec2: MakeEc2, sagemaker: MakeEc2) -> None:
    base = key_of(ec2("a"))
    flags = {"args": ["--enable-prefix-caching"], "env": {"A": "1"}, "max_model_len": 8192, "model_copies": 2}
    assert base == key_of(ec2("b", **flags))
    assert len({base, key_of(ec2("a", instance_type="g6e.2xlarge")), key_of(ec2("a", purchase="spot")),
                key_of(sagemaker("a"))}) == 4
    assert key_of(sagemaker("a", inference_component={"accelerators": 1})) is None


def test_what_is_served_on_this_host_is_stood_up_anew_each_time(make_run_file: MakeRunFile) -> None:
    assert key_of(make_run_file({"name": "a", "protocol": "openai", "deploy": {
        "target": "local", "emulator": "instant"}})) is None


def test_the_search_process_alone_imports_what_deploys() -> None:
    found = subprocess.run([sys.executable, "-c", "import fmload.launch.trials, sys; sys.exit('fmload_deploy' in "
                            "sys.modules)"], capture_output=True)
    assert found.returncode == 0
