"""The Kubernetes objects of an endpoint (namespace, token, Deployment, Service), and of a fleet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import yaml


def manifests(template: str = "kubernetes.yml.j2", **values: Any) -> list[dict[str, Any]]:
    """The objects of a template in its order; `values` are those that it names."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                     autoescape=False)
    environment.filters["json"] = json.dumps  # JSON is YAML: any value keeps its meaning
    return list(yaml.safe_load_all(environment.get_template(template).render(**values)))
