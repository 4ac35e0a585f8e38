from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload_deploy.fleet.upload import split_s3_url, upload


def test_an_s3_url_is_a_bucket_and_a_prefix_without_slashes_at_its_ends() -> None:
    assert split_s3_url("s3://bucket/runs/august/") == ("bucket", "runs/august")
    assert split_s3_url("s3://bucket") == ("bucket", "")


def test_what_is_no_s3_url_is_refused_with_the_remedy() -> None:
    with pytest.raises(FmloadError, match="write s3://bucket/prefix"):
        split_s3_url("/tmp/results")


def test_every_file_but_no_link_is_copied_under_the_prefix(tmp_path: Path) -> None:
    (tmp_path / "run" / "records").mkdir(parents=True)
    (tmp_path / "run" / "records" / "a.parquet").write_bytes(b"a")
    (tmp_path / "run" / "run.yml").write_text("name: x")
    (tmp_path / "latest").symlink_to("run")
    sent: list[tuple[str, str]] = []

    class Client:
        def upload_file(self, name: str, bucket: str, key: str) -> None:
            sent.append((bucket, key))

    assert upload(tmp_path, "s3://bucket/p", Client()) == ["p/run/records/a.parquet", "p/run/run.yml"]
    assert sent == [("bucket", "p/run/records/a.parquet"), ("bucket", "p/run/run.yml")]
