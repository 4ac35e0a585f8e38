"""A Prometheus server's query API: a real server over the emulator, and signatures that are checked."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fmload.base.errors import FmloadError
from fmload.results.samples import Sample, Window
from fmload.telemetry.prometheus_query import PrometheusQuery
from tests.integration.test_telemetry import LOAD, series_of
from tests.load_rig import emulator, fmload_run, run_file, wait_until
from tests.prometheus import asked, prometheus

ACCESS, SECRET = "AKIDEXAMPLE", "a-secret-of-the-test"


class Api(BaseHTTPRequestHandler):
    """Answers range queries to those whose signature (or token) is right; one point a step."""

    asked: ClassVar[list[dict[str, list[str]]]] = []
    service: ClassVar[str] = "aps"

    def do_GET(self) -> None:
        given = self.headers["Authorization"] or ""
        if given != "Bearer the-token" and not (given.startswith("AWS4") and given == self._own_signature()):
            return self._answer(403, {"status": "error", "errorType": "forbidden", "error": "the signature is wrong"})
        if self.path.endswith("/metadata"):
            return self._answer(200, {"status": "success", "data": {"served": [{"type": "counter", "help": ""}]}})
        query = parse_qs(urlsplit(self.path).query)
        Api.asked.append(query)
        if query["query"] == ["broken"]:
            return self._answer(500, {"status": "error", "error": "the storage is gone"})
        start, end, step = (float(query[name][0]) for name in ("start", "end", "step"))
        points = [[start + k * step, str(k) if k else "NaN"] for k in range(int((end - start) / step) + 1)]
        name = "served" if query["query"] == ["served"] else "vllm:num_requests_running"
        series = {"metric": {"__name__": name, "pod": "a"}, "values": points}
        self._answer(200, {"status": "success", "data": {"resultType": "matrix", "result": [series]}})

    def _own_signature(self) -> str:
        """What the signature must be, by the secret that both sides know and the date that the request bears."""
        stamp = self.headers["X-Amz-Date"]
        request = AWSRequest("GET", f"http://{self.headers['Host']}{self.path}", headers={"Host": self.headers["Host"]})
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        with patch("botocore.auth.get_current_datetime", return_value=moment):
            SigV4Auth(Credentials(ACCESS, SECRET), Api.service, "eu-west-1").add_auth(request)
        return str(request.headers["Authorization"])

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def api() -> Iterator[str]:
    Api.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetched(url: str, window_s: float = 20, **options: Any) -> list[Sample]:
    collector = PrometheusQuery("prom", PrometheusQuery.Options.model_validate(
        {"url": url, "delay": "0s", "step": "5s", **options}))
    return list(collector.after(Window(-int(window_s * 1e9), 0, int(1_700_000_000e9))))


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", ACCESS), ("AWS_SECRET_ACCESS_KEY", SECRET), ("TOKEN", "the-token")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def test_a_run_takes_what_a_prometheus_server_scraped_meanwhile(tmp_path: Path) -> None:
    with emulator(tmp_path, "--profile", "steady", "--ttft", "50ms", "--gap", "10ms") as server, \
            prometheus(tmp_path, {"vllm": urlsplit(server.url).netloc}) as url:
        wait_until(lambda: asked(url, "vllm:num_requests_running"), 20, "the first scrape")
        telemetry = [{"name": "prom", "collector": "prometheus_query", "url": url, "endpoint": "steady",
                      "step": "200ms", "delay": "1s",
                      "queries": {"tokens_per_s": "sum(rate(vllm:generation_tokens_total[2s]))"}}]
        path = run_file(tmp_path, {"steady": server.url}, LOAD, telemetry=telemetry)
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    series = series_of(run.results.telemetry_parquet)
    stage, = run.stages()
    inside = [row["value"] for row in series["vllm:num_requests_running"]
              if stage["window_start_ns"] <= row["at_ns"] <= stage["window_end_ns"]]
    assert sorted(inside)[len(inside) // 2] == 4
    assert max(row["value"] for row in series["tokens_per_s"]) > 50
    assert not any(name.endswith("_bucket") for name in series)
    checks = {check["name"]: check for check in json.loads(run.results.audit_json.read_text())["stages"][0]["checks"]}
    assert checks["server's times = ours"]["result"] in ("PASS", "WARN")  # the audit takes it as it takes a scrape


@pytest.mark.parametrize("service", ["aps", "monitoring"])
def test_queries_are_signed_for_their_service_and_region(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "service", service)
    with api() as url:
        found = fetched(url, auth="sigv4", service=service, region="eu-west-1", queries={"kv": 'avg(x{pod=~"a|b c+"})'})
        with pytest.raises(FmloadError, match="HTTP 403: the signature is wrong"):
            fetched(url, auth="sigv4", service=service, region="us-east-1")
    assert {sample.metric for sample in found} == {"vllm:num_requests_running", "kv"}
    assert [query["query"][0] for query in Api.asked][1] == 'avg(x{pod=~"a|b c+"})'
    first = found[0]
    # one step before the run began there is NaN, which is no sample
    assert (first.at_ns, first.value, dict(first.labels)) == (-20 * 10**9, 1.0, {"pod": "a"})


def test_a_token_is_sent_and_never_shown() -> None:
    with api() as url:
        assert fetched(url, auth="bearer", api_key_env="TOKEN")
        with pytest.raises(FmloadError) as raised:
            fetched(url)
    assert "HTTP 403" in str(raised.value) and "the-token" not in str(raised.value)


def test_a_long_run_is_asked_for_in_parts_that_do_not_overlap() -> None:
    with api() as url:
        found = fetched(url, 25_000, step="1s", auth="bearer", api_key_env="TOKEN", match=["up"])
    spans = [(float(query["start"][0]), float(query["end"][0])) for query in Api.asked]
    assert len(spans) == 3
    assert all(end - start < 10_000 for start, end in spans)
    assert all(later[0] - earlier[1] == 1 for earlier, later in itertools.pairwise(spans))
    assert len({sample.at_ns for sample in found}) == len(found)


def test_a_query_that_fails_does_not_keep_the_others_back() -> None:
    kept: list[Sample] = []
    with api() as url, pytest.raises(FmloadError, match="broken: HTTP 500: the storage is gone") as raised:
        collector = PrometheusQuery("prom", PrometheusQuery.Options.model_validate(
            {"url": url, "delay": "0s", "match": ["broken", "up"], "auth": "bearer", "api_key_env": "TOKEN"}))
        kept.extend(collector.after(Window(-20 * 10**9, 0, int(1_700_000_000e9))))
    assert kept
    assert "log" in str(raised.value.hint)


def test_a_counter_is_told_from_a_gauge_by_the_servers_metadata() -> None:
    with api() as url:
        found = fetched(url, auth="bearer", api_key_env="TOKEN", match=["served", "up"], queries={"served": "served"})
    assert {sample.metric for sample in found} == {"served_total", "vllm:num_requests_running", "served"}


def test_it_waits_until_the_last_scrape_is_there() -> None:
    with api() as url:
        begun = time.monotonic()
        collector = PrometheusQuery("prom", PrometheusQuery.Options.model_validate(
            {"url": url, "delay": "700ms", "auth": "bearer", "api_key_env": "TOKEN"}))
        now_ns = time.monotonic_ns()
        list(collector.after(Window(now_ns - 10**9, now_ns, 0)))
        assert time.monotonic() - begun >= 0.7
