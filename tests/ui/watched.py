"""A page under watch, as the `watched` fixture gives it."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page


@dataclass
class Watched:
    """A page, with every error it reported and every request it made."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def network(self) -> list[str]:
        """Requests that left the page: all but files and data it brought itself."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "about:", "blob:"))]
