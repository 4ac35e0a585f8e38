"""From an entry of the run file to an endpoint that can send: the one place where references become values."""

from __future__ import annotations

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.config.secrets import resolved
from fmload.endpoints.base import Endpoint
from fmload.plugins import ENDPOINTS

_NEEDED = ("name", "streamed", "addresses", "send", "read", "carries_token")


def build(spec: EndpointSpec) -> Endpoint:
    """The endpoint of an entry. Raises FmloadError for what it cannot use, a variable that is not set included."""
    endpoint: Endpoint = ENDPOINTS.load(spec.protocol).from_spec(resolved(spec))
    if lacking := [name for name in _NEEDED if not hasattr(endpoint, name)]:
        raise FmloadError(f"endpoint '{spec.name}': what protocol '{spec.protocol}' makes has no {', '.join(lacking)}",
                          hint="mend the distribution that adds it; 'fmload help extending' says what an endpoint is")
    return endpoint
