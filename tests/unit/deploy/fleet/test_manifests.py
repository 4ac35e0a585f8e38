from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.codecs import load_all_yaml

FLEET = Path(__file__).parents[4] / "deploy" / "fmload_deploy" / "fleet"
MANIFESTS = [FLEET / "kubernetes" / name for name in ("master.yaml", "workers.yaml", "results.yaml")]


def _objects() -> dict[str, Any]:
    texts = [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in texts}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_read_by_a_typed_client(path: Path) -> None:
    assert load_all_yaml(path.read_text())


def test_the_master_expects_as_many_workers_as_the_job_starts() -> None:
    objects = _objects()
    master = objects["Job/fmload-master"]["spec"]["template"]["spec"]["containers"][0]
    expected = next(int(entry["value"]) for entry in master["env"] if entry["name"] == "WORKERS")
    workers = objects["Job/fmload-workers"]["spec"]
    assert workers["parallelism"] == workers["completions"] == expected


def test_workers_look_for_the_master_by_the_name_and_port_of_its_service() -> None:
    objects = _objects()
    service = objects["Service/fmload-master"]
    labels = objects["Job/fmload-master"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"][0]["port"] == 5557
    worker = objects["Job/fmload-workers"]["spec"]["template"]["spec"]["containers"][0]
    assert worker["command"][-2:] == ["--master-host", service["metadata"]["name"]]


def test_the_kustomization_names_files_that_are_there() -> None:
    kustomization = yaml.safe_load((FLEET / "kubernetes" / "kustomization.yaml").read_text())
    files = kustomization["resources"] + kustomization["configMapGenerator"][0]["files"]
    assert all((FLEET / "kubernetes" / name).is_file() for name in files)


def test_compose_builds_the_image_and_passes_no_value_of_a_secret() -> None:
    compose = yaml.safe_load((FLEET.parents[2] / "compose.yml").read_text())
    for service in compose["services"].values():
        assert service["build"] == "."
        assert all("=" not in name for name in service["environment"])


def test_the_user_data_of_a_worker_host_passes_shellcheck() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, FLEET / "ec2-worker.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
