"""The cause of a failed start, from logs as TorchServe writes them."""

from pathlib import Path

import pytest

from zfnet_explainer.torchserve.diagnosis import server_cause, will_not_load, worker_cause, worker_died


def write_output(logs: Path, *lines: str, thread: str = "W-9000-zfnet_1.0-stdout") -> None:
    with (logs / "model_log.log").open("a") as log:
        log.writelines(f"2026-01-01T00:00:00,000 [INFO ] {thread} MODEL_LOG - {line}\n" for line in lines)


def test_the_import_error_is_the_cause_not_torchserves_second_attempt(tmp_path: Path) -> None:
    write_output(
        tmp_path,
        "Backend worker process died.",
        "Traceback (most recent call last):",
        '  File "zfnet_handler.py", line 1, in <module>',
        "    import missing",
        "ModuleNotFoundError: No module named 'missing'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "model_loader.py", line 1, in load',
        "ModuleNotFoundError: No module named 'ts.torch_handler.zfnet_handler'",
    )
    assert worker_cause(tmp_path) == "ModuleNotFoundError: No module named 'missing'"


def test_tracebacks_of_two_workers_are_told_apart(tmp_path: Path) -> None:
    write_output(tmp_path, "Traceback (most recent call last):", '  File "a.py", line 1', thread="W-9000-stdout")
    write_output(tmp_path, "serving on cpu", thread="W-9001-stdout")
    write_output(tmp_path, "ValueError: bad weights", thread="W-9000-stdout")
    assert worker_cause(tmp_path) == "ValueError: bad weights"


def test_a_worker_that_only_wrote_to_stderr(tmp_path: Path) -> None:
    write_output(tmp_path, "giving up", thread="W-9000-zfnet_1.0-stderr")
    assert "giving up" in worker_cause(tmp_path)


def test_a_killed_worker_leaves_no_cause(tmp_path: Path) -> None:
    write_output(tmp_path, "Torch worker started.")
    assert "without an exception" in worker_cause(tmp_path)


def test_java_exceptions_are_found_in_log_and_console(tmp_path: Path) -> None:
    assert server_cause(tmp_path) == "no exception was logged"
    (tmp_path / "ts_log.log").write_text(
        "[INFO ] x\nCaused by: java.lang.IllegalStateException: no store\n\tat org.Y\n"
    )
    assert server_cause(tmp_path) == "Caused by: java.lang.IllegalStateException: no store"
    (tmp_path / "java.log").write_text("WARNING: old\njava.io.IOException: Failed to bind\n\tat org.X.run(X.java)\n")
    assert server_cause(tmp_path) == "java.io.IOException: Failed to bind"
    (tmp_path / "java.log").write_text('Invalid configuration: For input string: "GPU-8f"\nusage: ...\n')
    assert server_cause(tmp_path) == 'Invalid configuration: For input string: "GPU-8f"'


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "Unrecognized VM option 'MaxDirectMemory=1g'\nDid you mean 'MaxDirectMemorySize=<value>'?\n"
            "Error: Could not create the Java Virtual Machine.\n",
            "Unrecognized VM option 'MaxDirectMemory=1g'; Did you mean 'MaxDirectMemorySize=<value>'?",
        ),
        (
            "Error occurred during initialization of VM\nCould not allocate compressed class space: 1073741824 bytes\n",
            "Error occurred during initialization of VM; Could not allocate compressed class space: 1073741824 bytes",
        ),
        ("Error: could not open `no.args'\n", "Error: could not open `no.args'"),
    ],
    ids=["an option", "no memory", "the launcher"],
)
def test_why_java_did_not_start(tmp_path: Path, said: str, cause: str) -> None:
    (tmp_path / "java.log").write_text(f"NOTE: Picked up JDK_JAVA_OPTIONS: -XX:x\n{said}")
    assert server_cause(tmp_path) == cause


def test_a_retry_is_a_dead_worker(tmp_path: Path) -> None:
    log = tmp_path / "ts_log.log"
    log.write_text("[INFO ] W-9000 WorkerThread - Connecting\n")
    assert not worker_died(tmp_path)
    log.write_text("[INFO ] W-9000 WorkerThread - Retry worker: 9000 in 1 seconds.\n")
    assert worker_died(tmp_path)


def test_a_death_whose_cause_was_lost_is_waited_for_again(tmp_path: Path) -> None:
    """TorchServe may lose a dying worker's last lines: seen, 20 ms after a worker had raised, without any of them."""
    log = tmp_path / "ts_log.log"
    retry = "[INFO ] W-9000 WorkerThread - Retry worker: 9000 in 1 seconds.\n"
    write_output(tmp_path, "Torch worker started.")
    assert not will_not_load(tmp_path), "it has only started"
    log.write_text(retry)
    assert not will_not_load(tmp_path), "its cause may come with the next"
    log.write_text(2 * retry)
    assert not will_not_load(tmp_path)
    log.write_text(3 * retry)
    assert will_not_load(tmp_path), "killed without a word again and again"


def test_a_death_whose_cause_is_told_is_the_last(tmp_path: Path) -> None:
    write_output(tmp_path, "Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: bad weights")
    assert not will_not_load(tmp_path), "an exception alone is no death"
    (tmp_path / "ts_log.log").write_text("[INFO ] W-9000 WorkerThread - Retry worker: 9000 in 1 seconds.\n")
    assert will_not_load(tmp_path)
