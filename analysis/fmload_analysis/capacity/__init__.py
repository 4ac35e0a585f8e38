"""The capacity plan: how many replicas a demand needs, by a simulation whose replica is fitted to a run."""
