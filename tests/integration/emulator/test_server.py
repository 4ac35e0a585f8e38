"""The emulator over real sockets. Only causality and lower bounds are asserted of times."""

from __future__ import annotations

import itertools
import json
import signal
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from fmload.config.schema import EndpointSpec
from tests.integration.emulator.conftest import LIMIT_S, Emulate, chat, read_response, wait_until

FAST = ("--ttft", "20ms", "--gap", "2ms")
CLOCK_NS = 1_000_000  # slack for turning the kernel's wall-clock stamp into the monotonic clock


def test_the_truth_lies_between_what_the_client_did_and_saw(emulate: Emulate) -> None:
    server = emulate(*FAST)
    with server.connect() as sock:
        sent_ns = time.monotonic_ns()
        sock.sendall(chat(20, "abc"))
        response = read_response(sock)
        ended_ns = time.monotonic_ns()
    (truth,) = server.truths(1)
    assert (truth.request_id, truth.outcome, truth.status, truth.output_tokens) == ("abc", "ok", 200, 20)
    assert response.complete and response.tokens == 20 and "X-Emulator: steady" in response.head
    assert truth.headers_ns is not None and truth.end_ns is not None
    instants = [sent_ns - CLOCK_NS, truth.received_ns, truth.headers_ns, *truth.token_ns, truth.end_ns]
    assert all(a <= b for a, b in itertools.pairwise(instants))
    assert truth.token_ns[-1] <= ended_ns
    assert truth.token_ns[0] - truth.received_ns >= 20_000_000 - CLOCK_NS


def test_one_connection_serves_request_after_request_also_pipelined(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    with server.connect() as sock:
        sock.sendall(b"".join(chat(3, f"r{i}") for i in range(5)) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        leftover = bytearray()
        responses = [read_response(sock, leftover) for _ in range(6)]
    assert [response.tokens for response in responses] == [3] * 5 + [0]
    assert [truth.request_id for truth in server.truths(5)] == [f"r{i}" for i in range(5)]


def test_every_request_that_ended_is_counted_and_logged_once(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--fault", "429:share=0.2", "--fault", "cut:after=2,share=0.2")

    def client(name: int) -> None:
        for i in range(25):
            with server.connect() as sock:
                sock.sendall(chat(4, f"{name}-{i}"))
                try:
                    read_response(sock)
                except ConnectionResetError:
                    continue

    threads = [threading.Thread(target=client, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    truths = server.truths(200)
    assert {truth.request_id for truth in truths} == {f"{name}-{i}" for name in range(8) for i in range(25)}
    stats = server.stats()
    assert (len(truths), stats["requests_ended"], stats["running"]) == (200, 200, 0)
    assert stats["output_tokens"] == sum(truth.output_tokens for truth in truths)
    assert stats["outcomes"]["fault"] == sum(truth.outcome == "fault" for truth in truths) > 20


def test_a_client_that_leaves_frees_its_place(emulate: Emulate) -> None:
    server = emulate("--profile", "llama3-8b-inf2.xlarge")
    with server.connect() as sock:
        sock.sendall(chat(4000))
        assert b"200" in sock.recv(100)
        assert server.stats()["running"] == 1
    (truth,) = server.truths(1)
    assert truth.outcome == "disconnected"
    assert server.stats()["running"] == 0


def test_a_slow_reader_gets_everything(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    with server.connect() as sock:
        sock.sendall(chat(60_000))  # 14 MB: more than the kernel holds for a connection
        server.truths(1)  # the server is through, the bytes are not
        response = read_response(sock)
    assert response.complete and response.tokens == 60_000


def test_a_large_prompt_comes_in_whole_and_is_counted_as_the_client_counts(emulate: Emulate) -> None:
    from fmload.prompts.tokenizer import bundled_count

    server, prompt = emulate("--profile", "instant"), "The quick brown fox, jumped over 12345 lazy dogs. " * 20_000
    with server.connect() as sock:
        sock.sendall(chat(1, prompt=prompt))
        assert read_response(sock).complete
        body = json.dumps({"prompt": prompt}).encode()
        sock.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert json.loads(read_response(sock).body)["count"] == bundled_count(prompt)
    assert server.truths(1)[0].input_tokens == bundled_count(prompt) + 7


def test_tls_is_verified_with_the_certificate_it_names(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--tls", "--tls-host", "emulator.test", "--tls-host", "127.0.0.1")
    assert server.ca_file is not None and server.url.startswith("https://")
    context = ssl.create_default_context(cafile=server.ca_file)
    for host in ("emulator.test", "127.0.0.1"):
        with server.connect() as plain, context.wrap_socket(plain, server_hostname=host) as sock:
            sock.sendall(chat(500))
            assert read_response(sock).tokens == 500
    with server.connect() as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="elsewhere.test")
    assert len(server.truths(2)) == 2


def test_what_was_finished_survives_a_kill(emulate: Emulate) -> None:
    server = emulate(*FAST)
    with server.connect() as sock, server.connect() as second:
        sock.sendall(chat(3, "done"))
        read_response(sock)
        second.sendall(chat(10_000, "under way"))
        assert second.recv(100)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(LIMIT_S)
    assert [truth.request_id for truth in server.truths(1)] == ["done"]


def test_a_server_that_is_told_to_stop_ends_well_and_logs_what_was_under_way(emulate: Emulate) -> None:
    server = emulate(*FAST)
    with server.connect() as sock:
        sock.sendall(chat(10_000))
        assert sock.recv(100)
        server.process.terminate()
        assert server.process.wait(LIMIT_S) == 0
    assert server.truths(1)[0].outcome == "disconnected"


def test_a_stall_of_the_whole_server_is_not_made_up_for(emulate: Emulate) -> None:
    server = emulate("--ttft", "0", "--gap", "10ms", "--stall-at", "1s", "--stall-for", "700ms")
    with server.connect() as sock:
        sock.sendall(chat(150))
        read_response(sock)
    (truth,) = server.truths(1)
    gaps = [b - a for a, b in itertools.pairwise(truth.token_ns)]
    assert max(gaps) >= 700_000_000
    assert truth.token_ns[-1] - truth.received_ns >= 2_190_000_000 - CLOCK_NS  # 149 gaps and the stall


def test_a_server_can_die_and_can_stop_listening(emulate: Emulate) -> None:
    dying, closed = emulate(*FAST, "--die-at", "300ms"), emulate(*FAST, "--refuse-at", "1ms")
    assert dying.process.wait(LIMIT_S) == -signal.SIGKILL

    def refused() -> bool:
        try:
            closed.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refused, "refused connections")
    assert closed.process.poll() is None


def test_faults_on_the_wire(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")

    def ask(fault: str) -> bytes:
        return chat(5, headers=f"X-Emulator-Fault: {fault}\r\n")

    with server.connect() as sock:
        sock.sendall(ask("429:retry_after=2"))
        response = read_response(sock)
        assert response.status == 429 and "Retry-After: 2" in response.head
        assert json.loads(response.body)["error"]["code"] == 429
        sock.sendall(ask("truncate:after=3"))  # the connection is still good
        response = read_response(sock)
        assert response.complete and response.tokens == 3 and b"[DONE]" not in response.body
        sock.sendall(ask("nonsense"))
        assert read_response(sock).status == 400
        sock.sendall(ask("cut:after=3,how=fin"))
        response = read_response(sock)
        assert not response.complete and response.tokens == 3
    with server.connect() as sock, pytest.raises(ConnectionResetError):
        sock.sendall(ask("cut:after=3"))
        read_response(sock)
        raise AssertionError("the connection was not reset")
    with server.connect() as sock:
        sock.settimeout(0.5)
        sock.sendall(ask("never"))
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_comments_keep_a_stream_alive_before_its_first_token(emulate: Emulate) -> None:
    server = emulate("--ttft", "400ms", "--gap", "0", "--shape", "ping=50ms")
    with server.connect() as sock:
        sock.sendall(chat(3))
        response = read_response(sock)
    before, comment, after = response.body.rpartition(b": keep-alive\n\n")
    assert comment and b"data:" not in before and after.startswith(b"data:") and response.tokens == 3


def test_bytes_that_are_no_request_are_answered_400(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    with server.connect() as sock:
        sock.sendall(b"what is this\r\n\r\n")
        assert read_response(sock).status == 400
        assert sock.recv(10) == b""


def test_a_client_that_expects_100_continue_gets_it(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    head, _, body = chat(2, headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with server.connect() as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_response(sock).tokens == 2


def test_wrong_model_and_wrong_key_are_refused_as_vllm_does(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--model", "other", "--api-key", "k")
    with server.connect() as sock:
        sock.sendall(chat(1))
        assert read_response(sock).status == 401
        sock.sendall(chat(1, headers="Authorization: Bearer k\r\n"))
        response = read_response(sock)
        assert response.status == 404 and b"`m` does not exist" in response.body
    assert json.loads(server.get("/v1/models"))["data"][0]["id"] == "other"


def test_a_full_queue_answers_503_and_a_long_wait_ends(emulate: Emulate) -> None:
    server = emulate("--profile", "llama3-8b-inf2.xlarge", "--max-waiting", "1", "--queue-timeout", "1ms")
    socks = [server.connect() for _ in range(12)]
    for sock in socks:
        sock.sendall(chat(1, stream=False, prompt="word " * 1000))
    statuses = sorted(read_response(sock).status for sock in socks)
    assert statuses == [200] + [503] * 11
    outcomes = [truth.outcome for truth in server.truths(12)]
    assert outcomes.count("refused") == 3 and outcomes.count("queue_timeout") == 8
    for sock in socks:
        sock.close()


def test_an_engine_takes_at_least_the_time_of_its_steps(emulate: Emulate) -> None:
    server = emulate("--profile", "llama3-8b-g5.xlarge", "--jitter", "0")
    socks = [server.connect() for _ in range(3)]
    for number, sock in enumerate(socks):
        sock.sendall(chat(12, str(number), prompt="word " * 400))
    assert [read_response(sock).tokens for sock in socks] == [12] * 3
    for truth in server.truths(3):
        assert truth.admitted_ns is not None and truth.received_ns <= truth.admitted_ns + CLOCK_NS
        prefill_s, step_s = 0.015 + 407 / 3500, 0.0325
        assert truth.token_ns[0] - truth.admitted_ns >= prefill_s * 1e9
        assert truth.token_ns[-1] - truth.admitted_ns >= (prefill_s + 11 * step_s) * 1e9
    for sock in socks:
        sock.close()


def test_answers_may_end_by_themselves_unless_told_to_go_on(emulate: Emulate) -> None:
    import openai

    server = emulate("--profile", "instant", "--natural-tokens", "3")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)

    def finish(**more: object) -> tuple[int, str]:
        answer = client.completions.create(model="m", prompt="hi", max_tokens=20, extra_body=more)
        assert answer.usage is not None
        return answer.usage.completion_tokens, answer.choices[0].finish_reason

    assert [finish(), finish(min_tokens=7), finish(ignore_eos=True)] == [(3, "stop"), (7, "stop"), (20, "length")]


def test_prometheus_tells_the_truth_unless_told_to_lie(emulate: Emulate) -> None:
    def metrics(*options: str) -> dict[str, float]:
        server = emulate("--profile", "instant", "--prefix-cache", *options)
        with server.connect() as sock:
            for _ in range(3):
                sock.sendall(chat(10, prompt="a long prompt " * 100))
                read_response(sock)
        text = server.get("/metrics").decode()
        return {line.split("{")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines()
                if not line.startswith("#") and "_bucket" not in line and 'reason="stop"' not in line
                and 'reason="abort"' not in line}

    honest, liar = metrics(), metrics("--metrics-factor", "0.5")
    assert honest["vllm:generation_tokens_total"] == 30 and liar["vllm:generation_tokens_total"] == 15
    assert honest["vllm:request_success_total"] == 3
    assert honest["vllm:time_to_first_token_seconds_count"] == 3
    assert honest["vllm:inter_token_latency_seconds_count"] == 27
    assert 0 < honest["vllm:prefix_cache_hits_total"] < honest["vllm:prefix_cache_queries_total"]


def test_the_openai_sdk_streams_from_it(emulate: Emulate) -> None:
    import openai

    server = emulate("--profile", "instant", "--shape", "reasoning_tokens=2,tokens_per_chunk=3,role=early")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=20,
                                            stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 20
    whole = client.completions.create(model="m", prompt="hi", max_tokens=20)
    assert whole.usage is not None and whole.usage.completion_tokens == 20
    assert whole.choices[0].finish_reason == "length"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_the_openai_sdk_takes_its_responses(emulate: Emulate, field: str) -> None:
    import openai

    server = emulate("--profile", "instant", "--natural-tokens", "20", "--shape",
                     f"reasoning_tokens=2,reasoning_field={field},tokens_per_chunk=3")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    with client.responses.stream(model="m", input="hi", max_output_tokens=100) as stream:
        kinds = [event.type for event in stream]
        last = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed" and "response.output_text.delta" in kinds
    assert last.usage is not None and last.usage.output_tokens == 20
    assert last.usage.output_tokens_details.reasoning_tokens == 2 and len(last.output_text.split()) == 18
    whole = client.responses.create(model="m", input="hi", max_output_tokens=100)
    assert whole.output_text == last.output_text and [item.type for item in whole.output] == ["reasoning", "message"]
    goes_on = client.responses.create(model="m", input="and?", max_output_tokens=5, previous_response_id=whole.id)
    assert goes_on.usage is not None and whole.usage is not None
    assert goes_on.usage.input_tokens > whole.usage.input_tokens + 18  # what the server holds is read again
    branch = client.responses.create(model="m", input="or?", max_output_tokens=5, previous_response_id=whole.id)
    assert branch.usage == goes_on.usage and branch.id != goes_on.id  # two may go on from one
    cut = list(client.responses.create(model="m", input="hi", max_output_tokens=5, stream=True))
    assert cut[-1].type == "response.incomplete" and cut[-1].response.incomplete_details is not None
    with pytest.raises(openai.BadRequestError, match="not found") as refused:
        client.responses.create(model="m", input="and?", previous_response_id="resp_none")
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


def test_the_openai_sdk_reads_and_deletes_what_responses_are_stored_and_nothing_else_is(emulate: Emulate) -> None:
    import openai

    server = emulate("--profile", "instant", "--natural-tokens", "9")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    first = client.responses.create(model="m", input="one two three", instructions="word " * 50)
    with client.responses.stream(model="m", input="four", previous_response_id=first.id) as stream:
        list(stream)
        second = stream.get_final_response()
    assert client.responses.retrieve(second.id).output_text == second.output_text
    assert client.responses.retrieve(second.id).previous_response_id == first.id
    plain = client.responses.create(model="m", input="one two three")
    assert first.usage is not None and second.usage is not None and plain.usage is not None
    assert first.usage.input_tokens > plain.usage.input_tokens + 50
    assert second.usage.input_tokens < plain.usage.input_tokens + 20  # the first one's instructions were its own
    client.responses.delete(first.id)
    unstored = client.responses.create(model="m", input="five", store=False)
    for gone in (first.id, unstored.id):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="m", input="and?", previous_response_id=gone)
    assert client.responses.create(model="m", input="six", previous_response_id=second.id).usage is not None


def test_the_openai_sdk_takes_a_call_in_its_responses(emulate: Emulate) -> None:
    import openai

    server = emulate("--profile", "instant", "--natural-tokens", "6")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    tool = {"type": "function", "name": "look_up", "strict": False,
            "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
    with client.responses.stream(model="m", input="hi", max_output_tokens=60, tools=[tool],  # type: ignore[list-item]
                                 tool_choice="required") as stream:
        list(stream)
        (call,) = stream.get_final_response().output
    assert call.type == "function_call" and len(json.loads(call.arguments)["word"].split()) == 6


def test_the_openai_sdk_speaks_azure_with_it(emulate: Emulate) -> None:
    import openai

    server = emulate("--profile", "instant", "--model", "my-gpt", "--api-key", "secret")
    client = openai.AzureOpenAI(azure_endpoint=server.url, api_key="secret", api_version="2024-10-21", max_retries=0)
    answer = client.chat.completions.create(model="my-gpt", messages=[{"role": "user", "content": "hi"}], max_tokens=4)
    assert answer.usage is not None and answer.usage.completion_tokens == 4


def test_what_it_prints_can_be_pasted_into_a_run_file(emulate: Emulate) -> None:
    server = emulate("--profile", "llama3-8b-g5.xlarge")
    wait_until(lambda: "emulated:" in server.output.read_text(), "the printed lines")
    printed = server.output.read_text()
    assert server.url in printed.splitlines()[0]
    (endpoint,) = yaml.safe_load(printed.partition("\n")[2])["endpoints"]
    spec = EndpointSpec.model_validate(endpoint)
    assert (spec.url, spec.emulated) == (server.url + "/v1", "llama3-8b-g5.xlarge")


def test_a_taken_port_is_named(emulate: Emulate, tmp_path: Path) -> None:
    server = emulate("--profile", "instant")
    from fmload.cli.main import main

    assert main(["emulate", "--port", str(urlsplit(server.url).port), "--truth", str(tmp_path / "t")]) == 2
