"""The page on protocols names every protocol, and tests that are there."""

from __future__ import annotations

import ast

from fmload.endpoints.http import HttpProtocol
from fmload.plugins import ENDPOINTS
from tests import protocols
from tests.conformance import TESTS

INPUTS = {"embeddings", "rerank", "images", "transcription", "speech"}  # have tests of their own


def test_the_page_is_what_the_tables_say() -> None:
    assert protocols.PAGE.read_text() == protocols.page(), "run: python -m tests.protocols"


def test_every_test_that_the_page_names_is_there() -> None:
    missing = []
    for name in protocols.named():
        file, _, function = name.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        if function not in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}:
            missing.append(name)
    assert not missing


def test_every_protocol_over_http_passes_the_conformance_tests() -> None:
    over_http = {name for name in ENDPOINTS.own() if isinstance(ENDPOINTS.load(name), HttpProtocol)} - INPUTS
    assert {one.protocol for one in protocols.PROTOCOLS.values()} == over_http == protocols.MET.keys()
