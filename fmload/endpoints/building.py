"""From an entry of the run file to an endpoint that can send: the one place where references become values."""

from __future__ import annotations

from fmload.config.schema import EndpointSpec
from fmload.config.secrets import resolved
from fmload.endpoints.base import Endpoint
from fmload.plugins import ENDPOINTS


def build(spec: EndpointSpec) -> Endpoint:
    """The endpoint of an entry. Raises FmloadError for what it cannot use, a variable that is not set included."""
    endpoint: Endpoint = ENDPOINTS.load(spec.protocol).from_spec(resolved(spec))
    return endpoint
