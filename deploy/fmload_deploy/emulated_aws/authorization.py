"""What a policy allows: the emulated account can be told to allow that, and nothing else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session

_SIGNED = {"elasticmapreduce": "emr", "monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi",
           "servicequotas": "service-quotas"}
_PREFIXES = {"service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}
_OTHERWISE = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket", "s3:ListObjects": "s3:ListBucket",
              "s3:ListBuckets": "s3:ListAllMyBuckets", "s3:HeadBucket": "s3:ListBucket",
              "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
              "s3:ListParts": "s3:GetObject",  # alike by method and path, and nobody here lists parts
              "sts:GetCallerIdentity": ""}


def action_of(authorization: str, named: str, method: str, path: str, query: str) -> str:
    """The IAM action of a request: of its signature's service, and its operation's name or (REST) method and path.

    Empty for what needs no permission.
    """
    match = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", authorization)
    signed = match[1] if match else ""
    service = _SIGNED.get(signed, signed)
    operation = named if named.isalnum() else _of_path(service, method, path, query)
    action = f"{_PREFIXES.get(service, service)}:{operation}"
    return _OTHERWISE.get(action, action)


def allowed(policy: Mapping[str, Any], action: str) -> bool:
    """Whether a statement of the policy allows the action (on whatever resource)."""
    return action == "" or any(fnmatch.fnmatchcase(action, pattern) for statement in policy["Statement"]
                               for pattern in _listed(statement["Action"]))


def simulated(policy: Mapping[str, Any] | None, query: Mapping[str, Sequence[str]]) -> str:
    """The answer to iam:SimulatePrincipalPolicy under that policy (None: everything is allowed).

    As AWS does: an action asked for without a resource is one on all resources, which a statement on some does not
    allow; and a statement with a condition allows nothing where its key is not told.
    """
    names = [values[0] for key, values in query.items() if key.startswith("ActionNames.member.")]
    resources = [values[0] for key, values in query.items() if key.startswith("ResourceArns.member.")] or ["*"]
    told = {values[0] for key, values in query.items() if key.endswith("ContextKeyName")}
    decided = {name: policy is None or _simulated(policy, name, resources, told) for name in names}
    results = "".join(
        f"<member><EvalActionName>{name}</EvalActionName>"
        f"<EvalDecision>{'allowed' if good else 'implicitDeny'}</EvalDecision></member>"
        for name, good in decided.items())
    return ('<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
            f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{results}"
            "</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>")


def _simulated(policy: Mapping[str, Any], action: str, resources: Sequence[str], told: set[str]) -> bool:
    """Whether the policy allows the action on every one of the resources."""
    saying = [statement for statement in policy["Statement"]
              if any(fnmatch.fnmatchcase(action, pattern) for pattern in _listed(statement["Action"]))
              and {key for keys in statement.get("Condition", {}).values() for key in keys} <= told]
    return all(any(fnmatch.fnmatchcase(resource, pattern) for statement in saying
                   for pattern in _listed(statement.get("Resource", "*"))) for resource in resources)


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _of_path(service: str, method: str, path: str, query: str) -> str:
    """The operation of a REST service whose method and path these are: of those that fit, the longest template, the
    most of the query, and the plainest name (PutObject and UploadPartCopy look alike)."""
    fitting = [(len(template), len(wanted), -len(name), name) for verb, template, wanted, name in _rest(service)
               if verb == method and re.fullmatch(template, path) and wanted <= set(re.findall(r"[^&=]+", query))]
    return max(fitting, default=(0, 0, 0, ""))[3]


@cache
def _rest(service: str) -> list[tuple[str, str, frozenset[str], str]]:
    return list(_templates(service))


def _templates(service: str) -> Iterator[tuple[str, str, frozenset[str], str]]:
    try:
        model = botocore.session.get_session().get_service_model(service)
    except Exception:  # a service that botocore does not know has no operations to tell apart
        return
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http.get("requestUri", "/").partition("?")
        pattern = re.sub(r"\\\{[^}]*\\\+\\\}", ".+", re.sub(r"\\\{[^+}]*\\\}", "[^/]+", re.escape(path)))
        if pattern.endswith("[^/]+") and service != "s3":  # an ARN, whose slashes were encoded
            pattern = pattern.removesuffix("[^/]+") + ".+"
        yield http.get("method", "POST"), pattern, frozenset(re.findall(r"[^&=]+", query)), name
