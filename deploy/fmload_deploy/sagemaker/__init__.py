"""Deploy target: SageMaker endpoints."""
