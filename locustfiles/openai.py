"""Load on OpenAI-compatible endpoints under plain Locust: docs/locust.md."""

from fmload.locust.plugin import PromptUser, StageShape  # noqa: F401


class OpenAI(PromptUser):
    protocol = "openai"
