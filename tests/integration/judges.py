"""Judges that answer by rule: a server that speaks OpenAI's chat, and counts what it answered."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rule = Callable[[str], str]  # what is asked of the judge: what it replies
INPUT_TOKENS, OUTPUT_TOKENS = 100, 10


@dataclass
class Judges:
    """The server's state: rules by model, answers given by model, and by question's text."""

    url: str
    rules: dict[str, Rule]
    throttled: dict[str, int] = field(default_factory=dict)  # refusals still to be given, by model
    silent_after: dict[str, int] = field(default_factory=dict)  # replies after which a model never answers again
    refused: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    at_once: int = 0
    peak: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, model: str) -> int:
        """How often a judge replied."""
        return sum(count for (name, _), count in self.answered.items() if name == model)


def tag(text: str, name: str) -> str:
    """What stands between `<name>` and `</name>`."""
    found = re.search(rf"<{name}>\n(.*?)\n</{name}>", text, re.DOTALL)
    assert found, (name, text)
    return found[1]


@contextmanager
def judges(**rules: Rule) -> Iterator[Judges]:
    """A server with one model a rule, on a free port."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/v1/embeddings":
                self._embed(body)
                return
            with state.lock:
                state.at_once += 1
                state.peak = max(state.peak, state.at_once)
            try:
                self._answer(body["model"], body["messages"][0]["content"], bool(body.get("stream")))
            finally:
                with state.lock:
                    state.at_once -= 1

        def _answer(self, model: str, text: str, stream: bool) -> None:
            with state.lock:
                refuse = state.throttled.get(model, 0) > 0
                hang = not refuse and state.count(model) >= state.silent_after.get(model, 10**9)
                if refuse:
                    state.throttled[model] -= 1
                    state.refused[model] += 1
                elif not hang:
                    state.answered[model, text] += 1
            if hang:
                state.stopping.wait(60)
                return
            if refuse:
                self._send(429, b'{"error": {"message": "slow down"}}', "application/json", {"Retry-After": "0.01"})
            else:
                self._reply(state.rules[model](text), stream)

        def _embed(self, body: Any) -> None:
            """The counts of a and b, the last text first; refused as often as the model is throttled."""
            with state.lock:
                refuse = state.throttled.get(body["model"], 0) > 0
                state.throttled[body["model"]] = state.throttled.get(body["model"], 0) - refuse
                state.answered.update((body["model"], text) for text in body["input"] if not refuse)
            vectors = [{"index": index, "embedding": [text.count("a"), text.count("b")]}
                       for index, text in enumerate(body["input"])]
            self._send(503 if refuse else 200, json.dumps({"data": vectors[::-1]}).encode(), "application/json")

        def _reply(self, reply: str, stream: bool) -> None:
            usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
            if not stream:
                choice = {"message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
                self._send(200, json.dumps({"choices": [choice], "usage": usage}).encode(), "application/json")
                return
            events: list[Any] = [{"choices": [{"delta": {"content": reply}, "finish_reason": None}]},
                                 {"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
            lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            self._send(200, lines.encode(), "text/event-stream")

        def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Judges(f"http://127.0.0.1:{server.server_address[1]}/v1", rules)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
