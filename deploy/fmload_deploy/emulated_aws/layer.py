"""How a layer is laid over moto: attributes of its classes replaced, in this process."""

from __future__ import annotations

from typing import Any


def lay(owner: Any, **replacements: Any) -> None:
    """Replace attributes of one of moto's classes."""
    for name, replacement in replacements.items():
        setattr(owner, name, replacement)
