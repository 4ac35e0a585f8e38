"""What a fleet's hosts get of the host where the run file was written: variables and files of TLS, or a refusal."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.redaction import redacted
from fmload.cli.main import main
from fmload.config.loading import load
from fmload.emulator.tls import make_certificate
from fmload.results.folder import Results
from fmload_deploy.fleet.belongings import files, moved, put_files, texts, variables
from fmload_deploy.fleet.parcel import pack_run

ON_PODS = ("--target", "kubernetes", "--image", "registry.example/fmload:1")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are not given where the run file lies, whose folder has a space in its name."""
    (tmp_path / "my runs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_certificate(tmp_path / "my runs", ["localhost"])
    return tmp_path / "my runs"


def a_run(folder: Path, endpoint: Any = None, **keys: Any) -> Path:
    (path := folder / "run.yml").write_text(yaml.safe_dump({
        "name": "x", "endpoints": [{"name": "a", "protocol": "openai", "model": "m", "url": "https://h/v1",
                                    **(endpoint or {})}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 5}],
        "load": {"concurrency": [1], "window": "1s"}, **keys}))
    return path


TLS = {"ca_file": "ca.pem", "client_certificate": "ca.pem", "client_key": "key.pem"}


def test_files_of_tls_travel_as_secrets_and_the_run_file_names_where_they_will_lie(
        folder: Path, tmp_path: Path) -> None:
    run = load(a_run(folder, TLS))
    travelling = files(run)
    assert travelling == {str(folder / "ca.pem"): "FMLOAD_FILE_0", str(folder / "key.pem"): "FMLOAD_FILE_1"}
    secrets = texts(travelling)
    pack_run(moved(run, travelling), Results(tmp_path / "results").create(), tmp_path / "run.tar")
    environment = {**secrets, "OTHER": "stays"}
    put_files(environment, home := tmp_path / "there")
    with tarfile.open(tmp_path / "run.tar") as tar:
        tar.extractall(home, filter="data")
    assert environment == {"OTHER": "stays"}
    options = load(home / "run.yml").endpoints[0].options
    assert (options.ca_file, options.client_certificate, options.client_key) == (
        str(home / "files/0.pem"), str(home / "files/0.pem"), str(home / "files/1.pem"))
    assert Path(options.client_key).read_text() == (folder / "key.pem").read_text()
    assert stat.S_IMODE(Path(options.client_key).stat().st_mode) == 0o600


def test_a_private_key_that_travels_is_in_no_parcel_and_blanked_out_of_texts(folder: Path, tmp_path: Path) -> None:
    run = load(a_run(folder, TLS))
    texts(files(run))
    pack_run(moved(run, files(run)), Results(tmp_path / "results").create(), tmp_path / "run.tar")
    lines = [line for line in (folder / "key.pem").read_text().splitlines() if "-----" not in line]
    assert lines and not any(line.encode() in (tmp_path / "run.tar").read_bytes() for line in lines)
    assert not any(line in redacted(f"cannot read {line}") for line in lines)
    assert redacted("-----BEGIN CERTIFICATE-----") == "-----BEGIN CERTIFICATE-----"


def refusal(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    assert main(["fleet", "plan", str(run), *words]) == 2
    return capsys.readouterr().err


def line_of(run: Path, key: str) -> str:
    number = next(number for number, line in enumerate(run.read_text().splitlines(), 1) if f"{key}:" in line)
    return f"{run}:{number}: endpoints[0].{key}: "


@pytest.mark.parametrize("target", [(), ON_PODS])
@pytest.mark.parametrize(("key", "text", "told"), [
    ("ca_file", None, "No such file"), ("client_key", None, "No such file"), ("ca_file", b"", "cannot use the CA file"),
    ("client_certificate", b"no pem", "cannot use the client's certificate"),
    ("ca_file", b"\xff\xfe\x00", "is no PEM file"), ("ca_file", b"x" * 70_000, "has 70,000 bytes")])
def test_a_file_of_tls_that_the_hosts_could_not_use_is_told_with_its_line_before_anything_is_made(
        capsys: pytest.CaptureFixture[str], folder: Path, target: tuple[str, ...], key: str, text: bytes | None,
        told: str) -> None:
    run = a_run(folder, {**TLS, key: "mine.pem"})
    if text is not None:
        (folder / "mine.pem").write_bytes(text)
    said = refusal(capsys, run, *target)
    assert line_of(run, key) in said and told in said
    assert not Path("results").exists()


def test_a_key_that_is_encrypted_is_told_before_anything_is_made(
        capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    kind = "ENCRYPTED PRIVATE KEY"
    (folder / "key.pem").write_text(f"-----BEGIN {kind}-----\nMIIB\n-----END {kind}-----\n")
    run = a_run(folder, TLS)
    said = refusal(capsys, run, *ON_PODS)
    assert line_of(run, "client_certificate") in said and "not encrypted" in said


def test_a_path_that_begins_with_a_tilde_is_in_the_home_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    run = load(a_run(folder, {"ca_file": "~/my ca.pem"}))
    assert run.endpoints[0].options.ca_file == str(tmp_path / "home/my ca.pem")


def test_variables_of_tenants_collectors_and_checks_travel_too(folder: Path) -> None:
    run = load(a_run(
        folder, {"api_key_env": "ONE"},
        tenants=[{"name": "t", "headers": {"X-Team": "${TWO}"}}],
        telemetry=[{"name": "p", "collector": "prometheus", "url": "http://h/metrics", "api_key_env": "THREE"}],
        load={"concurrency": [1], "window": "1s",
              "safe_check": {"before": {"url": "http://h/", "api_key_env": "FOUR"}}}))
    assert variables(run) == ("ONE", "TWO", "THREE", "FOUR")


def test_every_variable_that_is_not_set_is_told_with_its_line_in_one_pass(
        capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    run = a_run(
        folder, {"api_key_env": "UNSET_ONE"},
        telemetry=[{"name": "p", "collector": "prometheus", "url": "http://h/metrics", "api_key_env": "UNSET_TWO"}],
        load={"concurrency": [1], "window": "1s", "safe_check": {"after": {"url": "http://h/",
                                                                           "api_key_env": "UNSET_THREE"}}})
    said = refusal(capsys, run)
    for key, name in (("endpoints[0].api_key_env", "UNSET_ONE"), ("telemetry[0].api_key_env", "UNSET_TWO"),
                      ("load.safe_check.after.api_key_env", "UNSET_THREE")):
        [line] = [line for line in said.splitlines() if name in line]
        assert key in line and f"{run}:" in line and f"export {name}=…" in line


@pytest.mark.parametrize(("endpoint", "key", "told"), [
    ({"protocol": "bedrock", "url": None, "profile": "dev"}, "profile", "a profile of this computer's ~/.aws"),
    ({"url": "http+unix://%2Frun%2Fserver.sock/v1"}, "url", "a Unix socket of this host")])
def test_what_only_this_host_has_is_refused_for_hosts_elsewhere_and_taken_for_local_ones(
        capsys: pytest.CaptureFixture[str], folder: Path, endpoint: dict[str, Any], key: str, told: str) -> None:
    run = a_run(folder, endpoint)
    run.write_text("\n".join(line for line in run.read_text().splitlines() if "url: null" not in line))
    said = refusal(capsys, run, *ON_PODS)
    assert line_of(run, key) in said and told in said
    assert main(["fleet", "plan", str(run)]) == 0


@pytest.mark.parametrize(("url", "itself"), [
    ("http://127.0.0.1:8000/v1", True), ("http://localhost:8000/v1", True), ("http://[::1]:8000/v1", True),
    ("http://10.0.0.4:8000/v1", False), ("https://api.example/v1", False)])
def test_an_address_that_is_each_host_itself_is_told_for_hosts_elsewhere(
        capsys: pytest.CaptureFixture[str], folder: Path, url: str, itself: bool) -> None:
    run = a_run(folder, {"url": url})
    assert main(["fleet", "plan", str(run), *ON_PODS]) == 0
    assert (f"endpoint 'a' is at {url}" in capsys.readouterr().err) == itself
    assert main(["fleet", "plan", str(run)]) == 0
    assert "is at" not in capsys.readouterr().err
