"""What the emulated AWS does wrong: rules, from a file or one by one, each for calls of one action.

A rule is a mapping with `call` (an action such as DescribeEndpoint; for REST services `POST /path`; `*`: any) and one
of:

- `throttle: N`: the next N calls are throttled
- `deny: true`: every call is denied
- `code` (with `message`, `status`, `times`; `zone`: only in that availability zone): the next calls fail so
- `lag: N`: what the call makes is unknown to the next N calls that want it
- `stuck: true`: what the call makes never gets ready
- `fails: REASON` (with `log`, a list of lines): what the call makes fails, its container's log in CloudWatch
- `console: [LINES]`: what instances that the call starts write on their console

With `holds: TEXT` a rule of the last three kinds is for what is made of that text only: the instance's start script,
the command sent to it, the environment of the endpoint's container.

or a mapping with `quota` (its name or code) and `value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError

ALWAYS = 1_000_000
_KEYS = {"throttle", "deny", "code", "lag", "stuck", "fails", "console"}
_BESIDE = {"call", "message", "status", "times", "zone", "log", "holds"}
# Who learns late of what a call made, and what AWS says until then.
LATE: Mapping[str, tuple[str, str, str]] = {
    "CreateModel": ("CreateEndpointConfig", "ValidationException", 'Could not find model "{name}".'),
    "CreateEndpointConfig": ("CreateEndpoint", "ValidationException",
                             'Could not find endpoint configuration "{name}".'),
    "CreateEndpoint": ("DescribeEndpoint", "ValidationException", 'Could not find endpoint "{name}".'),
    "CreateInferenceComponent": ("DescribeInferenceComponent", "ValidationException",
                                 'Could not find inference component "{name}".'),
    "CreateNodegroup": ("DescribeNodegroup", "ResourceNotFoundException", "No node group found for name: {name}."),
    "RunInstances": ("DescribeInstances", "", ""),  # a describe with filters finds nothing, and is no error
}


@dataclass(slots=True)
class Fault:
    """The next `times` calls of `action` fail with `code` (in one zone only, when it names one)."""

    action: str
    code: str
    message: str = ""
    status: int = 400
    times: int = 1
    zone: str | None = None


@dataclass(slots=True)
class Scenario:
    """The rules in force; `faults` are used up, the rest stays."""

    faults: list[Fault] = field(default_factory=list)
    lags: dict[str, int] = field(default_factory=dict)
    starts: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)

    def add(self, rule: Mapping[str, Any]) -> None:
        """Put a rule into force. Raises FmloadError for one that is none."""
        if "quota" in rule:
            self.quotas[str(rule["quota"])] = float(rule.get("value", 0))
            return
        kind = _KEYS & rule.keys()
        unknown = rule.keys() - _KEYS - _BESIDE
        if len(kind) != 1 or unknown or "call" not in rule:
            raise FmloadError(f"not a rule of a scenario: {dict(rule)}",
                              hint=f"call: ACTION and one of {', '.join(sorted(_KEYS))}; or quota: NAME, value: N")
        self._add(str(rule["call"]), kind.pop(), rule)

    def _add(self, call: str, kind: str, rule: Mapping[str, Any]) -> None:
        if kind == "throttle":
            code = "RequestLimitExceeded" if call.endswith("Instances") else "ThrottlingException"
            self.faults.append(Fault(call, code, "Rate exceeded", 400, int(rule["throttle"])))
        elif kind == "deny":
            code = "UnauthorizedOperation" if call.endswith("Instances") else "AccessDeniedException"
            self.faults.append(Fault(call, code, f"User is not authorized to perform: {call}", 403, ALWAYS))
        elif kind == "code":
            zone = rule.get("zone")
            self.faults.append(Fault(call, str(rule["code"]), str(rule.get("message", "")),
                                     int(rule.get("status", 400)), int(rule.get("times", ALWAYS if zone else 1)), zone))
        elif kind == "lag":
            self.lags[call] = int(rule["lag"])
        else:
            self.starts.setdefault(call, []).insert(0, rule)

    def start(self, call: str, made_of: str = "") -> Mapping[str, Any]:
        """The newest rule for what a call makes; empty where there is none."""
        return next((rule for rule in self.starts.get(call, []) if str(rule.get("holds", "")) in made_of), {})

    def take(self, action: str, zone: str | None) -> Fault | None:
        """The fault that this call meets, counted down; None for a call that goes through."""
        for fault in self.faults:
            if fault.action in ("*", action) and fault.times > 0 and fault.zone in (None, zone):
                fault.times -= 1
                return fault
        return None


IN_FORCE = Scenario()  # of this process: the layers look into it


def read(path: Path) -> None:
    """Put every rule of a file into force. Raises FmloadError, naming the file, for what is no scenario."""
    try:
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FmloadError(f"scenario {path}: {error}", hint="a list of rules in YAML") from error
    if not isinstance(rules, list):
        raise FmloadError(f"scenario {path}: not a list of rules", hint="each line: - {call: …, …}")
    for number, rule in enumerate(rules, 1):
        try:
            IN_FORCE.add(rule if isinstance(rule, Mapping) else {})
        except FmloadError as error:
            raise FmloadError(f"scenario {path}, rule {number}: {error.message}", hint=error.hint) from error
