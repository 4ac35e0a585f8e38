"""What this machine's client can measure."""
