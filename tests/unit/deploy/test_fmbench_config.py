from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload_deploy.fmbench.config import convert, read_fmbench_config

SHARED = Path(os.environ.get("FMLOAD_SHARED", Path(__file__).parents[4] / "shared"))
REPORT = SHARED / "data/published/fmbench-llama3.1-8b-g5.4xlarge.md"


def config(**experiment: Any) -> dict[str, Any]:
    return {"general": {"name": "my run"}, "aws": {"region": "eu-west-1"},
            "inference_parameters": {"p": {"max_new_tokens": 100, "temperature": 0.1, "do_sample": True}},
            "datasets": {"filters": [{"language": "en", "min_length_in_tokens": 1, "max_length_in_tokens": 500,
                                      "payload_file": "payload_en_1-500.jsonl"}]},
            "s3_read_data": {"source_data_files": ["mine.jsonl"]},
            "experiments": [{"name": "one", "model_id": "m", "instance_type": "ml.g5.2xlarge",
                             "payload_files": ["payload_en_1-500.jsonl"], "concurrency_levels": [1, 4],
                             "inference_spec": {"parameter_set": "p", "stream": True}, **experiment}]}


def loaded(data: dict[str, Any], tmp_path: Path) -> Any:
    return parse(convert(data).text(), "run.yml", tmp_path)


@pytest.mark.skipif(not REPORT.exists(), reason="the published reports are not here (FMLOAD_SHARED)")
def test_the_published_reports_run_file_becomes_one_of_ours(tmp_path: Path) -> None:
    converted = read_fmbench_config(REPORT)
    run_file = parse(converted.text(), "run.yml", tmp_path)
    [endpoint] = run_file.endpoints
    assert endpoint.protocol == "openai" and not endpoint.stream
    assert endpoint.deploy is not None and endpoint.deploy.options.instance_type == "g5.4xlarge"
    assert endpoint.deploy.options.container == "lmi" and endpoint.deploy.options.model_copies == "max"
    assert endpoint.parameters == {"temperature": 0.1, "top_k": 120, "top_p": 0.92}
    assert [prompts.name for prompts in run_file.prompts] == ["en_1-500", "en_500-1000"]
    assert run_file.load.concurrency == [1, 2]
    assert set(run_file.objectives) == {"e2e_p95", "price_per_10k_transactions", "error_rate"}
    lost = {path for path, _, _ in converted.lost}
    assert {"run_steps", "experiments[0].serving.properties", "experiments[0].ec2.gpu_or_neuron_setting"} <= lost
    assert not any(path.startswith("experiments[0].concurrency_levels") for path in lost)


def test_an_endpoint_that_exists_keeps_its_name_and_is_not_deployed(tmp_path: Path) -> None:
    [endpoint] = loaded(config(deploy=False, ep_name="my-endpoint", inference_script="sagemaker_predictor.py"),
                        tmp_path).endpoints
    assert endpoint.options.endpoint_name == "my-endpoint" and endpoint.deploy is None and endpoint.stream


def test_serving_properties_and_image_are_kept_for_sagemaker(tmp_path: Path) -> None:
    [endpoint] = loaded(config(deploy=True, deployment_script="deploy_w_djl_serving.py", bucket="b",
                               image_uri="1.dkr.ecr/djl:1", **{"serving.properties": "engine=MPI\noption.tp=2\n"}),
                        tmp_path).endpoints
    options = endpoint.deploy.options
    assert options.serving_properties == {"engine": "MPI", "option.tp": "2"} and options.image == "1.dkr.ecr/djl:1"


@pytest.mark.parametrize(("experiment", "protocol", "target"), [
    ({"inference_script": "bedrock_predictor.py", "model_id": "amazon.nova-micro-v1:0"}, "bedrock", None),
    ({"inference_script": "rest_predictor.py", "ep_name": "http://h:8000/v1/completions"}, "openai", None),
    ({"inference_script": "ec2_predictor.py", "deploy": True, "instance_type": "g5.2xlarge"}, "openai", "ec2"),
    ({"inference_script": "eks_predictor.py", "deploy": True, "eks": {"eks_cluster_name": "c"}}, "openai", "eks"),
    ({"deploy": True, "deployment_script": "jumpstart.py"}, "sagemaker", "sagemaker"),
    ({"deploy": True, "deployment_script": "deploy_w_hf_tgi.py"}, "sagemaker", "sagemaker"),
])
def test_every_platform_has_its_place(experiment: dict[str, Any], protocol: str, target: str | None,
                                      tmp_path: Path) -> None:
    [endpoint] = loaded(config(**experiment), tmp_path).endpoints
    assert endpoint.protocol == protocol
    assert (endpoint.deploy.target if endpoint.deploy else None) == target


def test_what_has_no_counterpart_is_listed_with_its_value() -> None:
    data = config(production_variant_name="AllTraffic")
    data["metrics"] = {"dataset_of_interest": "en_1-500"}
    lost = {path: (value, why) for path, value, why in convert(data).lost}
    assert lost["experiments[0].production_variant_name"] == ("AllTraffic", "")
    assert lost["metrics"][0] == {"dataset_of_interest": "en_1-500"}


def test_experiments_of_one_name_are_told_apart(tmp_path: Path) -> None:
    data = config(deploy=False, ep_name="e")
    data["experiments"].append(dict(data["experiments"][0]))
    assert [endpoint.name for endpoint in loaded(data, tmp_path).endpoints] == ["one-1", "one-2"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("a: 1\n")
    with pytest.raises(FmloadError, match="no FMBench run file"):
        read_fmbench_config(tmp_path / "x.yml")
