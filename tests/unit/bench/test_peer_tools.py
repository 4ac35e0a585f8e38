"""What each tool wrote is read as the tool means it; every tool is whole, and what is installed for it is pinned."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.peers import install
from tests.bench.peers.errors import between_tokens
from tests.bench.peers.table import TOOLS
from tests.bench.peers.tool import Load, Place, Seen
from tests.bench.peers.tools import aiperf, guidellm, llmeter, ours, sdk, vllm

RECORDED = Path(__file__).parents[2] / "recorded_peers"  # 32 tokens, 200 ms to the first, 20 ms each; two requests
TOKENS = 32
LOAD = Load(4, 8, 64, TOKENS)


def test_aiperf_tells_requests_by_the_servers_id_and_every_gap_in_ms() -> None:
    first, second = aiperf.read(RECORDED)
    assert first.key == "5e637c10-b533-4b08-b156-d06e81f4fb75"
    assert first.ttft_s == pytest.approx(0.180824517)
    assert first.gaps_s is not None and len(first.gaps_s) == TOKENS - 1
    assert first.gaps_s[0] == pytest.approx(0.018566137)
    assert second.key != first.key


def test_aiperf_requests_that_failed_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "aiperf").mkdir()
    (tmp_path / "aiperf" / "profile_export.jsonl").write_text(
        '{"metadata": {"x_request_id": "a"}, "metrics": {}, "error": {"code": 503}}\n'
        '{"metadata": {"x_request_id": "b"}, "metrics": {"time_to_first_token": {"value": 5}}}\n')
    assert aiperf.read(tmp_path) == [Seen("b", 0.005, None, None)]


def test_guidellm_tells_requests_by_the_answers_id_and_keeps_a_mean_of_the_gaps() -> None:
    first, _ = guidellm.read(RECORDED)
    assert first.key == "chatcmpl-emulated-00000002"
    assert first.ttft_s == pytest.approx(1796032707.2374604 - 1796032707.0498405)
    assert first.gaps_s is None
    assert first.itl_s == pytest.approx((1796032707.8365178 - 1796032707.2374604) / (TOKENS - 1))


def test_vllm_counts_a_gap_before_the_first_token_and_one_after_the_last() -> None:
    first, second = vllm.read(RECORDED)
    assert (first.key, second.key) == ("peers-0", "peers-1")
    assert first.gaps_s is not None and len(first.gaps_s) == TOKENS + 1
    assert len(between_tokens(first) or ()) == TOKENS - 1
    assert 0.15 < first.ttft_s < 0.3


def test_llmeter_keeps_a_mean_of_the_gaps_by_its_own_formula() -> None:
    first, _ = llmeter.read(RECORDED)
    assert (first.key, first.gaps_s) == ("chatcmpl-emulated-00000009", None)
    assert first.ttft_s == pytest.approx(0.23815698)
    assert first.itl_s == pytest.approx(0.019452894)  # as the file itself has it, `time_per_output_token`


def test_the_clients_of_this_bench_tell_every_gap() -> None:
    first, _ = sdk.read(RECORDED)
    assert first.key is not None and first.key.startswith("chatcmpl-emulated-")
    assert first.gaps_s is not None and len(first.gaps_s) == TOKENS - 1


def test_ours_is_read_from_the_records_failures_left_out(tmp_path: Path) -> None:
    (tmp_path / "out" / "records").mkdir(parents=True)
    pq.write_table(pa.table({
        "request_id": ["a", "b"], "send_ns": [1_000, 1_000], "first_token_ns": [201_000, 202_000],
        "chunk_ns": [[201_000, 221_000, 251_000], [202_000]], "outcome": ["ok", "truncated"]}),
        tmp_path / "out" / "records" / "w.parquet")
    assert ours.read(tmp_path) == [Seen("a", pytest.approx(2e-4), pytest.approx([2e-5, 3e-5]), None)]


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_given_the_whole_load(name: str, tmp_path: Path) -> None:
    """Streams, requests or rounds of a stream, and both lengths; addresses and tokenizer are the server's."""
    place = Place("http://127.0.0.1:1", "emulated", Path("/tokenizer"), True, Path("/programs"), tmp_path)
    command = TOOLS[name].command(LOAD, place)
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    said = " ".join(command) + written
    assert command[0].startswith("/programs/") and "http://127.0.0.1:1" in said and "emulated" in said
    numbers = re.findall(r"(?<![\w.])\d+(?![\w.])", said)
    assert {"4", "64", "32"} <= set(numbers) and {"8", "2"} & set(numbers)


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_has_definitions_and_a_source(name: str) -> None:
    tool = TOOLS[name]
    assert min(map(len, (tool.ttft, tool.itl, tool.source))) > 20


def test_every_tool_that_is_not_installed_here_is_pinned_without_an_address() -> None:
    pinned = install.requirements()
    assert {tool.package for tool in TOOLS.values() if not tool.installed} == set(pinned)
    assert all(re.fullmatch(r"([\w-]+(\[\w+\])?==[\w.]+ ?)+", asked) for asked in pinned.values())


def test_a_tool_that_is_not_there_has_no_version(tmp_path: Path) -> None:
    assert install.version(TOOLS["AIPerf"], tmp_path) is None
