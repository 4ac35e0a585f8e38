"""Fuzzing of everything that reads bytes from outside: `python -m tests.fuzz TARGET --inputs N`."""
