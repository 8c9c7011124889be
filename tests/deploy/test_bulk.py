"""The Job that explains a volume of pictures: valid, restricted, and in agreement with the command."""

import os
from typing import Any

import kubernetes_validate
import pytest
import typer

from zfnet_explainer.commands.bulk import Shard
from zfnet_explainer.commands.main import app

from .manifests import Manifest, built, of_kind, server

KUBERNETES = "1.32"

CLICK_USAGE = 2  # of a command line that cannot be read


@pytest.fixture(params=["bulk", "bulk-gpu"])
def objects(request: pytest.FixtureRequest) -> list[Manifest]:
    return built(f"kubernetes/{request.param}")


def test_every_kind_is_valid(objects: list[Manifest]) -> None:
    for manifest in objects:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_its_pods_meet_the_namespace_s_restrictions(objects: list[Manifest]) -> None:
    job = of_kind(objects, "Job")["zfnet-bulk"]
    spec, container = job["spec"]["template"]["spec"], server(job)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_nobody_reaches_its_pods_and_they_reach_nobody(objects: list[Manifest]) -> None:
    namespace = built("kubernetes/namespace")
    template = of_kind(objects, "Job")["zfnet-bulk"]["spec"]["template"]
    closed = of_kind(namespace, "NetworkPolicy")["zfnet-nobody"]["spec"]
    assert closed == of_kind(built("kubernetes/overlays/cpu"), "NetworkPolicy")["zfnet-nobody"]["spec"]
    assert closed["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert template["spec"]["serviceAccountName"] in of_kind(namespace, "ServiceAccount")


def test_deleting_it_deletes_the_job_alone(objects: list[Manifest]) -> None:
    assert list(map(named, objects)) == [("Job", "zfnet", "zfnet-bulk")]


def test_its_volumes_are_apart_from_it(objects: list[Manifest]) -> None:
    volumes = built("kubernetes/bulk-volumes")
    [job] = objects
    claimed = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in job["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert sorted(map(named, volumes)) == [("PersistentVolumeClaim", "zfnet", name) for name in sorted(claimed)]
    for manifest in volumes:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def named(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def explain_options(line: list[str]) -> dict[str, Any]:
    """What `zfnet-explainer` reads in a command line; an option that it does not know fails here."""
    context = typer.main.get_command(app).make_context("zfnet-explainer", line[1:])
    command = context.command.get_command(context, "explain")  # type: ignore[attr-defined]
    return dict(command.make_context("explain", line[2:]).params)


def test_its_pods_together_take_every_shard(objects: list[Manifest]) -> None:
    spec = of_kind(objects, "Job")["zfnet-bulk"]["spec"]
    container = server(of_kind(objects, "Job")["zfnet-bulk"])
    line = [*container["command"], *container["args"]]
    assert line[:2] == ["zfnet-explainer", "explain"]
    [shard] = [one for one in container["env"] if one["name"] == "SHARD"]
    assert "job-completion-index" in shard["valueFrom"]["fieldRef"]["fieldPath"]
    taken = set()
    for index in range(spec["completions"]):
        options = explain_options([part.replace("$(SHARD)", str(index)) for part in line])
        taken.add(Shard.parse(options["shard"]))
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {*map(str, options["pictures"]), str(options["out"])} <= mounts
    assert taken == {Shard(index, len(taken)) for index in range(len(taken))}
    assert len(taken) == spec["completions"]


def test_what_is_refused_is_not_tried_again(objects: list[Manifest]) -> None:
    rules = of_kind(objects, "Job")["zfnet-bulk"]["spec"]["podFailurePolicy"]["rules"]
    codes = {rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule}
    assert codes == {"FailIndex": [os.EX_DATAERR], "FailJob": [CLICK_USAGE, os.EX_USAGE, os.EX_NOPERM]}
