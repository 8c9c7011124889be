"""The training loop: epochs with a checkpoint after each, resumed where a run was killed."""

import csv
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from ..net.chain import Chain
from ..net.checkpoint import Preprocessing
from ..net.norm import CrossMapNorm
from .data import Pictures, RandomViews
from .evaluate import top1
from .form import training_form
from .recipe import Phase, Recipe

LAST_LAYER_RATE = 0.1


class Trainer:
    """Trains a chain on pictures; `out` holds `log.csv` and `state.safetensors`, from which a run resumes.

    Raises ValueError where `out` holds the state of another recipe or the pictures do not fill a batch.
    """

    def __init__(
        self, chain: Chain, recipe: Recipe, train: Pictures, val: Pictures, preprocessing: Preprocessing,
        out: Path, device: torch.device,
    ) -> None:  # fmt: skip
        if len(train) < recipe.batch:
            raise ValueError(f"{len(train)} pictures do not fill a batch of {recipe.batch}")
        torch.manual_seed(recipe.seed)
        self.recipe, self.train, self.val, self.preprocessing = recipe, train, val, preprocessing
        self.out, self.device = out, device
        self.norms = {name: layer for name, layer in chain.named_children() if isinstance(layer, CrossMapNorm)}
        self.net = training_form(chain, recipe.ranks).to(device).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            _parameter_groups(self.net, recipe.weight_decay),
            lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True,
        )  # fmt: skip
        self.epoch = 0
        out.mkdir(parents=True, exist_ok=True)
        if self._state.exists():
            self._resume()

    @property
    def _state(self) -> Path:
        return self.out / "state.safetensors"

    def run(self) -> None:
        """Train to the last epoch; after each one, save the state and add a line to `log.csv`."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            while self.epoch < self.recipe.epochs:
                phase = self.recipe.phase(self.epoch)
                start = time.perf_counter()
                loss, accuracy = self._epoch(phase, progress)
                rate = len(self.train) / (time.perf_counter() - start)
                with self._autocast():
                    share = top1(self.net, self.val, self.preprocessing, phase.side)
                self.epoch += 1
                self._save()
                self._log({
                    "epoch": self.epoch, "side": phase.side, "loss": round(loss, 4), "train_top1": round(accuracy, 4),
                    "val_top1": round(share, 4), "images_per_s": round(rate, 1),
                })  # fmt: skip
                line = f"epoch {self.epoch}: loss {loss:.3f}, val top-1 {share:.1%}, {rate:.0f} images/s"
                progress.console.print(line)

    def _epoch(self, phase: Phase, progress: Progress) -> tuple[float, float]:
        """One pass over the pictures: mean loss and the share that was right, dropout and crops included."""
        torch.manual_seed(self.recipe.seed + self.epoch)
        self._set_norms(phase.cross_map_norm)
        self.net.train()
        loader = DataLoader(
            RandomViews(self.train, phase.side), self.recipe.batch, shuffle=True, num_workers=2, drop_last=True
        )
        title = f"epoch {self.epoch + 1}/{self.recipe.epochs}, {phase.side} px"
        task = progress.add_task(title, total=len(loader))
        total, right, seen = 0.0, 0, 0
        for step, (images, labels) in enumerate(loader):
            self._set_rate(self.epoch + step / len(loader))
            loss, correct = self._step(images, labels.to(self.device))
            total, right, seen = total + loss * len(labels), right + correct, seen + len(labels)
            progress.update(task, advance=1, description=f"{title}: loss {total / seen:.3f}, top-1 {right / seen:.1%}")
        progress.remove_task(task)
        return total / seen, right / seen

    def _step(self, images: Tensor, labels: Tensor) -> tuple[float, int]:
        x = self.preprocessing.standardise(images.to(self.device)).contiguous(memory_format=torch.channels_last)
        with self._autocast():
            logits = self.net(x).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item(), int((logits.argmax(1) == labels).sum())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def _set_rate(self, epoch: float) -> None:
        """Linear warm-up over the first epoch, then half a cosine down to zero at the last."""
        share = epoch if epoch < 1 else 0.5 * (1 + math.cos(math.pi * (epoch - 1) / (self.recipe.epochs - 1)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * share * group["scale"]

    def _set_norms(self, on: bool) -> None:
        for name, norm in self.norms.items():
            setattr(self.net, name, norm.to(self.device) if on else nn.Identity())

    def _save(self) -> None:
        """Write the state beside the old one and put it in its place, so that a kill leaves a whole one."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            tensors[f"momentum.{name}"] = self.optimiser.state[parameter]["momentum_buffer"]
        partial = self.out / "state.partial"
        metadata = {"epoch": str(self.epoch), "recipe": json.dumps(asdict(self.recipe))}
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
        partial.replace(self._state)

    def _resume(self) -> None:
        with safe_open(self._state, "pt", device=str(self.device)) as state:
            metadata = state.metadata()
            if json.loads(metadata["recipe"]) != json.loads(json.dumps(asdict(self.recipe))):
                raise ValueError(f"{self.out} holds the run of another recipe: choose another folder or remove it")
            self.epoch = int(metadata["epoch"])
            self.net.load_state_dict({name: state.get_tensor(f"net.{name}") for name in self.net.state_dict()})
            for name, parameter in self.net.named_parameters():
                self.optimiser.state[parameter]["momentum_buffer"] = state.get_tensor(f"momentum.{name}")

    def _log(self, row: dict[str, float]) -> None:
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def _parameter_groups(net: nn.Sequential, weight_decay: float) -> list[dict[str, object]]:
    """Weights that decay, biases that do not, and a tenth of the rate for the last layer.

    No BatchNorm follows the last layer: at the full rate its 4096 inputs make the first epochs diverge.
    """
    last = list(net[-1].parameters())
    rest = [p for p in net.parameters() if all(p is not q for q in last)]
    return [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay, "scale": 1.0},
        {"params": [p for p in rest if p.ndim == 1], "scale": 1.0},
        {"params": last, "weight_decay": weight_decay, "scale": LAST_LAYER_RATE},
    ]
