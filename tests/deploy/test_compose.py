"""deploy/compose.yaml: closed but for the gateway, and in agreement with the programs it starts."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..needs import program
from .gateway import FILES, Gateway, routes_of
from .manifests import CUDA_GIB, DEPLOY, POOLS, built, gib, memory_needed, of_kind, pod, serve_options, server

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GPU: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ON_GPUS = {name: service | GPU["services"].get(name, {}) for name, service in SERVICES.items()}
SERVERS = [f"zfnet-{pool}" for pool in POOLS]
BUILT = [service["image"] for service in SERVICES.values() if "build" in service]
TMPFS_GIB = 0.25  # what lies in /run/zfnet is the container's memory: three logs of 50 MB, and five of each packed
ENTRYPOINT = ["--host", "0.0.0.0", "--run-dir", "/run/zfnet"]  # noqa: S104


def defaulted(text: str) -> str:
    """A value with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("services", [SERVICES, ON_GPUS], ids=["cpu", "gpu"])
def test_the_servers_know_their_options(services: dict[str, dict[str, Any]], name: str) -> None:
    options = serve_options([*ENTRYPOINT, *map(defaulted, services[name]["command"])])
    assert options["open_"]
    grace = float(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert options["drain_seconds"] + 20 < grace
    route = routes_of(yaml.safe_load((FILES / "envoy.yaml").read_text()))[1][name.removeprefix("zfnet-")]["route"]
    assert float(route["timeout"].removesuffix("s")) < options["drain_seconds"], "what it has begun is answered"


@pytest.mark.parametrize("name", SERVERS)
def test_the_memory_limit_holds_a_worker_and_java_at_their_most(name: str) -> None:
    needed = memory_needed(SERVICES[name]["environment"]["JDK_JAVA_OPTIONS"]) + TMPFS_GIB
    assert needed <= gib(defaulted(SERVICES[name]["mem_limit"]))
    cuda = CUDA_GIB if "--device" in ON_GPUS[name]["command"] else 0
    assert needed + cuda <= gib(defaulted(ON_GPUS[name]["mem_limit"]))


def test_an_image_has_one_builder() -> None:
    """Compose builds all at the same time, and fails where two of them end in one name."""
    assert len(set(BUILT)) == len(BUILT)
    for service in SERVICES.values():
        if service["image"] in BUILT:
            assert ("build" in service) != (service.get("pull_policy") == "never"), "or it is looked for elsewhere"


def test_compose_builds_the_image_that_the_environment_asks_for() -> None:
    """Else it puts the large one in the place of the small one, whose tag it shares."""
    [build] = [service["build"] for service in SERVICES.values() if "build" in service]
    known = re.findall(r"^ARG (\w+)=", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert build["args"] == {"CPU_WHEELS": "${CPU_WHEELS:-}"}
    assert set(build["args"]) <= set(known)
    [on_gpus] = [service["build"] for service in GPU["services"].values() if "build" in service]
    assert on_gpus == {"args": dict.fromkeys(build["args"], "")}, "CUDA is not left out where GPUs are used"


def test_a_stop_of_the_gateway_waits_as_its_pods_do() -> None:
    gateway = of_kind(built("kubernetes/overlays/cpu"), "Deployment")["zfnet-gateway"]
    hook = server(gateway)["lifecycle"]["preStop"]["exec"]
    assert SERVICES["gateway"]["pre_stop"] == [{"command": hook["command"]}]


def test_gpus_are_asked_for_with_what_the_image_needs_of_them() -> None:
    """Docker sets NVIDIA_DRIVER_CAPABILITIES, which the image has as compute and utility, to whatever else is named."""
    [device] = GPU["services"]["zfnet-explain"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility\n" in (DEPLOY / "Dockerfile").read_text()


def test_the_guide_makes_what_every_command_needs(tmp_path: Path) -> None:
    [line] = re.findall(
        r"^    (.+ > deploy/\.env\))$", (DEPLOY.parent / "docs" / "gateway.md").read_text(), re.MULTILINE
    )
    (tmp_path / "deploy").mkdir()
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, timeout=10)
    made = tmp_path / "deploy" / ".env"
    values = dict(entry.split("=", 1) for entry in made.read_text().splitlines())
    assert (values["ZFNET_UID"], values["ZFNET_GID"]) == (str(os.getuid()), str(os.getgid()))
    assert len(values["GRAFANA_PASSWORD"]) == 24
    assert set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text())) <= set(values)
    assert made.stat().st_mode & 0o077 == 0
    assert subprocess.run(["git", "check-ignore", "--quiet", DEPLOY / ".env"], cwd=DEPLOY).returncode == 0


def test_every_command_of_the_guides_names_the_file() -> None:
    guides = [DEPLOY.parent / "README.md", *(DEPLOY.parent / "docs").glob("*.md")]
    commands = [found for guide in guides for found in re.findall(r"docker compose\b.*", guide.read_text())]
    assert len(commands) >= 4
    assert [one for one in commands if not one.startswith("docker compose -f deploy/compose.yaml ")] == []


def test_the_gateway_is_the_only_way_in() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gateway", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert all(port.startswith("127.0.0.1:") for port in published[name])
    outside = {name for name, service in SERVICES.items() if "public" in service["networks"]}
    assert outside == set(published)
    assert all(COMPOSE["networks"][name]["internal"] for name in ("pools", "monitoring"))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_watched_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"]
    assert "mem_limit" in service
    assert service["restart"] == "unless-stopped", "a server that gives up ends, and is to be started anew"
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "3"}}
    variable, _, image = service["image"].removeprefix("${").removesuffix("}").partition(":-")
    assert variable.isupper(), "another registry may be named"
    assert re.fullmatch(r"docker\.io/\S+:v?\d+\.\d+\.\d+", image) or service["image"] in BUILT


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_runs_as_the_image_s_user_in_its_folder_and_is_asked_there(name: str) -> None:
    service, recipe = SERVICES[name], (DEPLOY / "Dockerfile").read_text()
    [probe] = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", recipe, re.MULTILINE)
    assert service["healthcheck"]["test"] == ["CMD", *yaml.safe_load(probe)]
    assert yaml.safe_load(probe) == ["zfnet-health", "--run-dir", "/run/zfnet", "ready"]
    assert "\nUSER 10001:10001\n" in recipe
    [mounted] = service["tmpfs"]
    assert mounted.startswith("/run/zfnet:uid=10001,gid=10001,mode=0700,")
    pods = pod(of_kind(built("kubernetes/overlays/cpu"), "Deployment")[name])["securityContext"]
    assert (pods["runAsUser"], pods["runAsGroup"], pods["fsGroup"]) == (10001, 10001, 10001)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.partition(":")[0]
        if source.startswith("./secrets/"):  # the operator's
            assert volume.endswith(":ro")
        elif source.startswith("."):
            assert (DEPLOY / source).exists()
            assert volume.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_the_gateway_reaches_the_pools() -> None:
    clusters = yaml.safe_load((FILES / "envoy.yaml").read_text())["static_resources"]["clusters"]
    for cluster in clusters:
        if cluster["name"] in ("predict", "explain"):
            [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            host = endpoint["endpoint"]["address"]["socket_address"]["address"]
            assert set(SERVICES[host]["networks"]) & set(SERVICES["gateway"]["networks"])


def test_the_gateways_health_is_that_of_envoy(gateway: Gateway) -> None:
    [_, bash, flag, script] = SERVICES["gateway"]["healthcheck"]["test"]
    port = gateway.internal_url.rpartition(":")[2]
    for to, code in ((port, 0), ("1", 1)):
        line = [bash, flag, script.replace("9902", to)]
        assert subprocess.run(line, capture_output=True, timeout=10).returncode == code


def test_prometheus_reads_its_files_and_scrapes_services(tmp_path: Path) -> None:
    config = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    for volume in SERVICES["prometheus"]["volumes"]:
        source, target = volume.split(":")[:2]
        if source.startswith("./"):
            shutil.copy(DEPLOY / source, tmp_path / Path(target).name)
    line = [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    hosts = [
        target for job in config["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
    ]
    for host in hosts:
        assert "monitoring" in SERVICES[host.partition(":")[0]]["networks"]


def test_grafana_has_the_source_the_dashboards_name() -> None:
    plain = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    here = yaml.safe_load((DEPLOY / "compose/datasource.yaml").read_text())
    plain["datasources"][0]["url"] = "http://prometheus:9090"
    assert here == plain
    [dashboards] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/zfnet.yaml").read_text())["providers"]
    assert f"./grafana/dashboards:{dashboards['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
