"""`fmload fleet --target ec2` against the emulated account: unmodified boto3, and hosts that do what their user data
says, as processes of this host."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from forks import Fork, die

from fmload.cli.main import main
from fmload.emulator.tls import make_certificate
from fmload.model.record import from_table
from fmload.protocol import admission
from fmload.results.folder import Results
from fmload_deploy.aws import Aws
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.resource import Resource
from tests.forking import Forked, start
from tests.load_rig import emulator, free_port, ids, run_file, wait_until

if TYPE_CHECKING:
    from conftest import EmulatedAws

KEY = "sk-fleet-key-that-nobody-may-see"
LOAD = {"concurrency": [4], "ramp": "0s", "warmup": "0s", "window": "3s", "workers": 3}
Run = Callable[..., Path]


pytestmark = pytest.mark.timeout(600)  # several processes start one after the other


@pytest.fixture(autouse=True)
def _folder(aws: EmulatedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET_KEY", KEY)
    aws.delete("/fmload/scenario")
    aws.post("/moto-api/reset")


def a_run(folder: Path, url: str = "http://127.0.0.1:9/v1") -> Path:
    path = run_file(folder, {"a": url.removesuffix("/v1")}, LOAD)
    path.write_text(path.read_text().replace("model: m", "model: m\n  api_key_env: FLEET_KEY"))
    return path


def ledger(folder: Path, name: str = "test") -> Ledger:
    return Ledger.open(folder / "results" / "fleets" / name / NAME)


def left(aws: EmulatedAws) -> list[str]:
    """What of a fleet's exists in the account."""
    ec2, s3, ssm, iam = (aws.client(name) for name in ("ec2", "s3", "ssm", "iam"))
    instances = [one["InstanceId"] for group in ec2.describe_instances(Filters=[
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}])["Reservations"]
        for one in group["Instances"] if "fleet" in str(one.get("Tags"))]
    return [*instances, *(one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].startswith("fmload-")),
            *(one["Name"] for one in ssm.describe_parameters()["Parameters"] if one["Name"].startswith("/fmload/")),
            *(one["RoleName"] for one in iam.list_roles(PathPrefix="/fmload/")["Roles"]),
            *(one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]
              if one["GroupName"].startswith("fmload-test"))]


def made(folder: Path) -> list[Resource]:
    """The instances that the ledger has as created."""
    if not (folder / "results/fleets/test" / NAME).exists():
        return []
    return [entry.resource for entry in ledger(folder).entries()
            if entry.resource.kind == "ec2-instance" and entry.event == "created"]


class Instances:
    """The instances of the account as processes here: each runs the program of its user data with its config."""

    def __init__(self, aws: EmulatedAws, folder: Path) -> None:
        self.ec2, self.folder, self.port = aws.client("ec2"), folder, free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def boot(self) -> None:
        """Start what runs and was not started yet; terminate what has ended, as `poweroff` does."""
        ec2 = self.ec2
        for group in ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]},
                                                     {"Name": "tag-key", "Values": ["fmload:run"]}])["Reservations"]:
            for instance in group["Instances"]:
                known = instance["InstanceId"]
                if known not in self.processes:
                    self.processes[known] = self._start(known, script_of(ec2, known))
                elif self.processes[known].poll() is not None:
                    ec2.terminate_instances(InstanceIds=[known])

    def _start(self, known: str, script: str) -> subprocess.Popen[bytes]:
        config = {**config_of(script), "home": str(self.folder / known), "port": self.port, "master": "127.0.0.1"}
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("FLEET_KEY", admission.TOKEN_VARIABLE)}
        return subprocess.Popen([sys.executable, "-P", "-m", "fmload_deploy.fleet.host", json.dumps(config)],
                                env=environment, stdout=(self.folder / f"{known}.log").open("wb"),
                                stderr=subprocess.STDOUT)

    def end(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(60)


@pytest.fixture
def instances(aws: EmulatedAws, tmp_path: Path) -> Iterator[Instances]:
    made = Instances(aws, tmp_path)
    try:
        yield made
    finally:
        made.end()


def script_of(ec2: Any, instance: str) -> str:
    told = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
    return base64.b64decode(told).decode()


def config_of(script: str) -> dict[str, Any]:
    found = re.search(r"host\.json <<'JSON'\n(.*)\nJSON", script)
    assert found
    config: dict[str, Any] = json.loads(found[1])
    return config


def fleet(*arguments: str) -> Forked:
    return start("fmload", ["fleet", *arguments, "--region", "us-east-1", "--yes"], Path("out.txt"), Path("err.txt"))


def test_a_run_on_instances_comes_back_by_itself_and_leaves_nothing(
        aws: EmulatedAws, instances: Instances, tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        command = fleet("run", str(a_run(tmp_path, server.url)), "--target", "ec2", "--out", "back")
        while command.poll() is None:
            instances.boot()
            time.sleep(0.2)
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    assert command.returncode in (0, 4), Path("err.txt").read_text()  # 4: too few requests for the audit
    back = Results(tmp_path / "back")
    records = [record for file in back.records.glob("*.parquet") for record in from_table(pq.read_table(file))]
    assert served and ids(records) == served
    assert len(instances.processes) == 1  # a c7i.xlarge has four vCPUs: the master's, and three workers'
    assert "requests/s" in Path("out.txt").read_text()
    told = json.loads(Path("back/fleet.json").read_text())
    assert (told["target"], told["workers"], told["instance_types"]) == ("ec2", 3, ["c7i.xlarge"])
    assert 0 < told["usd"] < 0.1
    assert "the load cost" in Path("out.txt").read_text()
    assert len(json.loads(Path("back/workers.json").read_text())["workers"]) == 3
    assert left(aws) == []
    assert not any(entry.up for entry in ledger(tmp_path).entries())


def test_a_bucket_that_fails_while_results_are_sent_loses_nothing_and_files_of_tls_reach_the_hosts_as_secrets(
        aws: EmulatedAws, instances: Instances, tmp_path: Path) -> None:
    (home := tmp_path / "my runs").mkdir()
    certificate = make_certificate(home, ["localhost"])
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms", "--tls") as server:
        assert server.ca_file is not None
        (home / "server.pem").write_text("# padding\n" * 600 + Path(server.ca_file).read_text())  # of two parameters
        path = run_file(home, {"a": server.url}, LOAD, {
            "ca_file": "server.pem", "client_certificate": certificate.name, "client_key": "key.pem"})
        command = fleet("run", str(path), "--target", "ec2", "--out", "back")
        wait_until(lambda: made(tmp_path), 60, "the instance")
        bucket = next(entry.resource.name for entry in ledger(tmp_path).entries() if entry.resource.kind == "s3-bucket")
        aws.fail(f"PUT /{bucket}/results.0000", "AccessDenied", "not for now", times=2, status=403)
        copies = set()
        while command.poll() is None:
            instances.boot()
            copies |= {path.name for path in tmp_path.glob("i-*/files/*")}
            time.sleep(0.2)
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    assert command.returncode in (0, 4), Path("err.txt").read_text()  # 4: too few requests for the audit
    back = Results(tmp_path / "back")
    records = [record for file in back.records.glob("*.parquet") for record in from_table(pq.read_table(file))]
    assert served and ids(records) == served and copies == {"0.pem", "1.pem", "2.pem"}
    [known] = instances.processes
    assert "results.0000" in (tmp_path / f"{known}.log").read_text()  # it was refused, and sent again
    secret = (home / "key.pem").read_text().splitlines()[1]
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_text(errors="replace")]
    assert [path.name for path in holders] == ["key.pem"]  # the host's own copy went with it
    assert left(aws) == []


def test_neither_token_nor_key_stands_anywhere_but_in_the_encrypted_parameter(
        aws: EmulatedAws, instances: Instances, tmp_path: Path) -> None:
    command = fleet("up", str(a_run(tmp_path)), "--target", "ec2", "--start-timeout", "1m")
    ec2, ssm, s3 = aws.client("ec2"), aws.client("ssm"), aws.client("s3")
    wait_until(lambda: made(tmp_path), 60, "the instance")
    parameter = next(entry.resource.name for entry in ledger(tmp_path).entries()
                     if entry.resource.kind == "ssm-parameter")
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [parameter]}])["Parameters"][0]
    assert described["Type"] == "SecureString"
    secrets = json.loads(ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"])
    assert secrets["FLEET_KEY"] == KEY
    token = secrets[admission.TOKEN_VARIABLE]
    instance = made(tmp_path)[0].detail["id"]
    bucket = parameter.rpartition("/")[2]
    seen = [script_of(ec2, instance), str(ec2.describe_instances(InstanceIds=[instance])), str(described),
            Path(f"/proc/{command.pid}/cmdline").read_text(),
            *(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode(errors="replace")
              for one in s3.list_objects_v2(Bucket=bucket)["Contents"])]
    command.send_signal(signal.SIGINT)
    assert command.wait(90) == 130, Path("err.txt").read_text()
    seen += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in seen if KEY in text or token in text]
    assert left(aws) == []


def test_a_fleet_for_which_there_is_no_room_leaves_nothing(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aws.fail("RunInstances", "InsufficientInstanceCapacity", "none here", times=50)
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--yes"]) != 0
    assert "AWS has none to give here and now" in capsys.readouterr().err
    assert left(aws) == []
    assert not any(entry.up for entry in ledger(tmp_path).entries())


def test_a_host_that_is_refused_takes_those_before_it_down(
        aws: EmulatedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Aws.client

    def client(self: Aws, service: str, region: str | None, endpoint_url: str | None = None) -> Any:
        made = inner(self, service, region, endpoint_url)
        made.meta.events.register("after-call.ec2.RunInstances", lambda **_: aws.fail(
            "RunInstances", "VcpuLimitExceeded", "your quota", times=9), unique_id="fault")
        return made
    monkeypatch.setattr(Aws, "client", client)
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--workers", "9", "--yes"]) != 0
    events = [(entry.resource.kind, entry.event) for entry in ledger(tmp_path).entries()]
    assert events.count(("ec2-instance", "deleted")) == 1 and ("ec2-instance", "refused") in events
    assert left(aws) == []


def test_a_start_script_that_fails_ends_the_wait_with_its_words(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aws.post("/fmload/scenario", call="RunInstances", console=["fmload: FAILED line 60 of the start script: pip"])
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--yes"]) != 0
    assert "line 60 of the start script: pip" in capsys.readouterr().err
    assert list((tmp_path / "results/fleets/test/logs").glob("*console.log"))
    assert left(aws) == []


def killed_up(path: Path, call: str) -> Fork:
    """An `up` that dies as soon as AWS has answered the call, before anything can be written down."""
    inner = Aws.client

    def client(self: Aws, service: str, region: str | None, endpoint_url: str | None = None) -> Any:
        made = inner(self, service, region, endpoint_url)
        made.meta.events.register(f"after-call.*.{call}", lambda **_: die())
        return made

    def act() -> int:
        Aws.client = client  # type: ignore[method-assign]
        return main(["fleet", "up", str(path), "--target", "ec2", "--yes"])
    return Fork(act)


@pytest.mark.parametrize("call", ["CreateBucket", "PutParameter", "CreateRole", "CreateInstanceProfile",
                                  "CreateSecurityGroup", "RunInstances"])
def test_down_finds_what_a_killed_up_has_made(aws: EmulatedAws, tmp_path: Path, call: str) -> None:
    assert killed_up(a_run(tmp_path), call).wait() == -signal.SIGKILL
    assert left(aws) != []
    assert main(["fleet", "up", str(tmp_path / "run.yml"), "--target", "ec2", "--yes"]) != 0  # the name is taken
    assert main(["fleet", "down", "test"]) == 0
    assert left(aws) == []
    assert main(["fleet", "down", "test"]) == 0  # the second time does nothing


def test_every_fleet_resource_is_found_by_its_tag_when_the_ledger_is_lost(aws: EmulatedAws, tmp_path: Path) -> None:
    assert killed_up(a_run(tmp_path), "RunInstances").wait() == -signal.SIGKILL
    assert any(name.startswith("i-") for name in left(aws))
    run_id = ledger(tmp_path).run_id
    (tmp_path / "results/fleets/test" / NAME).unlink()
    assert main(["deploy", "down", "--run", run_id, "--region", "us-east-1", "--yes"]) == 0
    assert left(aws) == []


def test_a_fleet_that_may_cost_more_than_allowed_is_refused_before_anything_is_made(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--workers", "40", "--lease", "8h",
                 "--max-cost", "5", "--yes"]) != 0
    assert "15.71 USD" in capsys.readouterr().err  # 11 instances of 0.1785 USD/h for 8 hours
    assert left(aws) == [] and not (tmp_path / "results").exists()


def test_it_asks_before_it_costs_and_nobody_there_is_a_no(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2"]) != 0
    told = capsys.readouterr().err
    assert "nobody is there to agree" in told and "0.36 USD at most" in told
    assert left(aws) == []


def test_a_wrong_region_is_said_and_leaves_nothing(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--region", "us-nowhere-1", "--yes"]) != 0
    assert "error: looking for c7i.xlarge: " in capsys.readouterr().err
    assert left(aws) == []


def test_what_the_hosts_may_do_is_their_bucket_and_their_parameter(aws: EmulatedAws, tmp_path: Path) -> None:
    command = Fork(lambda: main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--yes"]))
    wait_until(lambda: any(name.startswith("i-") for name in left(aws)), 60, "the instance")
    iam = aws.client("iam")
    [role] = [one["RoleName"] for one in iam.list_roles(PathPrefix="/fmload/")["Roles"]]
    policy = iam.get_role_policy(RoleName=role, PolicyName="fleet")["PolicyDocument"]
    assert {action for one in policy["Statement"] for action in [one["Action"]] if isinstance(action, str)} == {
        "s3:ListBucket", "ssm:GetParameter"}
    resources = [resource for one in policy["Statement"] for resource in (
        [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"])]
    assert all(role in resource for resource in resources)
    of_another = [f"arn:aws:ssm:us-east-1:123456789012:parameter/fmload/{role}-2", f"arn:aws:s3:::{role}-2/run.tar"]
    assert not [resource for resource in resources for one in of_another if fnmatch(one, resource)]
    [group] = aws.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["fmload-test*"]}])["SecurityGroups"]
    assert [rule["UserIdGroupPairs"][0]["GroupId"] for rule in group["IpPermissions"]] == [group["GroupId"]]
    assert not any(rule["IpRanges"] for rule in group["IpPermissions"])
    command.send_signal(signal.SIGTERM)
    assert command.wait(90) == 130
    assert left(aws) == []


def test_the_printed_policy_suffices_to_make_a_fleet_and_to_take_it_down(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "policy", "--region", "us-east-1"]) == 0
    policy = json.loads(capsys.readouterr().out)
    aws.post("/fmload/scenario", call="RunInstances", console=["fmload: FAILED line 60 of the start script: pip"])
    urllib.request.urlopen(urllib.request.Request(
        f"{aws.url}/fmload/policy", json.dumps(policy).encode(), {"Content-Type": "application/json"}), timeout=10
    ).close()
    assert main(["fleet", "up", str(a_run(tmp_path)), "--target", "ec2", "--yes"]) != 0
    aws.delete("/fmload/scenario")
    told = capsys.readouterr().err
    assert "line 60 of the start script" in told and "Forbidden" not in told and "authorized" not in told, told
    assert left(aws) == []
