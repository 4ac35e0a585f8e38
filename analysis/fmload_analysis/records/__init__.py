"""Records as they are stored: read in batches, as numpy columns."""
