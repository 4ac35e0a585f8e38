"""Deploy target: EC2 instances."""
