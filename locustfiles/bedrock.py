"""Load on Bedrock models under plain Locust: docs/locust.md."""

from fmload.locust.plugin import PromptUser, StageShape  # noqa: F401


class Bedrock(PromptUser):
    protocol = "bedrock"
