"""Run files from FMBench configurations."""
