"""The options that stand for a run file, of `fmload run` and `fmload init`; `flags` makes one of them."""

from __future__ import annotations

import argparse

from fmload.launch import usual
from fmload.plugins import ENDPOINTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags; none has a default, so that it is known which were given."""
    add = parser.add_argument_group("a run without a run file").add_argument
    add("--url", help="base URL of a server that speaks OpenAI's protocol, such as http://10.0.0.5:8000/v1")
    add("--model", help="model name; asked of the server when it is not given")
    add("--api-key-env", metavar="VARIABLE",
        help=f"variable that holds the API key; default: {usual.DEFAULT_KEY}, where it is set")
    add("--concurrency", metavar="N,N,…",
        help=f"users at the same time; default: {','.join(map(str, usual.SWEEP))}")
    add("--rate", metavar="R,R,…", help="arrivals a second (Poisson), in place of users")
    add("--duration", "--window", metavar="TIME", help=f"measured time of each level; default: {usual.WINDOW_S:g}s")
    add("--requests", type=int, metavar="N", help="exactly so many requests at each level, all counted")
    add("--input-tokens", type=int, metavar="N", help=f"prompt length; default: {usual.INPUT_TOKENS}")
    add("--output-tokens", type=int, metavar="N", help=f"answer length to ask for; default: {usual.OUTPUT_TOKENS}")
    add("--dataset", metavar="FILE|NAME",
        help="prompts of a .jsonl, .json, .csv or .parquet file, of sharegpt=FILE, or of a set such as longbench")
    add("--tokenizer", help="a Hugging Face name or a folder; default: the server's own /tokenize, else a bundled one")
    add("--instance-type", help="what the endpoint runs on, for its price")
    add("--ca-file", metavar="FILE", help="PEM file of the certificates to trust")
    add("--protocol", choices=ENDPOINTS.names(), help="default: openai")
    add("--endpoint-name", metavar="NAME", help="SageMaker's name of the endpoint")
    add("--region", help="AWS region")
