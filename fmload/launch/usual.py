"""What a run that flags describe asks for where they leave it open, and the variable that holds its key. Imports
nothing: the options of a command are told before anything else is imported."""

from __future__ import annotations

SWEEP = (1, 4, 16)
WINDOW_S = 10.0
INPUT_TOKENS, OUTPUT_TOKENS = 550, 150
DEFAULT_KEY = "OPENAI_API_KEY"  # the variable that every client of OpenAI's protocol reads
