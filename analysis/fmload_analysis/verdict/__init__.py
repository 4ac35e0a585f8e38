"""What the figures say: cost, objectives, recommendations, comparisons."""
