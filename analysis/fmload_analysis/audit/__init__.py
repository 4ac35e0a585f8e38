"""Checks of the report's own numbers."""
