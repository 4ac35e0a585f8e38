"""Target `bedrock`: checks that the account may use a model; buys and releases provisioned throughput if asked to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.schema import EndpointSpec
from fmload.config.values import Seconds
from fmload_deploy.account import client_for, region_of, tag_map
from fmload_deploy.aws import code, described, explained, gone, message, poll_s
from fmload_deploy.base import Context, Deployment, Plan
from fmload_deploy.bedrock.quotas import quotas_of
from fmload_deploy.create import ensure
from fmload_deploy.emulation import REGION, Emulation
from fmload_deploy.names import attempt_token, name_for
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.resource import Resource
from fmload_deploy.scheduled_deletion import ScheduledDeletion
from fmload_deploy.wait import wait_for

Commitment = Literal["OneMonth", "SixMonths"]
_COMMITTED_HOURS = {"OneMonth": 30 * 24, "SixMonths": 180 * 24}
_PROFILES = ("us.", "eu.", "apac.", "global.", "us-gov.", "jp.", "au.", "ca.")
_LIMIT_S = 1800.0
_ACCESS_HINT = ("the credentials, or an organisation's policy, do not allow the model, or the region does not have it; "
                "Anthropic's models also want a use case once per account (aws bedrock put-use-case-for-model-access)")


class Provisioned(Strict):
    """Throughput to buy for the run."""

    model_units: int = Field(1, ge=1)
    hourly: float | None = Field(None, ge=0, description="USD per hour and model unit, as AWS quotes it to you")
    commitment: Commitment | None = Field(None, description="none: by the hour, released at the end of the run")


class Options(Strict):
    """Keys of `deploy: {target: bedrock, ...}`."""

    provisioned: Provisioned | None = Field(None, description="absent: on demand, and nothing is created")
    accept_commitment: bool = Field(False, description="required with a commitment, which cannot be cancelled")
    start_timeout_s: Seconds = Field(3600.0, alias="start_timeout")
    lease: Literal["auto", "required", "off"] = Field(
        "auto", description="of throughput by the hour: a deletion scheduled in the account")
    lease_role: str | None = Field(None, description="ARN of a role that the scheduler may use; default: made")
    kept_lease_s: Seconds = Field(43_200.0, alias="kept_lease", description="when kept up: deleted after so long")
    emulator: str | None = Field(None, description="emulate: AWS on this host, answers by this emulator profile")
    scenario: str | None = Field(None, description="with emulator: a file of what that AWS does wrong")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        provisioned = given.get("provisioned") or {}
        if isinstance(provisioned, Mapping) and provisioned.get("commitment") and not given.get("accept_commitment"):
            yield ("accept_commitment", f"a commitment of {provisioned['commitment']} is paid to its end and cannot be "
                   "cancelled: write accept_commitment: true if that is meant")


class Bedrock:
    """A model of Bedrock, on demand or with provisioned throughput of the run's own."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        self.emulation = Emulation(spec.name, self.options.emulator, context, self.options.scenario)
        self.region = region_of(spec, context.region, REGION if self.options.emulator else None)
        self.model = spec.model or ""

    def plan(self) -> Plan:
        bought = self.options.provisioned
        if bought is None:
            return Plan(self.spec.name, "bedrock", self.emulation.resources(),
                        notes=self.emulation.notes() or ("on demand: paid by the token, nothing is created",))
        hourly = self._resource().hourly
        owed = (hourly or 0.0) * _COMMITTED_HOURS[bought.commitment] if bought.commitment else 0.0
        terms = (f"COMMITMENT: {bought.commitment}; it is paid to its end and stays when the run is over"
                 if bought.commitment else "by the hour; released at the end of the run")
        lease = self._lease(self._resource())
        resources = (*self.emulation.resources(), *lease.resources(), self._resource())
        return Plan(self.spec.name, "bedrock", resources, 900.0,
                    owed, (*self.emulation.notes(), f"{bought.model_units} model units of {self.model}; {terms}",
                           *lease.notes()))

    def _lease(self, resource: Resource) -> ScheduledDeletion:
        """Of what is paid by the hour; a commitment cannot be deleted."""
        committed = self.options.provisioned is not None and self.options.provisioned.commitment is not None
        return ScheduledDeletion(self.spec.name, self.options.lease, self.options.lease_role, self.context,
                                 [] if committed else [resource])

    def up(self) -> Deployment:
        emulated = self.emulation.up()
        resource = self._resource()
        self._check_access(resource)
        for quota in quotas_of(client_for(resource, self.context, "service-quotas"), _base_model(self.model)):
            self.context.say(f"{self.spec.name}: {quota}")
        settings: dict[str, Any] = {"region": self.region} if self.region else {}
        settings |= self.emulation.settings()
        if self.options.provisioned is None:
            return Deployment(self.spec.name, settings, emulated)
        lease = self._lease(resource)
        leased = lease.up()
        lease.cover(resource)
        made = self._buy(resource, self.options.provisioned)
        price = {} if made.hourly is None else {"price": {"hourly": made.hourly}}
        return Deployment(self.spec.name, settings | {"model": made.detail["arn"]}, (*emulated, *leased, made), price)

    def _resource(self) -> Resource:
        bought = self.options.provisioned
        hourly = 0.0 if self.options.emulator or bought is None else (
            None if bought.hourly is None else bought.hourly * bought.model_units)
        return Resource("bedrock-provisioned-throughput", name_for(self.context.run_id, self.spec.name), self.region,
                        hourly, self.emulation.detail())

    def _check_access(self, resource: Resource) -> None:
        """Raises FmloadError when the account may not use the model here."""
        client, base = client_for(resource, self.context, "bedrock"), _base_model(self.model)
        with explained(f"{self.spec.name}: Bedrock model '{self.model}'"):
            try:
                said = client.get_foundation_model_availability(modelId=base)
            except ClientError as error:
                if self.model.startswith("arn:"):  # imported and custom models have no entry there
                    return
                if gone(error):
                    raise FmloadError(f"{self.spec.name}: Bedrock has no model '{base}' in {self.region}: "
                                      f"{message(error)}", hint="aws bedrock list-foundation-models") from error
                raise
        refused = [f"{key} is {said[key]}" for key, good in
                   (("authorizationStatus", "AUTHORIZED"), ("regionAvailability", "AVAILABLE"))
                   if said.get(key, good) != good]
        if refused:
            raise FmloadError(f"{self.spec.name}: this account may not use '{base}': {', '.join(refused)}",
                              hint=_ACCESS_HINT)
        if said.get("entitlementAvailability", "AVAILABLE") != "AVAILABLE":
            self.context.say(f"{self.spec.name}: the account has not subscribed to '{base}' yet: its first invocation "
                             "subscribes it (aws-marketplace:Subscribe) and may be refused for some minutes")

    def _buy(self, resource: Resource, bought: Provisioned) -> Resource:
        client = client_for(resource, self.context, "bedrock")

        def create() -> dict[str, Any]:
            tags = [{"key": key, "value": value} for key, value in tag_map(self.context, resource).items()]
            term = {"commitmentDuration": bought.commitment} if bought.commitment else {}
            answer = client.create_provisioned_model_throughput(
                provisionedModelName=resource.name, modelId=self.model, modelUnits=bought.model_units,
                clientRequestToken=attempt_token(resource), tags=tags, **term)
            return {"arn": answer["provisionedModelArn"]}

        with explained(f"{self.spec.name}: {resource}"):
            made = ensure(self.context, self.spec.name, resource, create)
            wait_for(f"{made} to be in service", lambda: self._in_service(client, made), self.context,
                     self.options.start_timeout_s, poll_s(client))
        return made

    def _in_service(self, client: Any, made: Resource) -> bool | None:
        with explained(f"{self.spec.name}: {made}"):
            return self._looked(client, made)

    def _looked(self, client: Any, made: Resource) -> bool | None:
        found = described(client.get_provisioned_model_throughput, provisionedModelId=made.name)
        if found is None:  # just created, and not known everywhere yet
            return None
        if found["status"] == "Failed":
            raise FmloadError(f"{made}: {found.get('failureMessage', 'failed')}")
        return True if found["status"] == "InService" else None


class ProvisionedThroughput:
    """Provisioned throughput, known by its name. One with a commitment cannot be deleted before its end."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            found = described(client_for(resource, context, "bedrock").get_provisioned_model_throughput,
                              provisionedModelId=resource.name)
        return None if found is None else {"arn": found["provisionedModelArn"]}

    def delete(self, resource: Resource, context: Context) -> None:
        client = client_for(resource, context, "bedrock")

        def look() -> bool | None:
            try:
                client.delete_provisioned_model_throughput(provisionedModelId=resource.name)
            except ClientError as error:
                if gone(error):
                    return True
                if code(error) == "Conflict" and self._creating(client, resource):
                    return None
                raise
            return True
        with explained(f"deleting {resource}"):
            wait_for(f"{resource} to be deleted", look, context, _LIMIT_S, poll_s(client))

    def mark(self, resource: Resource, context: Context, lease_s: float) -> None:
        """Say in its tag that it is wanted for `lease_s` from now."""
        if "arn" in resource.detail:
            with explained(f"marking {resource}"):
                client_for(resource, context, "bedrock").tag_resource(
                    resourceARN=resource.detail["arn"],
                    tags=[{"key": LEASE_TAG, "value": str(int(time.time() + lease_s))}])

    def _creating(self, client: Any, resource: Resource) -> bool:
        found = described(client.get_provisioned_model_throughput, provisionedModelId=resource.name)
        return found is not None and found["status"] in ("Creating", "Updating")


def _base_model(model: str) -> str:
    """The foundation model that an inference profile's id names."""
    for profile in _PROFILES:
        if model.startswith(profile):
            return model.removeprefix(profile)
    return model
