"""The limits that docs/operations.md names under "Memory", and the rule behind them, as deployed."""

import re
from collections.abc import Iterator

import yaml

from zfnet_explainer.torchserve.shipped import SHIPPED

from .manifests import CUDA_GIB, DEPLOY, built, gib, java_options, memory_needed, of_kind, server

PAGE = (SHIPPED / "docs" / "operations.md").read_text()
[[BASE, EACH, WITH_GPUS]] = re.findall(r"gateway a limit is (\d) \+ (\d) \*n\* GiB\*\* \(with GPUs (\d) ", PAGE)
[[OPEN, OPEN_EACH, OPEN_WITH_GPUS]] = re.findall(r"it is (\d) \+ (\d) \*n\* GiB \(with GPUs (\d+) ", PAGE)
[[WORKER, GPU]] = re.findall(r"half a gigabyte, and (\d) GiB for each worker \(and (\d)\s+with GPUs\)", PAGE)
ROWS = re.findall(r"^\| `deploy/([\w.]+)`.* \| (\w+) \| (\w+) \| (\d+) GiB \|$", PAGE, re.MULTILINE)


def deployed() -> Iterator[tuple[str, str, str]]:
    """What deploys a server of explanations, Java's options there, and the limit."""
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["zfnet-explain"]
    [limit] = re.findall(r":-(\w+)\}", service["mem_limit"])
    yield "compose.yaml", service["environment"]["JDK_JAVA_OPTIONS"], limit
    pod = server(of_kind(built("kubernetes/overlays/cpu"), "Deployment")["zfnet-explain"])
    [kserve] = of_kind(built("kserve/base"), "InferenceService")["zfnet"]["spec"]["explainer"]["containers"]
    for name, container in (("kubernetes", pod), ("kserve", kserve)):
        yield name, java_options(container), container["resources"]["limits"]["memory"]


def test_the_page_says_what_is_deployed_and_its_rule_holds() -> None:
    said = [(name, f"-Xmx{heap} -XX:MaxDirectMemorySize={direct}", f"{limit}") for name, heap, direct, limit in ROWS]
    assert said == [(name, java, f"{gib(limit):.0f}") for name, java, limit in deployed()]
    assert f'JDK_JAVA_OPTIONS="{said[0][1]}"\n' in PAGE
    for _, heap, direct, limit in ROWS:
        by_rule = gib(heap) + gib(direct) + 0.5 + int(WORKER)
        assert memory_needed(f"-Xmx{heap} -XX:MaxDirectMemorySize={direct}") <= by_rule <= int(limit)


def test_the_rules_in_short_are_those_of_the_table() -> None:
    limits = {name: int(limit) for name, _, _, limit in ROWS}
    assert int(BASE) + int(EACH) == limits["compose.yaml"]
    assert int(OPEN) + int(OPEN_EACH) == limits["kserve"]
    assert EACH == OPEN_EACH == WORKER
    assert int(WITH_GPUS) - int(BASE) == int(OPEN_WITH_GPUS) - int(OPEN) == int(GPU) == CUDA_GIB
