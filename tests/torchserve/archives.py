"""Archives of a handler of a few lines, which a real TorchServe loads without torch or weights."""

from pathlib import Path

from zfnet_explainer.torchserve.archive import HANDLER, pack
from zfnet_explainer.torchserve.packed import MODEL_CONFIG

# All that TorchServe's worker asks of torch is whether an answer is a tensor: with this it is ready at once.
NO_TORCH = {"torch.py": b"class Tensor: ...\n"}
# Answers the body, and tells as ours does what it has in hand; an explanation's body is a file's name, and its answer
# waits for that file, beside which it leaves another, `.started`.
ECHO_OR_WAIT = b"""
import sys
from itertools import pairwise
from pathlib import Path
from time import sleep

from ts.metrics.metric_type_enum import MetricTypes

class EchoOrWait:
    def initialize(self, context):
        print("a worker says this")
        self.in_hand = context.metrics.get_metric("zfnet_requests_in_progress", MetricTypes.GAUGE)
        options = dict(pairwise(sys.argv))
        self.worker = options.get("--sock-name", options.get("--port", "")).rpartition(".")[2]
        self.in_hand.add_or_update(0, [self.worker])

    def handle(self, rows, context):
        self.in_hand.add_or_update(len(rows), [self.worker])
        bodies = [bytes(row["body"]) for row in rows]
        for i, body in enumerate(bodies):
            if context.get_request_header(i, "explain") == "True":
                Path(body.decode() + ".started").touch()
                while not Path(body.decode()).exists():
                    sleep(0.01)
        self.in_hand.add_or_update(0, [self.worker])
        return bodies
"""


def tiny_archive(out: Path, initialize: str = "pass", config: str = "") -> Path:
    """Pack a handler that answers `ok`, with these statements as its initialize().

    `config` is what its model-config.yaml has beside the number of workers.
    """
    handler = f"""
class Tiny:
    def initialize(self, context):
        {initialize}

    def handle(self, rows, context):
        return ["ok"] * len(rows)
"""
    return one_worker(out, handler.encode(), config)


def waiting_archive(out: Path, config: str = "") -> Path:
    """Pack the handler whose explanations wait."""
    return one_worker(out, ECHO_OR_WAIT, config)


def one_worker(out: Path, handler: bytes, config: str = "") -> Path:
    """Pack a handler of which one worker runs."""
    return packed(out, handler, f"minWorkers: 1\nmaxWorkers: 1\n{config}")


def packed(out: Path, handler: bytes, config: str) -> Path:
    """Pack a handler that needs no torch, with this model-config.yaml."""
    pack({HANDLER: handler, MODEL_CONFIG: config.encode(), **NO_TORCH}, out)
    return out
