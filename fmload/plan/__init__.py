"""From a run file to stages."""
