"""Counting answers with a tokenizer after the run."""
