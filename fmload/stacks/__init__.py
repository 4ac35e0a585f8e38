"""The search over serving stacks: candidates, strategies, and the loop that tries one after the other. Pure."""
