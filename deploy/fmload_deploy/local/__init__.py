"""Deploy target: processes on this host."""
