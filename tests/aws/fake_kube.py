"""A Kubernetes API server for tests: strict schemas, server-side apply, watches none, and a controller that acts.

`python fake_kube.py READY_FILE`. Objects are validated against Kubernetes' own schemas (kubernetes-validate) and by the
rules that schemas cannot say. A Deployment becomes available after a second look at it; one whose image contains
`missing` never does, and its pod says ImagePullBackOff. The pods of a Job
are processes (fake_pods.py). One node offers four NVIDIA devices, one a Neuron device.
"""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml
from fake_pods import Jobs, execute, job_problems

Object = dict[str, Any]
VERSION = "1.33"
KINDS = {"namespaces": "Namespace", "nodes": "Node", "pods": "Pod", "services": "Service", "secrets": "Secret",
         "deployments": "Deployment", "jobs": "Job"}
NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


class Refused(Exception):
    """An answer of the API server that is not 2xx."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                       "message": message}


class Store:
    """The objects, by plural, namespace and name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs = Jobs()
        self.objects: dict[tuple[str, str, str], Object] = {
            ("namespaces", "", "default"): {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
            **{("nodes", "", name): node(name, instance_type, kind, count) for name, instance_type, kind, count in (
                ("gpu", "g6e.12xlarge", "nvidia.com/gpu", 4), ("inf", "inf2.xlarge", "aws.amazon.com/neuron", 1),
                ("bare", "g5.xlarge", "cpu", 4))}}

    def apply(self, plural: str, namespace: str, name: str, given: Object) -> Object:
        """Server-side apply by one manager: the given fields replace those of the last time."""
        if namespace and ("namespaces", "", namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        check(given)
        known = self.objects.get((plural, namespace, name), {})
        uid = known.get("metadata", {}).get("uid") or str(uuid.uuid4())
        self.objects[plural, namespace, name] = {**given, "metadata": {**given["metadata"], "uid": uid},
                                                 "looks": known.get("looks", 0)}
        self._reconcile()
        return self.get(plural, namespace, name)

    def _reconcile(self) -> None:
        for (plural, namespace, _), one in self.objects.items():
            if plural == "jobs":
                self.jobs.reconcile(namespace, one, {name: secret for (kind, where, name), secret in
                                                     self.objects.items() if (kind, where) == ("secrets", namespace)})

    def get(self, plural: str, namespace: str, name: str) -> Object:
        if (plural, namespace, name) not in self.objects:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        found = self.objects[plural, namespace, name]
        found["looks"] = found.get("looks", 0) + 1
        return controlled(found)

    def delete(self, plural: str, namespace: str, name: str, policy: str | None = None) -> Object:
        gone = self.objects.pop((plural, namespace, name), None)
        if gone is None:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        if plural == "jobs":
            self.jobs.delete(namespace, name, policy)
            for key, one in list(self.objects.items()):
                if any(owner["uid"] == gone["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", ())):
                    del self.objects[key]
        if plural == "namespaces":
            for key in [key for key in self.objects if key[1] == name]:
                del self.objects[key]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def list(self, plural: str, namespace: str, selector: str) -> Object:
        wanted = dict(part.split("=", 1) for part in selector.split(",") if "=" in part)
        items = [controlled(one) for (kind, where, _), one in self.objects.items()
                 if kind == plural and where == namespace] if plural != "pods" else self._pods(namespace)
        items = [one for one in items if wanted.items() <= (one["metadata"].get("labels") or {}).items()]
        return {"kind": f"{KINDS[plural]}List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _pods(self, namespace: str) -> list[Object]:
        jobs = [one for (kind, where, _), one in self.objects.items() if kind == "jobs" and where == namespace]
        return [*(pod(one) for (kind, where, _), one in self.objects.items()
                  if kind == "deployments" and where == namespace),
                *self.jobs.shown(namespace, next(iter(jobs), None))]


def check(given: Object) -> None:
    """Schemas, and the rules beyond them. Raises Refused."""
    try:
        kubernetes_validate.validate(given, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise Refused(400, "BadRequest", f"strict decoding error: {error.message}") from error
    problems = [] if NAME.match(given["metadata"]["name"]) else ["metadata.name: not a lowercase RFC 1123 label"]
    if given["kind"] == "Job":
        problems += job_problems(given)
    if given["kind"] == "Deployment":
        problems += deployment_problems(given["spec"])
    if problems:
        raise Refused(422, "Invalid", f'{given["kind"]} is invalid: {"; ".join(problems)}')


def deployment_problems(spec: Object) -> list[str]:
    problems = []
    if not spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items():
        problems.append("`selector` does not match template `labels`")
    for container in spec["template"]["spec"]["containers"]:
        resources = container.get("resources", {})
        limits, requests = resources.get("limits", {}), resources.get("requests", {})
        problems += [f"{key}: limits and requests must be equal" for key in {*limits, *requests}
                     if "/" in key and limits.get(key) != requests.get(key)]
    return problems


def controlled(stored: Object) -> Object:
    """The object with the status that its controller would have given it."""
    shown = copy.deepcopy({key: value for key, value in stored.items() if key != "looks"})
    if shown["kind"] == "Deployment":
        ready = shown["spec"]["replicas"] if stored["looks"] > 2 and not missing(shown) else 0
        shown["status"] = {"replicas": shown["spec"]["replicas"], "availableReplicas": ready}
    if shown["kind"] == "Service" and shown["spec"].get("type") == "LoadBalancer":
        shown["status"] = {"loadBalancer": {"ingress": [{"hostname": "model.elb.us-east-1.amazonaws.com"}]}}
    return shown


def missing(deployment: Object) -> bool:
    return "missing" in deployment["spec"]["template"]["spec"]["containers"][0]["image"]


def pod(deployment: Object) -> Object:
    waiting = {"reason": "ImagePullBackOff", "message": "not found"} if missing(deployment) else {
        "reason": "ContainerCreating"}
    status = {"name": "model", "ready": False, "restartCount": 0, "image": "i", "imageID": "",
              "state": {"waiting": waiting}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "model-0"}, "spec": {"containers": []},
            "status": {"phase": "Pending", "containerStatuses": [status]}}


def node(name: str, instance_type: str, resource: str, count: int) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "status": {"allocatable": {resource: str(count)}},
            "metadata": {"name": name, "labels": {"node.kubernetes.io/instance-type": instance_type}}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.upgrade()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.store.lock:
                code, data = 200, json.dumps(self.route(body)).encode()
        except Refused as refused:
            code, data = refused.status["code"], json.dumps(refused.status).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def upgrade(self) -> None:
        """`exec` in a pod."""
        url = urlsplit(self.path)
        pod = self.store.jobs.named(url.path.split("/")[-2])
        assert pod is not None
        request = f"{self.requestline}\r\n{self.headers}".encode()
        execute(self.connection, request, pod, parse_qs(url.query)["command"])
        self.close_connection = True

    def route(self, body: bytes) -> Any:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural, name = parts[0], parts[1] if len(parts) > 1 else ""
        if self.command == "PATCH":
            if "apply-patch" not in self.headers["Content-Type"] or "fieldManager" not in parse_qs(url.query):
                raise Refused(415, "UnsupportedMediaType", "only server-side apply with a field manager")
            return self.store.apply(plural, namespace, name, yaml.safe_load(body))
        if self.command == "DELETE":
            given = json.loads(body) if body else {}
            asked = parse_qs(url.query).get("propagationPolicy", [None])[0] or given.get("propagationPolicy")
            return self.store.delete(plural, namespace, name, asked)
        if parts[-1] == "log":
            return "the container never started"
        if name:
            return self.store.get(plural, namespace, name)
        return self.store.list(plural, namespace, parse_qs(url.query).get("labelSelector", [""])[0])

    do_GET = do_PATCH = do_DELETE = answer


def main(ready: Path) -> None:
    Handler.store = Store()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.with_suffix(".partial").write_text(f"http://127.0.0.1:{server.server_port}")
    ready.with_suffix(".partial").replace(ready)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
