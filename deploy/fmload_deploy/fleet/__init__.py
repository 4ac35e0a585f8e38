"""The load generators' own hosts: Kubernetes manifests, EC2 user data, and taking results away in time."""
