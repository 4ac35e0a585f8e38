"""The figures of one stage, from its records and telemetry."""
