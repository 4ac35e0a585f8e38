"""Deploy target: Kubernetes on EKS."""
