"""What everything may use: errors, units, registries, resources, clock offsets."""
