"""Deploy target: Bedrock models and provisioned throughput."""
