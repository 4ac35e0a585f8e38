"""The master: drives steps, deals prompts, collects records."""
