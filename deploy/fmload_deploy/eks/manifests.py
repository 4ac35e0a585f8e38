"""The Kubernetes objects of an endpoint: namespace, token, Deployment, Service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import yaml


def manifests(**values: Any) -> list[dict[str, Any]]:
    """The objects in the order in which they are created; `values` are those of templates/kubernetes.yml.j2."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                     autoescape=False)
    environment.filters["json"] = json.dumps  # JSON is YAML: any value keeps its meaning
    return list(yaml.safe_load_all(environment.get_template("kubernetes.yml.j2").render(**values)))
