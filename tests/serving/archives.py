"""Archives of a handler of a few lines, which a real TorchServe loads without torch or weights."""

from pathlib import Path

from zfnet_explainer.serving.archive import HANDLER, MODEL_CONFIG, pack


def tiny_archive(out: Path, initialize: str = "pass") -> Path:
    """Pack a handler that answers `ok`, with this statement as the body of its initialize()."""
    handler = f"""
class Tiny:
    def initialize(self, context):
        {initialize}

    def handle(self, rows, context):
        return ["ok"] * len(rows)
"""
    pack({HANDLER: handler.encode(), MODEL_CONFIG: b"minWorkers: 1\nmaxWorkers: 1\n"}, out)
    return out
