"""Whether the answers were any good: scores against ground truth, a panel of LLM judges, how far to trust it."""
