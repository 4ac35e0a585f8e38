"""What the tagging API knows of EKS: node groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource, make_tag_matcher
from moto.eks.models import eks_backends
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend

from fmload_deploy.emulated_aws.layer import lay


def apply() -> None:
    """Lay this module over moto's tagging API, in this process."""
    tagging = ResourceGroupsTaggingAPIBackend
    lay(tagging, _get_resources_generator=_with_node_groups(tagging._get_resources_generator))


def _with_node_groups(inner: Any) -> Any:
    def generator(backend: Any, tag_filters: Any = None, *filters: Any, **more: Any) -> Iterator[TaggedResource]:
        yield from inner(backend, tag_filters, *filters, **more)
        matches = make_tag_matcher(tag_filters)
        for cluster in eks_backends[backend.account_id][backend.region_name].clusters.values():
            for group in cluster.nodegroups.values():
                if matches(group.tags):
                    yield TaggedResource(group.arn, group.tags, "eks:nodegroup")
    return generator
