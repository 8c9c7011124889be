"""The training loop: epochs with checkpoints after each, resumed where a run was killed."""

import csv
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
from rich.progress import Progress
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from ..net.chain import Chain
from .data import Pictures, RandomViews
from .form import training_form
from .recipe import Phase, Recipe


class Trainer:
    """Train a chain on pictures; everything a run leaves behind goes to the folder `out`."""

    def __init__(
        self,
        chain: Chain,
        recipe: Recipe,
        train: Pictures,
        val: Pictures,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        out: Path,
        device: torch.device,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.chain, self.recipe, self.train, self.val, self.out, self.device = chain, recipe, train, val, out, device
        self.mean, self.std = mean, std
        self.net = training_form(chain, recipe.ranks).to(device).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            _parameter_groups(self.net, recipe.weight_decay),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=True,
        )
        self.epoch = 0
        out.mkdir(parents=True, exist_ok=True)
        if (out / "state.safetensors").exists():
            self._resume()

    def run(self) -> None:
        """Train to the last epoch, saving the state and a line of `log.csv` after each."""
        with Progress() as progress:
            while self.epoch < self.recipe.epochs:
                phase = self.recipe.phase(self.epoch)
                start = time.perf_counter()
                loss, accuracy = self._epoch(phase, progress)
                rate = len(self.train) / (time.perf_counter() - start)
                top1 = self.evaluate(phase.side)
                self.epoch += 1
                self._save()
                self._log(
                    {
                        "epoch": self.epoch,
                        "side": phase.side,
                        "loss": round(loss, 4),
                        "train_top1": round(accuracy, 4),
                        "val_top1": round(top1, 4),
                        "images_per_s": round(rate, 1),
                    }
                )

    def _epoch(self, phase: Phase, progress: Progress) -> tuple[float, float]:
        torch.manual_seed(self.recipe.seed + self.epoch)
        self._set_norm(phase.cross_map_norm)
        self.net.train()
        loader = DataLoader(
            RandomViews(self.train, phase.side), self.recipe.batch, shuffle=True, num_workers=2, drop_last=True
        )
        task = progress.add_task(f"epoch {self.epoch + 1}/{self.recipe.epochs} {phase.side} px", total=len(loader))
        total, right, seen = 0.0, 0, 0
        for step, (images, labels) in enumerate(loader):
            for group in self.optimiser.param_groups:
                group["lr"] = group["scale"] * self._learning_rate(self.epoch + step / len(loader))
            labels = labels.to(self.device)
            logits = self._logits(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
            total += loss.item() * len(labels)
            right += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
            progress.update(
                task,
                advance=1,
                description=f"epoch {self.epoch + 1}/{self.recipe.epochs} "
                f"{phase.side} px loss {total / seen:.3f} top-1 {right / seen:.1%}",
            )
        return total / seen, right / seen

    @torch.no_grad()
    def evaluate(self, side: int) -> float:
        """Top-1 share over the validation pictures, resized to `side`."""
        self.net.eval()
        right = 0
        for images, labels in zip(
            torch.split(self.val.images, self.recipe.batch), torch.split(self.val.labels, self.recipe.batch), strict=True
        ):
            if side != images.shape[-1]:
                images = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
            right += int((self._logits(images).argmax(1).cpu() == labels).sum())
        return right / len(self.val)

    def _logits(self, images: Tensor) -> Tensor:
        x = images.to(self.device, torch.float32, memory_format=torch.channels_last) / 255
        mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in (self.mean, self.std))
        with torch.autocast(self.device.type, torch.bfloat16):
            logits: Tensor = self.net((x - mean) / std)
        return logits.float()

    def _learning_rate(self, epoch: float) -> float:
        if epoch < 1:
            return self.recipe.learning_rate * epoch
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / (self.recipe.epochs - 1)))

    def _set_norm(self, on: bool) -> None:
        for name, layer in self.chain.named_children():
            if name.startswith("norm"):
                setattr(self.net, name, layer if on else nn.Identity())

    def _save(self) -> None:
        momentum = {name: self.optimiser.state[p]["momentum_buffer"] for name, p in self.net.named_parameters()}
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()} | {
            f"momentum.{k}": v for k, v in momentum.items()
        }
        partial = self.out / "state.partial"
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            partial,
            {"epoch": str(self.epoch), "recipe": json.dumps(asdict(self.recipe))},
        )
        partial.replace(self.out / "state.safetensors")

    def _resume(self) -> None:
        with safe_open(self.out / "state.safetensors", "pt", device=str(self.device)) as state:
            self.epoch = int(state.metadata()["epoch"])
            self.net.load_state_dict({k[4:]: state.get_tensor(k) for k in state.keys() if k.startswith("net.")})
            for name, p in self.net.named_parameters():
                self.optimiser.state[p]["momentum_buffer"] = state.get_tensor(f"momentum.{name}")

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
    last = {id(p) for p in net[-1].parameters()}
    rest = [p for p in net.parameters() if id(p) not in last]
    return [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay, "scale": 1.0},
        {"params": [p for p in rest if p.ndim == 1], "scale": 1.0},
        {"params": list(net[-1].parameters()), "weight_decay": weight_decay, "scale": 0.1},
    ]
