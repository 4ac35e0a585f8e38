"""What a fleet's hosts are told: scripts that a shell reads, manifests that clusters take, no secret in either."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from fmload_deploy.aws import Aws
from fmload_deploy.base import Context
from fmload_deploy.ec2.fleet import EC2
from fmload_deploy.eks.fleet import Kubernetes
from fmload_deploy.fleet.base import Fleet
from fmload_deploy.fleet.host import Config
from fmload_deploy.ledger import NAME, Ledger

SECRETS = {"FMLOAD_RUN_TOKEN": "t" * 64, "MY_KEY": 'sk-"quoted"\n$(id)'}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Ledger.begin(tmp_path / NAME, "fleet-big"), tmp_path, Aws(), lambda _: None, "eu-west-1", keep=True)


def fleet(target: str, **options: Any) -> Fleet:
    return Fleet("big", target, 9, 5400.0, 900.0, "results/x", "eu-west-1", options, ("openai",), ("MY_KEY",))


@pytest.mark.parametrize("package", ["fmload==1.0", "it's; rm -rf /"])
def test_the_start_script_of_an_instance_passes_shellcheck_and_knows_its_lease(context: Context, package: str) -> None:
    script = EC2(fleet("ec2", package=package), context).script(
        Config("/var/lib/fmload/fleet", "s3://fmload-big", 5557, 3, "10.0.0.4"))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, "-s", "bash", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "+ 5400" in script and "ExecStopPost=/usr/bin/systemctl poweroff" in script
    assert script.index("fmload-lease.timer") < script.index("dnf install")  # whatever fails after it, the host ends


def objects(context: Context, **options: Any) -> list[dict[str, Any]]:
    target = Kubernetes(fleet("kubernetes", image="registry.example/fmload:1", **options), context)
    return target._manifests(False, SECRETS, "0d5c4a0e-0000-4000-8000-000000000000")


def told(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        for value in found.values():
            yield from told(value)
    elif isinstance(found, list):
        for value in found:
            yield from told(value)
    else:
        yield str(found)


@pytest.mark.parametrize("version", ["1.30", "1.33", "1.36"])
@pytest.mark.parametrize("options", [{}, {"queue": "q", "service_account": "sa", "node_type": "c7i.xlarge"}])
def test_the_manifests_are_what_clusters_of_several_versions_take(
        context: Context, version: str, options: dict[str, Any]) -> None:
    for one in objects(context, **options):
        kubernetes_validate.validate(one, version, strict=True)


def test_the_secret_alone_holds_what_is_secret_whatever_is_in_it(context: Context) -> None:
    job, secret, service = objects(context)
    assert secret["stringData"] == SECRETS
    assert not [text for text in told([job, service]) if any(value in text for value in SECRETS.values())]


def test_secret_and_service_go_with_the_job_and_the_job_with_its_lease(context: Context) -> None:
    job, *others = objects(context)
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (5400, 600)
    assert all(one["metadata"]["ownerReferences"][0]["kind"] == "Job" for one in others)


def test_a_pod_that_dies_ends_no_other(context: Context) -> None:
    spec = objects(context)[0]["spec"]
    assert spec["completions"] == spec["parallelism"] == spec["maxFailedIndexes"] == 10  # the master, and nine workers
    assert spec["backoffLimitPerIndex"] == 0 and spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_pods_find_their_master_by_the_name_that_the_service_gives_it(context: Context) -> None:
    job, _, service = objects(context)
    template, name = job["spec"]["template"], job["metadata"]["name"]
    assert template["spec"]["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert f'"master": "{name}-0.{name}"' in template["spec"]["containers"][0]["command"][-1]
