from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config.schema import RunFile
from fmload.results.folder import Results
from fmload_deploy import lifecycle, sweep
from fmload_deploy.base import Context
from fmload_deploy.ledger import NAME, Ledger

if TYPE_CHECKING:
    from conftest import EmulatedAws, MakeRunFile

MakeContext = Callable[..., Context]
ROLE = "arn:aws:iam::123456789012:role/serve"


def endpoint(name: str = "inf2", **deploy: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "sagemaker", "model": "meta-llama/Meta-Llama-3-8B-Instruct",
            "deploy": {"target": "sagemaker", "instance_type": "ml.inf2.xlarge", "container": "vllm-neuronx",
                       "tensor_parallel": 2, "max_sequences": 8, "max_model_len": 4096, "role": ROLE, **deploy}}


def test_up_creates_waits_for_service_and_gives_the_endpoint_its_name(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    aws.slow(4)
    run_file = make_run_file(endpoint())
    context = make_context(run_file)
    try:
        made = lifecycle.up(run_file, context).endpoints[0]
        described = aws.client("sagemaker").describe_endpoint(EndpointName=made.options.endpoint_name)
        assert described["EndpointStatus"] == "InService"
        assert made.price is not None and made.price.instance_type == "ml.inf2.xlarge"
        assert made.options.payload_format == "openai"
        assert made.deploy is None
    finally:
        lifecycle.down(context)
    assert aws.tagged(context.run_id) == []


def test_the_model_carries_the_container_its_environment_and_the_host_image(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(env={"NEURON_RT_LOG_LEVEL": "INFO"}))
    context = make_context(run_file)
    try:
        name = lifecycle.up(run_file, context).endpoints[0].options.endpoint_name
        client = aws.client("sagemaker")
        container = client.describe_model(ModelName=name)["PrimaryContainer"]
        variant = client.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"][0]
    finally:
        lifecycle.down(context)
    assert "sdk2.26.1" in container["Image"]
    assert container["Environment"] == {
        "SM_ON_MODEL": "meta-llama/Meta-Llama-3-8B-Instruct", "SM_ON_TENSOR_PARALLEL_SIZE": "2",
        "SM_ON_SEQUENCE_LENGTH": "4096", "SM_ON_BATCH_SIZE": "8", "NEURON_RT_LOG_LEVEL": "INFO"}
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-neuron-2"
    assert variant["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}


def test_the_volume_and_the_capacity_that_are_asked_for_are_in_the_configuration(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(volume_gib=300), {**endpoint(), "name": "plain"})
    context = make_context(run_file)
    try:
        names = [spec.options.endpoint_name for spec in lifecycle.up(run_file, context).endpoints]
        large, plain = (aws.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
                        ["ProductionVariants"][0] for name in names)
    finally:
        lifecycle.down(context)
    assert large["VolumeSizeInGB"] == 300 and "VolumeSizeInGB" not in plain


def test_an_inference_component_is_placed_on_an_endpoint_without_a_model(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint(inference_component={"accelerators": 1, "memory_mib": 8192}))
    context = make_context(run_file)
    try:
        options = lifecycle.up(run_file, context).endpoints[0].options
        assert options.inference_component == options.endpoint_name
        assert sum("inference-component" in arn for arn in aws.tagged(context.run_id)) == 1
    finally:
        lifecycle.down(context)
    assert aws.tagged(context.run_id) == []


def test_serving_properties_travel_in_a_tar_and_go_with_the_rest(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="weights")
    run_file = make_run_file(endpoint(container="lmi", bucket="weights", instance_type="ml.g5.2xlarge",
                                      serving_properties={"engine": "Python", "option.rolling_batch": "disable"}))
    context = make_context(run_file)
    try:
        lifecycle.up(run_file, context)
        assert s3.list_objects_v2(Bucket="weights")["KeyCount"] == 1
    finally:
        lifecycle.down(context)
    assert s3.list_objects_v2(Bucket="weights")["KeyCount"] == 0


def test_a_failed_endpoint_says_why_with_the_containers_last_words_and_can_be_deleted(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint("fails"))
    context = make_context(run_file)
    logs = aws.client("logs")
    name = context_name(context, "fails")
    logs.create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
    logs.create_log_stream(logGroupName=f"/aws/sagemaker/Endpoints/{name}", logStreamName="AllTraffic/i-1")
    logs.put_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}", logStreamName="AllTraffic/i-1",
                        logEvents=[{"timestamp": int(time.time() * 1000), "message": "nrt_init failed: no device"}])
    with pytest.raises(FmloadError, match=r"(?s)did not pass the ping health check.*nrt_init failed"):
        lifecycle.up(run_file, context)
    lifecycle.down(context)
    assert aws.tagged(context.run_id) == []


def context_name(context: Context, name: str) -> str:
    from fmload_deploy.names import name_for
    return name_for(context.run_id, name)


@pytest.mark.parametrize(("action", "code", "message", "says"), [
    ("CreateEndpoint", "ResourceLimitExceeded", "The account-level service limit 'ml.inf2.xlarge for endpoint usage' "
     "is 0 Instances", "Service Quotas"),
    ("CreateModel", "ExpiredTokenException", "The security token included in the request is expired", "aws sso login"),
    ("CreateEndpointConfig", "AccessDeniedException", "User is not authorized to perform: "
     "sagemaker:CreateEndpointConfig", "smallest policies"),
    ("CreateEndpoint", "InsufficientCapacity", "no capacity", "another zone"),
])
def test_a_refusal_names_the_remedy_and_leaves_nothing(
        aws: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path, action: str, code: str, message: str,
        says: str) -> None:
    aws.fail(action, code, message)
    results = Results(tmp_path / "r")
    with pytest.raises(FmloadError, match=says), lifecycle.deployed(make_run_file(endpoint()), results, yes=True):
        raise AssertionError("the block must not be entered")
    assert aws.tagged(Ledger.open(results.root / NAME).run_id) == []


def test_expired_credentials_at_down_leave_the_ledger_able_to_finish(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint())
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    aws.fail("*", "ExpiredTokenException", "expired", times=3)
    with pytest.raises(FmloadError, match="expired"):
        lifecycle.down(context)
    lifecycle.down(context)
    assert aws.tagged(context.run_id) == []


def test_an_endpoint_still_being_created_is_waited_for_and_deleted(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    aws.slow(30)
    run_file = make_run_file(endpoint(start_timeout="100ms"))
    context = make_context(run_file)
    with pytest.raises(FmloadError, match="in service: not after"):
        lifecycle.up(run_file, context)
    lifecycle.down(context)
    assert aws.tagged(context.run_id) == []


def test_up_again_creates_nothing_twice(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint())
    context = make_context(run_file)
    try:
        first = lifecycle.up(run_file, context)
        creations = [call for call in aws.calls() if call.startswith("Create")]
        assert lifecycle.up(run_file, make_context(run_file)).endpoints == first.endpoints
        assert [call for call in aws.calls() if call.startswith("Create")] == creations
    finally:
        lifecycle.down(context)


def test_two_runs_side_by_side_take_down_only_their_own(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file = make_run_file(endpoint())
    one, two = make_context(run_file, "one"), make_context(run_file, "two")
    try:
        lifecycle.up(run_file, one)
        lifecycle.up(run_file, two)
        lifecycle.down(one)
        assert aws.tagged(one.run_id) == []
        assert len(aws.tagged(two.run_id)) == 3
    finally:
        lifecycle.down(two)


def test_a_lost_ledger_is_no_loss_tags_find_it_all(
        aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext, tmp_path: Path) -> None:
    run_file = make_run_file(endpoint(inference_component={"accelerators": 1}))
    context = make_context(run_file)
    lifecycle.up(run_file, context)
    context.ledger.path.unlink()
    looking = lifecycle.context_of(Ledger(tmp_path / "none", context.run_id), "us-east-1")
    found = sweep.found(looking, context.run_id)[context.run_id].resources
    assert len(found) == 6
    lifecycle.down(lifecycle.context_of(sweep.ledger_of(tmp_path / "swept", context.run_id, found), "us-east-1"))
    assert aws.tagged(context.run_id) == []


CREATIONS = ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "CreateInferenceComponent"]
KILLED = """
import os, signal, sys
from pathlib import Path
from fmload_deploy import lifecycle
from fmload_deploy.aws import Aws
from fmload.config.loading import load
from fmload.results.folder import Results

class Dying(Aws):  # dies as soon as AWS has answered the call, before anything can be written down
    def client(self, *arguments):
        client = super().client(*arguments)
        client.meta.events.register(f"after-call.*.{sys.argv[3]}",
                                    lambda **_: os.kill(os.getpid(), signal.SIGKILL))
        return client

lifecycle.Aws = Dying
run_file = load(Path(sys.argv[1]))
lifecycle.up(run_file, lifecycle.context_for(run_file, Results(Path(sys.argv[2]))))
"""


@pytest.mark.parametrize("creation", CREATIONS)
def test_killed_right_after_a_create_call_down_leaves_nothing(
        aws: EmulatedAws, tmp_path: Path, creation: str) -> None:
    config = tmp_path / "run.yml"
    config.write_text(yaml.safe_dump({
        "name": "killed", "region": "us-east-1", "endpoints": [endpoint(inference_component={"accelerators": 1})],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": {"mean": 10}, "output_tokens": 10}],
        "load": {"concurrency": [1]}}))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(config), str(tmp_path / "r"), creation],
                            timeout=120, check=False)
    assert killed.returncode == -9
    ledger = Ledger.open(tmp_path / "r" / NAME)
    assert len(aws.tagged(ledger.run_id)) == CREATIONS.index(creation) + 1
    lifecycle.down(lifecycle.context_of(ledger))
    assert aws.tagged(ledger.run_id) == []
    lifecycle.down(lifecycle.context_of(ledger))


def test_an_unknown_price_is_not_zero_and_max_cost_refuses_it(
        aws: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path) -> None:
    run_file = make_run_file(endpoint(instance_type="ml.p5en.48xlarge"), max_cost=100.0)
    with pytest.raises(FmloadError, match=r"price of sagemaker-endpoint .* is unknown"), \
            lifecycle.deployed(run_file, Results(tmp_path / "r"), yes=True):
        raise AssertionError("the block must not be entered")


def test_a_plan_above_max_cost_creates_nothing(
        aws: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path) -> None:
    before = len(aws.calls())
    run_file = make_run_file(endpoint(), max_cost=0.5)
    with pytest.raises(FmloadError, match=r"about 1\.32 USD, above max_cost"), \
            lifecycle.deployed(run_file, Results(tmp_path / "r"), yes=True):
        raise AssertionError("the block must not be entered")
    assert len(aws.calls()) == before


def test_nothing_is_bought_when_nobody_can_be_asked(
        aws: EmulatedAws, make_run_file: MakeRunFile, tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="nobody is there to agree"), \
            lifecycle.deployed(make_run_file(endpoint()), Results(tmp_path / "r")):
        raise AssertionError("the block must not be entered")


def test_a_role_is_required(aws: EmulatedAws, make_run_file: MakeRunFile, make_context: MakeContext) -> None:
    run_file: RunFile = make_run_file(endpoint(role=None))
    with pytest.raises(FmloadError, match="execution role"):
        lifecycle.up(run_file, make_context(run_file))
