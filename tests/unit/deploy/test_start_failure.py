"""What a failed start's last words mean, and that they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload_deploy.ec2.instance_status import console_failure
from fmload_deploy.start_failure import failed_start, known_cause


@pytest.mark.parametrize(("line", "meaning"), [
    ("huggingface_hub.errors.GatedRepoError: 401 Client Error", "gated"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "memory does not hold it"),
    ("ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in "
     "KV cache (1000)", "no memory is left for the KV cache"),
    ("OSError: [Errno 28] No space left on device", "disk is full"),
    ("vllm: error: unrecognized arguments: --tensor-paralel-size", "does not know an argument"),
    ("Error response from daemon: manifest unknown", "cannot be pulled"),
    ("CUDA driver version is insufficient for CUDA runtime version", "driver is older")])
def test_known_last_words_have_a_meaning_and_a_remedy(line: str, meaning: str) -> None:
    cause = known_cause(f"INFO loading weights\n{line}\n")
    assert cause is not None and meaning in cause.meaning and cause.remedy


@pytest.mark.parametrize("line", ["INFO 11-20 loading weights took 12.0 s", "WARNING: max_model_len is 8192",
                                  "Using KV cache of 100000 tokens", "GET /health 200",
                                  "404 Client Error: Entry Not Found for url: …/generation_config.json"])
def test_ordinary_words_are_no_failure(line: str) -> None:
    assert known_cause(line) is None


def test_logs_are_kept_by_name_and_the_last_words_are_in_the_message(tmp_path: Path) -> None:
    error = failed_start("ec2-instance i", "copy 0: its container exited with 1",
                         {"console.log": "boot", "container-0.log": "a\nNo space left on device\n", "empty.log": ""},
                         tmp_path / "logs")
    assert "the disk is full" in error.message and "No space left on device" in error.message
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["console.log", "container-0.log"]
    assert "volume_gib" in (error.hint or "") and "container-0.log" in (error.hint or "")


def test_the_console_tells_what_failed() -> None:
    assert console_failure("boot\n[  9.1] fmload: FAILED line 60: docker pull x\n") == "line 60: docker pull x"
    assert console_failure("boot\nfmload: containers started\n") is None
