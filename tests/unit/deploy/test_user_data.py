from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload_deploy.ec2.user_data import Script, copies_of


def script(**changes: Any) -> Script:
    given: dict[str, Any] = {
        "run_id": "run-1", "region": "us-east-1", "image": "public.ecr.aws/x/vllm:1", "container_port": 8000,
        "port": 8000, "copies": copies_of(1, 1, "gpu", 1, 0, 8000), "arguments": ["--model", "m"]}
    return Script(**given | changes)


def docker_run(text: str) -> list[str]:
    """The words of the first `docker run`, as bash reads them."""
    start = text.index("docker run")
    return shlex.split(text[start:text.rindex("\necho ")].replace("\\\n", " "))


@settings(max_examples=60, deadline=None)
@given(value=st.text(st.characters(exclude_characters="\x00\n\r", exclude_categories=["Cs"]), max_size=40))
def test_any_value_reaches_the_container_as_it_is(value: str) -> None:
    words = docker_run(script(env={"NAME": value}, arguments=["--flag", value]).text())
    assert f"NAME={value}" in words
    assert words[-2:] == ["--flag", value]


def test_the_token_is_fetched_by_the_instance_and_never_written_into_the_script() -> None:
    text = script(hf_token_secret="hf-token").text()
    assert "secretsmanager get-secret-value" in text
    assert "--env HF_TOKEN " in text and "HF_TOKEN=$(" in text


def test_a_balancer_between_copies_does_not_buffer_and_waits_for_long_answers() -> None:
    text = script(copies=copies_of(2, 1, "gpu", 2, 0, 8000)).text()
    for rule in ("proxy_buffering off;", "proxy_read_timeout 3600s;", "least_conn;",
                 "proxy_next_upstream error timeout;", "max_fails=1 fail_timeout=5s;",
                 "server 127.0.0.1:18000", "server 127.0.0.1:18001", "listen 8000;"):
        assert rule in text


def test_what_fails_on_the_instance_is_told_on_the_console_and_kept_for_its_port() -> None:
    text = script().text()
    assert "set -Eeuo pipefail" in text and "trap 'failed " in text and "> /var/lib/fmload/failed" in text
    assert text.index("systemctl enable --now fmload-lease.timer") < text.index("docker pull")
    assert text.index("systemctl start fmload-watch.service") < text.index("docker pull")


def test_a_container_that_ends_is_not_started_again_for_its_end_is_the_signal() -> None:
    assert "--restart no --ipc=host" in script().text()


def test_one_copy_is_served_without_a_balancer() -> None:
    assert "nginx" not in script().text()


def test_the_lease_ends_the_instance_when_it_runs_out() -> None:
    text = script(first_lease_s=900).text()
    assert "$(( $(date +%s) + 900 ))" in text and "systemctl poweroff" in text
    assert "systemctl enable --now fmload-lease.timer" in text


@given(devices=st.integers(1, 16), parallel=st.integers(1, 16))
def test_as_many_gpu_copies_as_fit_share_no_device(devices: int, parallel: int) -> None:
    if parallel > devices:
        with pytest.raises(FmloadError, match="do not fit"):
            copies_of(None, parallel, "gpu", devices, 0, 8000)
        return
    copies = copies_of(None, parallel, "gpu", devices, 0, 8000)
    used = [device for copy in copies for device in copy.devices[0].split("=")[1].strip("\"'").split(",")]
    assert len(used) == len(set(used)) == len(copies) * parallel <= devices


@pytest.mark.parametrize(("parallel", "copies", "each"), [(2, 12, 1), (8, 3, 4), (24, 1, 12), (1, 12, 1)])
def test_a_neuron_copy_takes_whole_devices_of_two_cores(parallel: int, copies: int, each: int) -> None:
    made = copies_of(None, parallel, "neuron", 12, 24, 8000)
    assert len(made) == copies
    assert [option for option in made[0].devices if "neuron" in option] == [
        f"--device=/dev/neuron{device}" for device in range(each)]


def test_more_copies_than_fit_names_the_most() -> None:
    with pytest.raises(FmloadError, match="model_copies: 4 is the most"):
        copies_of(5, 2, "gpu", 8, 0, 8000)


def test_a_script_longer_than_ec2_takes_is_refused() -> None:
    with pytest.raises(FmloadError, match="EC2 takes 16384"):
        script(env={"LONG": "x" * 20_000}).text()
