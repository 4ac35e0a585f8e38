"""Every run file that ships: it loads, and its plan is priced from the dated table."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.resources import resource
from fmload.config.loading import load
from fmload.config.schema import RunFile
from fmload.results.folder import Results
from fmload_deploy import bill, images, lifecycle

RECIPES = sorted(path for path in resource("configs").glob("*.yml") if "\nendpoints:" in path.read_text())
UNPRICED = {"llama3.3-70b-trn2.48xlarge", "qwen3-8b-trn2.3xlarge"}  # sold in capacity blocks only


def described(path: Path, tmp_path: Path) -> tuple[RunFile, str, float | None]:
    run_file = load(path)
    plans = lifecycle.plans(run_file, lifecycle.context_for(run_file, Results(tmp_path)))
    return run_file, bill.describe(plans, run_file), bill.estimate_usd(plans, run_file)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_plan_of_a_recipe_prints_its_price(path: Path, tmp_path: Path) -> None:
    run_file, text, estimate = described(path, tmp_path)
    assert (estimate is None) == (path.stem in UNPRICED)
    bought = [spec for spec in run_file.endpoints
              if spec.deploy and spec.deploy.target != "local" and not getattr(spec.deploy.options, "emulator", None)]
    if bought:
        assert images.table_date() in text
    if bought and estimate is not None:
        assert estimate > 0 and f"about {estimate:.2f} USD" in text


@pytest.mark.parametrize(("name", "hourly"), [
    ("llama3-8b-inf2.xlarge-tgi", 0.7582), ("llama3.1-8b-g5.4xlarge", 1.624), ("llama2-7b-ml.inf2.48xlarge", 15.58),
    ("gpt-oss-120b-p5.48xlarge", 55.04), ("llama3.3-70b-p4d.24xlarge", 21.957642)])
def test_the_hourly_price_is_that_of_the_table(name: str, hourly: float, tmp_path: Path) -> None:
    run_file = load(resource("configs", f"{name}.yml"))
    [plan] = lifecycle.plans(run_file, lifecycle.context_for(run_file, Results(tmp_path)))
    assert plan.hourly == pytest.approx(hourly)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_inferentia2_and_trainium1_get_the_last_sdk_that_serves_them(path: Path, tmp_path: Path) -> None:
    for spec in load(path).endpoints:
        kind = getattr(spec.deploy.options, "instance_type", None) if spec.deploy else None
        if spec.deploy and kind and kind.removeprefix("ml.").startswith(("inf2", "trn1")):
            assert spec.deploy.options.container in ("tgi-neuronx", "vllm-neuronx")


def test_cuda_13_images_bring_the_host_image_that_starts_them() -> None:
    for name in ("vllm", "sglang", "lmi"):
        container = images.container("sagemaker", name, "us-east-1")
        assert "cu130" in container.image and container.inference_ami is not None


def test_images_come_from_the_regions_own_account() -> None:
    assert images.container("sagemaker", "vllm", "eu-south-1").image.startswith("692866216735.dkr.ecr.eu-south-1.")
    assert images.container("sagemaker", "vllm", "us-west-2").image.startswith("763104351884.dkr.ecr.us-west-2.")


def test_an_option_without_a_value_is_left_out() -> None:
    container = images.container("ec2", "vllm", None)
    assert container.arguments(images.Serving("m")) == ["--model", "m", "--host", "0.0.0.0", "--port", "8000"]
    assert container.arguments(images.Serving("m", max_model_len=4096))[-2:] == ["--max-model-len", "4096"]
