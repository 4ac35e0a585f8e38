"""fmload: distributed load testing of foundation-model endpoints on Locust."""

__version__ = "0.1.0"
