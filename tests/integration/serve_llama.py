"""llama.cpp's own HTTP server, in this process through xllamacpp: `python serve_llama.py MODEL API_KEY`.

Prints its address as one line, then serves until stdin ends. With `--port` it serves there until it is killed.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys

import xllamacpp

KV_TYPES = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0}

POOLING = {"mean": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
           "rank": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK}


def main() -> None:
    """Serve without a prompt cache, on the loopback interface; by default with two slots and one thread."""
    args = _arguments()
    with socket.create_server(("127.0.0.1", args.port)) as free:
        port = free.getsockname()[1]
    server = xllamacpp.Server(_params(args, port))
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    if args.port:
        signal.pause()
    sys.stdin.read()
    del server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("key", nargs="?")
    for name, default in (("port", 0), ("threads", 1), ("parallel", 2), ("context", 4096), ("batch", 2048),
                          ("ubatch", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--flash", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--pooling", choices=POOLING, help="serve embeddings (mean) or rankings (rank)")
    parser.add_argument("--kv", choices=KV_TYPES, default="f16")
    return parser.parse_args()


def _params(args: argparse.Namespace, port: int) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = args.parallel
    params.n_ctx = args.context
    params.n_batch, params.n_ubatch = args.batch, args.ubatch
    params.flash_attn_type = {
        "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
        "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED}[args.flash]
    params.cache_type_k = params.cache_type_v = KV_TYPES[args.kv]
    if args.pooling:
        params.embedding, params.pooling_type = True, POOLING[args.pooling]
    params.cache_prompt = False
    params.warmup = True
    params.use_jinja = True
    params.api_keys = [args.key] if args.key else []
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    return params


if __name__ == "__main__":
    main()
