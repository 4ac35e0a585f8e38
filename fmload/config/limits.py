"""The most that a run file may ask for: far beyond any real run, and far below what would hang or fill a computer."""

from __future__ import annotations

USERS = 1_000_000  # at once, over all workers
REQUESTS_PER_S = 1_000_000.0
WORKERS = 1024  # Locust processes of one host
LEVELS = 1000  # of one sweep
REPEATS = 1000
STEPS = 20_000  # of one session
STAGES = 10_000
ENTRIES = 1000  # of a list: endpoints, prompt sets, addresses, collectors
REQUESTS = 1_000_000_000  # of one stage
PROMPTS = 10_000_000  # of one set
INPUTS = 100_000  # of one request
TOKENS = 10_000_000  # of one prompt or answer
DURATION_S = 30 * 86400.0
SHORTEST_S = 0.001  # of what is repeated
BYTES = 1 << 40
RESPONSE_BYTES = 4 << 30
NAME_CHARACTERS = 100  # names become names of files
HEADERS = 100
HEADER_CHARACTERS = 16_384
FACTOR = 1_000_000.0  # shares, weights, speeds
USD = 1e9
