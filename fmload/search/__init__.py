"""Searches: which load to try next by what was seen so far, and what a stage's requests say about its load."""
