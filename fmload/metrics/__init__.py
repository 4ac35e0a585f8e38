"""Every metric: definition, unit, and its form per record and live."""
