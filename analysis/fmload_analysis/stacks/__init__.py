"""The answer of a search over serving stacks: ranking, effects of settings, price against speed, and the page."""
