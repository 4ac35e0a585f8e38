"""Starts a run: folder, lock, plan, prompts, warnings, processes, progress."""
