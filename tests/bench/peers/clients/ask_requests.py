"""One load by the requests package, a thread a stream: `python ask_requests.py '{"url": …}'`."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
import uuid
from typing import Any

import requests


def ask(session: requests.Session, asked: dict[str, Any]) -> dict[str, Any]:
    """One request, and when its tokens came."""
    key, arrived = uuid.uuid4().hex, []
    body = {"model": asked["model"], "stream": True, "max_tokens": asked["tokens"], "ignore_eos": True,
            "messages": [{"role": "user", "content": " ".join("a" * asked["words"])}]}
    sent = time.perf_counter()
    with session.post(asked["url"], json=body, stream=True, headers={"X-Request-Id": key}) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            now = time.perf_counter()
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                if choices and choices[0]["delta"].get("content"):
                    arrived.append(now)
    gaps = [late - early for early, late in itertools.pairwise(arrived)]
    return {"key": key, "ttft_s": arrived[0] - sent, "gaps_s": gaps}


def main(asked: dict[str, Any]) -> None:
    """As many threads as streams, until all requests are made."""
    left, seen, lock = [asked["requests"]], [], threading.Lock()

    def stream() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    if not left[0]:
                        return
                    left[0] -= 1
                seen.append(ask(session, asked))

    threads = [threading.Thread(target=stream) for _ in range(asked["streams"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(asked["seen"], "w") as file:  # noqa: PTH123 - run by itself
        file.writelines(json.dumps(one) + "\n" for one in seen)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
