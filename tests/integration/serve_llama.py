"""llama.cpp's own HTTP server, in this process through xllamacpp: `python serve_llama.py MODEL API_KEY`.

Prints its address as one line, then serves until stdin ends.
"""

from __future__ import annotations

import socket
import sys

import xllamacpp


def main(model: str, api_key: str) -> None:
    """Serve with two slots, one thread and no prompt cache, on a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = 2
    params.n_ctx = 4096
    params.cache_prompt = False
    params.warmup = True
    params.use_jinja = True
    params.api_keys = [api_key]
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
