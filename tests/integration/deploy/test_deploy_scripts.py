"""What instances run first, checked by shellcheck."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fmload_deploy import images
from fmload_deploy.ec2.user_data import Script, copies_of

SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def script(**changes: Any) -> Script:
    given: dict[str, Any] = {
        "run_id": "run-1", "region": "us-east-1", "image": "public.ecr.aws/x/vllm:1", "container_port": 8000,
        "port": 8000, "copies": copies_of(1, 1, "gpu", 1, 0, 8000), "arguments": ["--model", "m"]}
    return Script(**given | changes)


def complaints(text: str, folder: Path) -> str:
    path = folder / "user-data.sh"
    path.write_text(text)
    return subprocess.run([SHELLCHECK, path], capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.parametrize("changes", [
    {}, {"hf_token_secret": "hf-token"},
    {"image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl:1", "env": {"A": "b c", "D": "it's"}},
    {"copies": copies_of(4, 2, "gpu", 8, 0, 8000)},
    {"copies": copies_of(None, 2, "neuron", 12, 24, 8000), "after_start": ["ollama", "pull", "llama3.1:8b"]},
])
def test_the_script_passes_shellcheck(changes: dict[str, Any], tmp_path: Path) -> None:
    assert complaints(script(**changes).text(), tmp_path) == ""


@pytest.mark.parametrize("name", ["vllm", "sglang", "tgi", "lmi", "ollama", "tgi-neuronx", "vllm-neuronx",
                                  "vllm-neuronx-trn2", "triton-vllm"])
def test_every_container_of_the_table_makes_a_script_that_passes_shellcheck(name: str, tmp_path: Path) -> None:
    container = images.container("ec2", name, "us-east-1")
    serving = images.Serving("meta-llama/Llama-3.1-8B-Instruct", tensor_parallel=2)
    made = script(image=container.image, arguments=container.arguments(serving), env=container.environment(serving),
                  after_start=container.after_start)
    assert complaints(made.text(), tmp_path) == ""


def test_shellcheck_would_complain(tmp_path: Path) -> None:
    assert "SC2086" in complaints("#!/bin/bash\nrm $1\n", tmp_path)
