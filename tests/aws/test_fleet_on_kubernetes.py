"""`fmload fleet --target kubernetes` against an API server that validates with Kubernetes' own schemas and runs a Job's
pods as processes here (fake_kube, fake_pods): the real client, exec's real protocol."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from forks import Fork, die

from fmload.cli.main import main
from fmload.emulator.tls import make_certificate
from fmload.model.record import from_table
from fmload.protocol import admission
from fmload_deploy.eks.fleet import Kubernetes
from fmload_deploy.ledger import NAME, Ledger
from tests.forking import Forked, start
from tests.load_rig import emulator, ids, run_file, wait_until

KEY = "sk-pods-key-that-nobody-may-see"
LOAD = {"concurrency": [4], "ramp": "0s", "warmup": "0s", "window": "3s", "workers": 2}
ON = ("--target", "kubernetes", "--image", "registry.example/fmload:1", "--yes")


pytestmark = pytest.mark.timeout(600)  # several processes start one after the other


@pytest.fixture(autouse=True)
def _here(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("PODS_KEY", KEY)
    monkeypatch.delenv(admission.TOKEN_VARIABLE, raising=False)


def a_run(folder: Path, url: str = "http://127.0.0.1:9", name: str = "run.yml") -> str:
    path = run_file(folder, {"a": url}, LOAD)
    text = path.read_text().replace("model: m", "model: m\n  api_key_env: PODS_KEY")
    path.write_text(text)
    return str(path.rename(path.with_name(name)))


def objects(kubeconfig: Path, plural: str, group: str = "api/v1") -> list[dict[str, Any]]:
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    with urllib.request.urlopen(f"{server}/{group}/namespaces/default/{plural}", timeout=10) as answer:
        return json.load(answer)["items"]  # type: ignore[no-any-return]


def left(kubeconfig: Path) -> list[str]:
    return [one["metadata"]["name"] for plural, group in (("jobs", "apis/batch/v1"), ("secrets", "api/v1"),
                                                          ("services", "api/v1"), ("pods", "api/v1"))
            for one in objects(kubeconfig, plural, group)]


def up(path: str, *options: str) -> Forked:
    return start("fmload", ["fleet", "up", path, *ON, *options], Path("out.txt"), Path("err.txt"))


def test_a_run_in_pods_comes_back_by_itself_and_leaves_nothing(kubeconfig: Path, tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        code = main(["fleet", "run", a_run(tmp_path, server.url), *ON, "--out", "back", "--hourly", "0.05"])
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    assert code in (0, 4)  # 4: too few requests for the audit
    records = [record for file in (tmp_path / "back/records").glob("*.parquet")
               for record in from_table(pq.read_table(file))]
    assert served and ids(records) == served
    told = json.loads((tmp_path / "back/fleet.json").read_text())
    assert told["hourly_usd"] == pytest.approx(0.15)  # a master and two workers
    assert 0 < told["usd"] < 0.05
    assert left(kubeconfig) == []


def test_a_fleet_is_seen_and_taken_down_in_the_middle_of_its_run_with_what_it_measured(
        kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {**LOAD, "window": "10m"}
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        path = a_run(tmp_path, server.url)
        Path(path).write_text(Path(path).read_text().replace("window: 3s", f"window: {long['window']}"))
        assert main(["fleet", "up", path, *ON, "--out", "back", "--lease", "30m"]) == 0
        assert main(["fleet", "status"]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert re.search(r"test kubernetes 3 of 3 2 of 2 \w+.* n/a n/a 2\d m \d+ s left", told), told
        wait_until(lambda: len(server.requests()) > 20, 60, "requests")
        assert main(["fleet", "up", path, *ON]) != 0  # the name is taken
        assert "is up already" in capsys.readouterr().err
        assert main(["fleet", "down", "test"]) == 0
    assert "interrupted" in (tmp_path / "back/stages.json").read_text()
    assert list((tmp_path / "back/records").glob("*.parquet"))
    assert left(kubeconfig) == []
    assert main(["fleet", "down", "test"]) == 0
    assert "nothing of it is up" in capsys.readouterr().out


def test_key_and_token_and_the_clients_private_key_are_in_the_secret_alone(kubeconfig: Path, tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    certificate = make_certificate(home, ["localhost"])
    path = Path(a_run(tmp_path))
    path.write_text(path.read_text().replace(
        "model: m", f"model: m\n  client_certificate: {certificate}\n  client_key: home/key.pem"))
    command = up(str(path))
    wait_until(lambda: len(objects(kubeconfig, "pods")) == 3, 90, "the pods")
    [secret] = objects(kubeconfig, "secrets")
    [job] = objects(kubeconfig, "jobs", "apis/batch/v1")
    assert secret["stringData"]["PODS_KEY"] == KEY
    private = (home / "key.pem").read_text()
    assert secret["stringData"]["FMLOAD_FILE_1"] == private
    token = secret["stringData"][admission.TOKEN_VARIABLE]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert job["spec"]["activeDeadlineSeconds"] == 7200 and job["spec"]["ttlSecondsAfterFinished"] == 600
    seen = [json.dumps(job), json.dumps(objects(kubeconfig, "services")), json.dumps(objects(kubeconfig, "pods")),
            Path(f"/proc/{command.pid}/cmdline").read_text()]
    command.send_signal(signal.SIGTERM)
    assert command.wait(120) == 130
    seen += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and home not in
             path.parents]
    assert not [text for text in seen if KEY in text or token in text or private.splitlines()[1] in text]
    assert left(kubeconfig) == []


def test_a_queue_of_kueue_keeps_the_job_suspended_and_admits_it_whole(kubeconfig: Path, tmp_path: Path) -> None:
    command = Fork(lambda: main(["fleet", "up", a_run(tmp_path), *ON, "--queue", "load-tests"]))
    wait_until(lambda: objects(kubeconfig, "services"), 60, "the service")
    [job] = objects(kubeconfig, "jobs", "apis/batch/v1")
    assert job["spec"]["suspend"] is True and job["spec"]["parallelism"] == 3
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "load-tests"
    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 130
    assert left(kubeconfig) == []


def test_an_image_that_cannot_be_pulled_is_said_and_taken_down(
        kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "up", a_run(tmp_path), *ON, "--image", "missing/fmload"]) != 0
    assert "ImagePullBackOff" in capsys.readouterr().err
    assert left(kubeconfig) == []


def killed_up(path: str, at: str) -> Fork:
    """An `up` that dies once the API server has answered, before anything is written down."""
    inner = Kubernetes._apply

    def apply(self: Kubernetes, kind: str, *arguments: Any, **named: Any) -> Any:
        made = inner(self, kind, *arguments, **named)
        if kind == at:
            die()
        return made

    def act() -> int:
        Kubernetes._apply = apply  # type: ignore[method-assign]
        return main(["fleet", "up", path, *ON])
    return Fork(act)


@pytest.mark.parametrize("kind", ["Job", "Secret", "Service"])
def test_down_finds_what_a_killed_up_has_made(kubeconfig: Path, tmp_path: Path, kind: str) -> None:
    assert killed_up(a_run(tmp_path), kind).wait() == -signal.SIGKILL
    assert left(kubeconfig) != []
    assert main(["fleet", "down", "test"]) == 0
    assert left(kubeconfig) == []
    assert not any(entry.up for entry in Ledger.open(tmp_path / "results/fleets/test" / NAME).entries())


def test_a_cluster_that_does_not_answer_is_said_and_leaves_its_name_free(
        kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    kubeconfig.write_text(yaml.safe_dump(config))
    assert main(["fleet", "up", a_run(tmp_path), *ON]) != 0
    assert "the cluster does not answer" in capsys.readouterr().err
