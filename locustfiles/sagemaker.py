"""Load on SageMaker endpoints under plain Locust: docs/locust.md."""

from fmload.locust.plugin import PromptUser, StageShape  # noqa: F401


class SageMaker(PromptUser):
    protocol = "sagemaker"
