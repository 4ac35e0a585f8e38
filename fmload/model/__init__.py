"""The nouns: prompt, record, reading, outcome, stage."""
