"""Archives of a handler of a few lines, which a real TorchServe loads without torch or weights."""

from pathlib import Path

from zfnet_explainer.serving.archive import HANDLER, MODEL_CONFIG, pack


def tiny_archive(out: Path, initialize: str = "pass", handle: str = 'return ["ok"] * len(rows)') -> Path:
    """Pack a handler that answers `ok`, or one with these statements as its initialize() and handle()."""
    handler = f"""
class Tiny:
    def initialize(self, context):
        {initialize}

    def handle(self, rows, context):
        {handle}
"""
    pack({HANDLER: handler.encode(), MODEL_CONFIG: b"minWorkers: 1\nmaxWorkers: 1\n"}, out)
    return out
