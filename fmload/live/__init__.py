"""The live state of a run: counters and histograms, merged over workers."""
