"""Inference parameters as a command line or a form gives them: one text, in YAML or JSON."""

from __future__ import annotations

from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import yaml_lines


def parameters_of(text: str) -> dict[str, Any]:
    """The parameters of --fmload-parameters, in YAML or JSON. Raises FmloadError for what is no mapping."""
    try:
        document = yaml_lines.parse(text)
    except yaml_lines.SyntaxProblem as problem:
        raise _unreadable(str(problem)) from problem
    if document.problems:
        raise _unreadable(document.problems[0][1])
    parameters = {} if document.value is None else document.value
    if not isinstance(parameters, dict):
        raise _unreadable(f"{text[:100]!r} is not a mapping")
    return parameters


def _unreadable(why: str) -> FmloadError:
    return FmloadError(f"--fmload-parameters: {why}",
                       hint='for example --fmload-parameters \'{"temperature": 0.1}\'')
