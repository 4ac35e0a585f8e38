"""The check from the tables alone: every recipe passes it, and what cannot work does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.resources import resource
from fmload.base.resources import table as table_of
from fmload.config.loading import load, parse
from fmload_deploy.check.check import checked
from fmload_deploy.check.memory import Model, machine_of, model_of
from fmload_deploy.check.page import page
from fmload_deploy.check.rows import Row, table

RECIPES = sorted(path for path in resource("configs").glob("*.yml") if "\nendpoints:" in path.read_text())
SECRET = {"hf_token_secret": "hf-token"}


def rows(model: str = "meta-llama/Llama-3.1-8B-Instruct", protocol: str = "openai", region: str = "us-east-1",
         **deploy: Any) -> dict[str, Row]:
    data = {"name": "check", "region": region, "endpoints": [
        {"name": "e", "protocol": protocol, "model": model, "deploy": {
            "target": "ec2", **({} if "target" in deploy else SECRET), **deploy}}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 10}],
        "load": {"concurrency": [1]}}
    return {row.what: row for row in checked(parse(yaml.safe_dump(data), "run.yml", Path.cwd()), None)}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_recipe_lacks_anything_and_all_that_is_known_is_reckoned(path: Path) -> None:
    found = checked(load(path), None)
    assert [row for row in found if row.state != "ok"] == [], table(found)


def test_a_host_that_cannot_compile_is_told_to_bring_artefacts_or_be_larger() -> None:
    small = rows(instance_type="inf2.xlarge", container="vllm-neuronx", tensor_parallel=2, max_model_len=4096,
                 max_sequences=8)["compile"]
    assert small.missing and "16" in small.detail and "artifacts" in small.remedy
    assert rows(instance_type="trn1.2xlarge", container="vllm-neuronx", tensor_parallel=2, max_model_len=4096,
                max_sequences=8)["compile"].missing  # 32 GiB do not do either
    brought = rows(instance_type="inf2.xlarge", container="vllm-neuronx", artifacts="s3://b/p/", max_model_len=4096,
                   max_sequences=8)["compile"]
    assert brought.state == "ok" and "precompiled" in brought.detail


def test_a_model_that_the_accelerators_do_not_hold_is_missing_memory() -> None:
    assert rows("meta-llama/Llama-3.3-70B-Instruct", instance_type="g5.12xlarge", container="vllm",
                max_model_len=4096)["memory"].missing
    assert rows(instance_type="g6.2xlarge", container="vllm", max_model_len=131072)["memory"].missing
    assert rows(instance_type="g6.2xlarge", container="vllm", max_model_len=8192)["memory"].state == "ok"


def test_neuron_keeps_room_for_the_whole_batch() -> None:
    arguments = {"instance_type": "inf2.8xlarge", "container": "vllm-neuronx", "max_model_len": 8192}
    assert rows(**arguments, max_sequences=8)["memory"].state == "ok"
    assert rows(**arguments, max_sequences=64)["memory"].missing


def test_a_70b_on_trn2_wants_its_compile_budget_and_its_disk() -> None:
    arguments = {"instance_type": "trn2.48xlarge", "container": "vllm-neuronx-trn2", "tensor_parallel": 64,
                 "max_model_len": 16384, "max_sequences": 32}
    big = rows("meta-llama/Llama-3.3-70B-Instruct", **arguments, env={"VLLM_ENGINE_READY_TIMEOUT_S": "600"})
    assert big["compile budget"].missing and "1800" in big["compile budget"].remedy
    assert rows("meta-llama/Llama-3.3-70B-Instruct", **arguments)["compile budget"].state == "ok"


def test_a_volume_too_small_for_weights_and_image_is_missing_disk() -> None:
    small = rows(instance_type="inf2.48xlarge", model="meta-llama/Llama-3.3-70B-Instruct", container="vllm-neuronx",
                 volume_gib=200, max_model_len=4096, max_sequences=4)["disk"]
    assert small.missing and "volume_gib" in small.remedy
    assert rows(protocol="sagemaker", target="sagemaker", instance_type="ml.inf2.8xlarge",
                container="vllm-neuronx", max_model_len=4096, max_sequences=4)["disk"].missing


def test_names_that_do_not_agree_would_be_404() -> None:
    wrong = rows(instance_type="g5.4xlarge", container="lmi", max_model_len=8192,
                 env={"OPTION_SERVED_MODEL_NAME": "lmi"})
    assert wrong["names"].missing and "'lmi'" in wrong["names"].detail
    assert rows(instance_type="g5.4xlarge", container="lmi", max_model_len=8192)["names"].state == "ok"
    assert rows(instance_type="g6.2xlarge", container="vllm", max_model_len=8192,
                args=["--served-model-name", "other"])["names"].missing


def test_images_suit_their_machines() -> None:
    assert rows(instance_type="inf2.8xlarge", container="vllm")["image"].missing
    assert rows(instance_type="inf2.8xlarge", container="vllm-neuronx-trn2")["image"].missing
    assert rows(instance_type="trn2.48xlarge", container="vllm-neuronx")["image"].missing


def test_heads_divide_by_the_shards_and_gated_models_want_a_token() -> None:
    assert rows("Qwen/Qwen3-32B", instance_type="g6e.12xlarge", container="vllm", tensor_parallel=3)["shards"].missing
    assert rows(instance_type="g6.2xlarge", container="vllm", hf_token_secret=None, max_model_len=8192)["token"].missing


@pytest.mark.parametrize(("deploy", "told"), [
    ({"tensor_parallel": 16}, "1 × 16 shards on 8 GPUs"), ({"tensor_parallel": 4, "model_copies": 3}, "3 × 4 shards"),
    ({"instance_type": "p5.4xlarge", "tensor_parallel": 8}, "1 × 8 shards on 1 GPUs"),
    ({"tensor_parallel": 16, "model_copies": "max"}, "1 × 16 shards"),
    ({"instance_type": "trn1.2xlarge", "container": "vllm-neuronx", "tensor_parallel": 8}, "on 2 cores")])
def test_a_machine_holds_no_more_shards_than_it_has_accelerators(deploy: dict[str, Any], told: str) -> None:
    row = rows(**{"instance_type": "p5.48xlarge", "container": "vllm", **deploy})["shards"]
    assert row.missing and told in row.detail


def test_a_context_that_the_model_does_not_have_is_told() -> None:
    asked = {"instance_type": "p5.48xlarge", "container": "vllm"}
    assert rows(**asked, max_model_len=131_073)["context"].missing
    assert "context" not in rows(**asked, max_model_len=131_072)


def test_what_no_table_knows_is_unknown_and_never_ok() -> None:
    assert rows("some/model", instance_type="g6.2xlarge", container="vllm")["memory"].state == "unknown"
    assert rows(instance_type="g99.large", container="vllm")["machine"].missing
    own = rows(instance_type="g6.2xlarge", image="me/mine:1", accelerator="gpu", port=8000, max_model_len=8192)
    assert own["image"].state == "unknown"


def test_a_region_without_a_registry_of_awss_is_refused_and_china_has_its_own_names() -> None:
    neuron = rows(region="cn-north-1", instance_type="g5.4xlarge", container="lmi", max_model_len=8192)
    assert neuron["image"].state == "ok"
    from fmload_deploy import images
    assert images.container("ec2", "lmi", "cn-north-1").image.startswith(
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/")
    nowhere = rows(region="us-iso-east-1", instance_type="g5.4xlarge", container="lmi", max_model_len=8192)
    assert nowhere["image"].missing and "us-iso-east-1" in nowhere["image"].detail


def test_the_kv_cache_of_a_token_is_two_vectors_a_layer_and_head() -> None:
    model = Model(parameters_b=1, weights_gib=1, layers=2, heads=8, kv_heads=4, head_dim=16, context=100)
    assert model.kv_gib(1024, 1) == 2 * 2 * 4 * 16 * 2 * 1024 / 1024 ** 3
    assert model.kv_gib(1024, 8) == 2 * model.kv_gib(1024, 4)  # heads are copied beyond their number


@pytest.mark.parametrize("name", table_of("models.yml")["models"])
def test_the_weights_of_every_model_are_its_parameters_in_the_form_that_its_name_says(name: str) -> None:
    model = model_of(name)
    assert model is not None
    a_parameter = model.weights_gib * 1024 ** 3 / (model.parameters_b * 1e9)  # bytes
    least, most = (0.5, 0.7) if "gpt-oss" in name else (1.0, 1.06) if name.endswith("FP8") else (1.98, 2.02)
    assert least <= a_parameter <= most
    assert model.heads % model.kv_heads == 0


@pytest.mark.parametrize(("name", "kib"), [
    ("meta-llama/Llama-2-7b-chat-hf", 512), ("meta-llama/Llama-3.1-8B-Instruct", 128),
    ("meta-llama/Llama-3.3-70B-Instruct", 320), ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 192),
    ("Qwen/Qwen3-32B", 256), ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", 188), ("openai/gpt-oss-120b", 72),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 56), ("mistralai/Mixtral-8x7B-Instruct-v0.1", 128)])
def test_a_token_takes_the_cache_that_is_published_for_its_model(name: str, kib: float) -> None:
    model = model_of(name)
    assert model is not None and model.kv_gib(1, 1) * 1024 ** 2 == pytest.approx(kib)


def test_a_trainium2_chip_has_96_gib() -> None:
    machine = machine_of("trn2.48xlarge")
    assert machine is not None and (machine.count, machine.memory_gib) == (16, 96)
    assert model_of("nobody/nothing") is None


def test_the_table_counts_what_is_missing() -> None:
    text = table([Row("e", "quota", "missing", "0, 4 wanted", "ask"), Row("e", "role", "ok", "arn")])
    assert "→ ask" in text and text.endswith("2 looked at, 1 missing, 0 unknown")


def test_the_recipes_page_is_what_the_check_reckons_now() -> None:
    path = Path(__file__).parents[3] / "docs" / "recipes.md"
    assert path.read_text(encoding="utf-8") == page(), "run: python -m fmload_deploy.check.page"
