"""Which endpoints of a run file are one server, with one prefix cache, asked in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("model", "endpoint_name", "inference_component", "target_variant")


def server_of(endpoint: Mapping[str, Any]) -> str:
    """What endpoints of one server have in common, of an entry of the run file: addresses, and what is asked for there.

    An endpoint that names no address is a server of its own, unless it is one of SageMaker's by `endpoint_name`.
    """
    addresses = sorted(endpoint.get("urls") or filter(None, [endpoint.get("url")]))
    asked = [endpoint.get(name) for name in _NAMES]
    named = bool(addresses and endpoint.get("protocol") != "sagemaker") or endpoint.get("endpoint_name")
    own = None if named else endpoint.get("name")
    return repr((endpoint.get("protocol"), addresses, endpoint.get("region"), asked, own))
