"""What the endpoints were doing while they were measured. One file a collector and one line in `fmload.plugins`."""
