from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from fmload.config.loading import load

FMBENCH = {
    "general": {"name": "bench"}, "inference_parameters": {"p": {"max_new_tokens": 50}},
    "datasets": {"filters": [{"language": "en", "min_length_in_tokens": 1, "max_length_in_tokens": 500,
                              "payload_file": "payload_en_1-500.jsonl"}]},
    "s3_read_data": {"source_data_files": ["mine.jsonl"]},
    "experiments": [{"name": "one", "model_id": "m", "instance_type": "ml.g5.2xlarge", "ep_name": "mine",
                     "payload_files": ["payload_en_1-500.jsonl"], "concurrency_levels": [1],
                     "inference_spec": {"parameter_set": "p"}, "model_version": "3"}]}


def fmload(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "fmload", "import", *arguments], capture_output=True, text=True,
                          timeout=120, check=False)


def test_a_run_file_of_fmbench_is_written_as_one_that_loads(tmp_path: Path) -> None:
    (tmp_path / "theirs.yml").write_text(yaml.safe_dump(FMBENCH))
    done = fmload("fmbench-config", str(tmp_path / "theirs.yml"), "--out", str(tmp_path / "ours.yml"))
    assert done.returncode == 0 and "1 keys have no counterpart" in done.stdout, done.stderr
    assert "#   experiments[0].model_version: \"3\"" in (tmp_path / "ours.yml").read_text()
    assert load(tmp_path / "ours.yml").endpoints[0].options.endpoint_name == "mine"


def test_several_files_are_refused_with_both_forms(tmp_path: Path) -> None:
    done = fmload("fmbench-config", "a", "b")
    assert done.returncode == 2 and "fmbench-config FILE" in done.stderr
