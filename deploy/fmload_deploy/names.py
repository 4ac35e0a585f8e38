"""Names of what a run creates: known before it is created, the same at every try, different for every run."""

from __future__ import annotations

import hashlib
import re
import secrets

from fmload_deploy.resource import Resource


def name_for(run_id: str, endpoint: str, limit: int = 60) -> str:
    """`fmload-<endpoint>-<digest>`: letters, digits and single hyphens, at most `limit` characters."""
    digest = hashlib.sha256(f"{run_id}/{endpoint}".encode()).hexdigest()[:10]
    slug = re.sub(r"[^a-z0-9]+", "-", endpoint.lower()).strip("-")[:limit - len("fmload--") - len(digest)].rstrip("-")
    return f"fmload-{slug}-{digest}"


def attempt_token(resource: Resource) -> str:
    """An idempotency token for one create call, which the SDK may send again: another for every attempt of ours, for
    AWS refuses a known token with other parameters."""
    return f"{resource.name[:40]}-{secrets.token_hex(8)}"
