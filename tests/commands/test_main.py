"""The program: what its help and its errors say at a terminal's width, and its end as a container's first process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from typer.testing import CliRunner

from zfnet_explainer.commands.main import app

from ..needs import first_process
from ..samples import encoded, noise
from ..waiting import wait_for

OPTIONS = ["-o", "methods=deconv", "-o", "features=1", "-o", "format=npz"]


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command below a group, by the words that it is called with."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def squeezed(text: str) -> str:
    """Without blanks, which lines are broken at."""
    return "".join(text.split())


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("words", COMMANDS)
def test_the_help_is_whole_at_every_width(words: str, columns: int) -> None:
    command = COMMANDS[words]
    page = CliRunner().invoke(app, [*words.split(), "--help"], env={"COLUMNS": f"{columns}"}).output
    assert max(map(len, page.splitlines())) <= columns
    assert squeezed(command.help) in squeezed(page)
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        assert {name for name in parameter.opts if name.startswith("--")} <= {word.rstrip(",") for word in page.split()}
        assert squeezed(parameter.help) in squeezed(page)
        default = parameter.default if parameter.show_default else None
        if isinstance(default, str | int | Path) and not isinstance(default, bool) and default != "":
            assert f"[default:{squeezed(str(default))}" in squeezed(page)


def test_the_list_of_commands_cuts_no_sentence() -> None:
    for words in ([], ["figures"]):
        assert (
            "..."
            not in CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}).output.partition("Commands:")[2]
        )


def test_an_error_is_one_line_with_its_path_whole(tmp_path: Path) -> None:
    folder = tmp_path / "a folder" / ("of a long name " * 5).strip()
    folder.mkdir(parents=True)
    result = CliRunner().invoke(app, ["explain", str(folder)], env={"COLUMNS": "80"})
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: Invalid value: there are no pictures in {folder}"


def test_an_error_tells_a_name_without_moving_the_cursor(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J").mkdir()
    result = CliRunner().invoke(app, ["explain", str(tmp_path / "\x1b[2J")], color=True)
    assert result.stderr.endswith(f"there are no pictures in {tmp_path}/\\x1b[2J\n")


def test_the_first_process_of_a_container_ends_at_sigterm(tmp_path: Path) -> None:
    """As a Job's pod is stopped: without a handler the kernel passes over SIGTERM there, and SIGKILL follows."""
    alone, program = first_process(), Path(sys.executable).with_name("zfnet-explainer")
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    content = encoded(noise(8, 8))
    for i in range(2_000):
        (pictures / f"{i}.png").write_bytes(content)
    command = [*alone, str(program), "explain", str(pictures), "--out", str(out), *OPTIONS]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: any(out.glob("*.npz")) or running.poll() is not None, "nothing is explained")
        assert running.poll() is None, running.communicate()[1]
        [first] = psutil.Process(running.pid).children()
        first.terminate()
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 128 + signal.SIGINT
    assert "Traceback" not in errors
