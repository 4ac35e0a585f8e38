"""The token of a run: a worker shows that it has it, and never sends it. Pure.

The master sends a number drawn for this worker (`Challenge`); the worker answers with an HMAC of it under the token
(`Proof`). `fmload run` makes a token for the processes that it starts; where workers run on other hosts,
people put the same one into TOKEN_VARIABLE on all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets

TOKEN_VARIABLE = "FMLOAD_RUN_TOKEN"
SHORTEST_TOKEN = 16  # characters
HOW_TO_MAKE = f"export {TOKEN_VARIABLE}=$(openssl rand -hex 32), the same on the master's host and on every worker's"


def made_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_hex(32)


def token() -> str | None:
    """The token in this process's environment; None when there is none."""
    return os.environ.get(TOKEN_VARIABLE, "").strip() or None


def made_nonce() -> str:
    """What a worker is asked to answer, once."""
    return secrets.token_hex(16)


def proof(token: str, nonce: str, worker: str) -> str:
    """A worker's answer."""
    return hmac.new(token.encode(), f"fmload worker\n{nonce}\n{worker}".encode(), hashlib.sha256).hexdigest()


def proves(token: str, nonce: str, worker: str, answer: str) -> bool:
    """Whether an answer was made with the token."""
    return hmac.compare_digest(proof(token, nonce, worker).encode(), answer.encode())
