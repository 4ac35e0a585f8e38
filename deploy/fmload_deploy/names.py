"""Names of what a run creates: known before it is created, the same at every try, different for every run."""

from __future__ import annotations

import hashlib
import re


def name_for(run_id: str, endpoint: str, limit: int = 60) -> str:
    """`fmload-<endpoint>-<digest>`: letters, digits and single hyphens, at most `limit` characters."""
    digest = hashlib.sha256(f"{run_id}/{endpoint}".encode()).hexdigest()[:10]
    slug = re.sub(r"[^a-z0-9]+", "-", endpoint.lower()).strip("-")[:limit - len("fmload--") - len(digest)].rstrip("-")
    return f"fmload-{slug}-{digest}"
