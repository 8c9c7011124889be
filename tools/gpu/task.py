"""What a stage is asked for, and how it keeps what it has found."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from zfnet_explainer.atomic import whole
from zfnet_explainer.studies.speed.machine import Machine, describe


@dataclass(frozen=True)
class Task:
    """The device, the file for the figures, and whether it is but a rehearsal."""

    device: torch.device
    file: Path
    tiny: bool = False

    @cached_property
    def machine(self) -> Machine:
        return describe(self.device, ())

    def keep(self, figures: Mapping[str, Any]) -> None:
        """Replace what the file holds, so that a stage that is ended has what it had."""
        found = {"machine": asdict(self.machine), "tiny": self.tiny, "figures": figures}
        with whole(self.file) as staged:
            staged.write_text(json.dumps(found, indent=1) + "\n")
