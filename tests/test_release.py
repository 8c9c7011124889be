"""What a release says in more than one file: its version, and the licences of all that it carries."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LICENCES = set(PROJECT["license"].split(" AND "))
CODE, WEIGHTS = "Apache-2.0", "LicenseRef-ImageNet-Noncommercial"
SPDX = {"CC BY-SA 3.0": "CC-BY-SA-3.0", "GPL-2": "GPL-2.0-only"}  # as the samples' index says them
TAG = r"zfnet-explainer, newTag: (\S+)\}"


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("README.md", r'"name": "zfnet", "version": "([^"]+)"'),
        ("deploy/gateway/envoy.yaml", r'"versions?":\[?"([^"]+)"'),
        ("deploy/kserve/base/inferenceservice.yaml", r"image: \S+/zfnet-explainer:(\S+)"),
        ("deploy/kubernetes/bulk/kustomization.yaml", TAG),
        ("deploy/kubernetes/overlays/cpu/kustomization.yaml", TAG),
        ("docs/deployment.md", r"`registry.example.com/zfnet-explainer` and\s+(\S+):"),
        ("docs/own-pictures.md", r'"name":"zfnet","version":"([^"]+)"'),
    ],
)
def test_files_that_repeat_the_version_have_this_one(file: str, pattern: str) -> None:
    assert set(re.findall(pattern, (ROOT / file).read_text())) == {PROJECT["version"]}


def test_the_canary_is_a_later_version() -> None:
    canary = (ROOT / "deploy" / "kserve" / "canary" / "kustomization.yaml").read_text()
    [tag] = set(re.findall(r"zfnet-explainer:(\S+)\}", canary))
    assert Version(tag) > Version(PROJECT["version"])
    assert f"KServe's new version, {tag}," in (ROOT / "docs" / "deployment.md").read_text()


def test_the_changelog_begins_with_this_version_or_with_what_is_unreleased() -> None:
    newest, *released = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == ("Unreleased" if Version(PROJECT["version"]).is_devrelease else PROJECT["version"])
    assert all(Version(version) < Version(PROJECT["version"]) for version in released)


def test_the_licence_is_that_of_the_code_the_weights_and_every_sample() -> None:
    samples = json.loads((ROOT / "model_store" / "samples.json").read_text())
    of_samples = {SPDX[sample["licence"].partition(",")[0]] for sample in samples}
    assert {CODE, WEIGHTS} | of_samples == LICENCES


def test_every_licence_but_the_codes_own_has_its_text_in_its_folder() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "LICENSES").iterdir()}
    assert texts.keys() == {f"{name}.txt" for name in LICENCES - {CODE}}
    assert "Version 2, June 1991" in texts["GPL-2.0-only.txt"]
    assert "Attribution-ShareAlike 3.0 Unported" in texts["CC-BY-SA-3.0.txt"]


def test_the_image_says_the_licences_and_is_built_with_their_texts() -> None:
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r'image\.licenses="([^"]+)"', recipe) == [PROJECT["license"]]
    assert "COPY LICENSES LICENSES\n" in recipe
    assert "!LICENSES\n" in (ROOT / ".dockerignore").read_text()
