"""The training loop: epochs with a checkpoint after each, resumed where a run was killed."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from ..accuracy.logits import top1
from ..net.chain import Chain
from ..net.device import compute_in_float32
from ..net.record import Preprocessing
from ..pictures.labelled import Source
from .averaging import measure_statistics, running_average
from .bar import Bar
from .held_back import Part
from .log import Log, Row
from .mixing import Mixing, majority
from .process import Process
from .recipe import Precision, Recipe
from .resume import as_stored, check_same, epochs_done, fingerprint, read_preprocessing, started
from .state import STATE, Metadata, load_average, load_momentum, load_result, load_weights, save_state
from .trainable import Switch, clip_filters, training_form
from .views import batches, drawn, seed_of


class Trainer:
    """Trains a chain on pictures; `out` holds the log and the state, from which a run resumes.

    `val`: what is measured after each epoch: the part held back where the recipe has one.
    `preprocessing`: of a run that begins; one that goes on keeps its own, as with less memory a sample of the pictures
    would have other statistics. `start`: the folder of another run, whose weights this one begins with.
    Raises ValueError where `out` holds the state of another run or a damaged one, `start` another net, the pictures do
    not fill a batch, or processes differ in these.
    """

    def __init__(
        self, chain: Chain, recipe: Recipe, train: Source, val: Source, preprocessing: Preprocessing,
        out: Path, process: Process, start: Path | None = None,
    ) -> None:  # fmt: skip
        check_batch(len(train), recipe.batch, process.world)
        if len(val) < process.world:
            raise ValueError(f"{len(val)} validation pictures are too few for {process.world} processes")
        torch.manual_seed(recipe.seed)
        compute_in_float32()
        self.chain, self.recipe, self.train, self.preprocessing = chain, recipe, train, preprocessing
        self.out, self.process = out, process
        self.val, self.val_count = Part(val, torch.arange(process.rank, len(val), process.world)), len(val)
        self.mix = Mixing(recipe.mixing, len(train.classes))
        self.shift = recipe.class_balance * log_shares(train).to(process.device)
        self.validated_as = "held_back_top1" if recipe.hold_back else "val_top1"
        self.metadata = self._metadata(start)
        self.net = self._first_net(start).to(process.device)
        self.average = running_average(self.net, recipe.averaging)
        self.distributed = process.distributed(self.net)
        self.optimiser = torch.optim.SGD(
            _parameter_groups(self.net, recipe),
            lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov,
        )  # fmt: skip
        if self.epoch:
            self._resume()

    def _metadata(self, start: Path | None) -> Metadata:
        """Which run this is, and how many epochs of it `out` holds: the same in all processes."""
        metadata: Metadata = {
            "epoch": 0, "recipe": as_stored(self.recipe), "data": fingerprint(self.train.names),
            "start": started(start) if start else None,
        }  # fmt: skip
        if (self.out / STATE).exists():
            metadata["epoch"] = epochs_done(self.out, metadata)
            self.preprocessing = read_preprocessing(self.out) or self.preprocessing
        metadata["preprocessing"] = asdict(self.preprocessing)
        check_same(self.process.gathered(metadata))
        return metadata

    def _first_net(self, start: Path | None) -> nn.Sequential:
        """What the first epoch begins with."""
        net = self._form()
        if start and not self.epoch:
            load_result(start, net, torch.device("cpu"))
        return net

    def _resume(self) -> None:
        """Go on from what `out` holds."""
        load_weights(self.out, self.net, self.process.device)
        if self.average:
            load_average(self.out, self.average, self.process.device)
        load_momentum(self.out, self.net, self.optimiser, self.process.device)

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return cast(int, self.metadata["epoch"])

    def run(self) -> None:
        """Train to the last epoch; after each one, log it and save the state."""
        if self.epoch == self.recipe.epochs:
            return
        log = Log(self.out, self.epoch, self.process.tell) if self.process.first else None
        with Bar(self.recipe, self.epoch, len(self.train) // self.recipe.batch, self.process.console) as bar:
            while self.epoch < self.recipe.epochs:
                row = self._epoch(bar)
                self.metadata["epoch"] += 1
                if log:
                    self._save(log, row)
                measured = "held-back" if self.recipe.hold_back else "val"
                bar.end(f"epoch {row['epoch']}: loss {row['loss']:.3f}, {measured} top-1 "
                        f"{row[self.validated_as]:.1%}, {row['images_per_s']:.0f} images/s")  # fmt: skip

    def _save(self, log: Log, row: Row) -> None:
        """The row first: what a log has beyond its state is cut off when the run goes on."""
        log.add(row)
        save_state(self.out, self.net, self.optimiser, self.average, self.metadata)

    def trained(self) -> nn.Sequential:
        """The net as trained so far (the average where there is one), a form of its own on the CPU."""
        net = self._form()
        net.load_state_dict({name: value.cpu() for name, value in self._result.state_dict().items()})
        return net

    @property
    def _result(self) -> nn.Module:
        """What the run is for: the average where there is one."""
        return self.average.module if self.average else self.net

    def _form(self) -> nn.Sequential:
        return training_form(self.chain, self.recipe)

    def _epoch(self, bar: Bar) -> Row:
        """One pass over the pictures, then the validation: the epoch's row of the log."""
        begin = time.perf_counter()
        self._begin_epoch()
        loader = batches(self.train, self.recipe, self.epoch, self.process)
        bar.begin(self.epoch)
        loss, right = self._learn(loader, bar)
        seconds = time.perf_counter() - begin
        return {
            "epoch": self.epoch + 1, "side": self.recipe.side(self.epoch), "loss": round(loss, 4),
            "train_top1": round(right, 4), self.validated_as: round(self._validated(), 4),
            "images_per_s": round(len(loader) * self.recipe.batch / seconds, 1),
        }  # fmt: skip

    def _begin_epoch(self) -> None:
        """Draw from the epoch's own seed; where its normalisation is another than the last one's, average anew."""
        torch.manual_seed(seed_of(self.recipe.seed, self.epoch, self.process.rank))
        on = self.recipe.cross_map_norm(self.epoch)
        self._set_norms(on)
        if self.epoch and on != self.recipe.cross_map_norm(self.epoch - 1):
            self.average = running_average(self.net, self.recipe.averaging)
        self.distributed.train()

    def _learn(self, loader: DataLoader[tuple[Tensor, int]], bar: Bar) -> tuple[float, float]:
        """Mean loss and share of right answers over the epoch's batches, in all processes."""
        sums = torch.zeros(3, dtype=torch.float64, device=self.process.device)  # losses, right answers, pictures
        for step, (images, labels) in enumerate(drawn(loader)):
            self._set_rate(self.epoch + step / len(loader))
            sums += self._step(images, labels)
            if bar.due():  # reading the sums makes a GPU wait
                bar.show(step + 1, *(self._finite(sums.tolist())))
        return self._finite(self.process.total(sums))

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step of the optimiser: the batch's summed loss, how many were right, how many there were."""
        images, labels = (x.to(self.process.device, non_blocking=True) for x in (images, labels))
        x, labels = self.mix(self.preprocessing.standardise(images), labels)
        x = x.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            logits = self.distributed(x).float()
        loss = functional.cross_entropy(logits + self.shift, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        if self.recipe.filter_radius:
            clip_filters(self.net, self.recipe.filter_radius)
        if self.average:
            self.average.update_parameters(self.net)
        right = (logits.argmax(1) == majority(labels)).sum()
        return torch.stack([loss.detach() * len(labels), right, torch.full_like(right, len(labels))]).double()

    def _validated(self) -> float:
        """Share of the pictures to validate on that the net is right about."""
        if self.average:
            with self._autocast():
                measure_statistics(self.average, self.train, self.preprocessing, self.recipe.side(self.epoch))
        for net in (self.net, self._result):
            self.process.align(net)
        with self._autocast():
            share = top1(self._result, self.val, self.preprocessing, self.recipe.side(self.epoch))
        right = torch.tensor([share * len(self.val)], dtype=torch.float64, device=self.process.device)
        return self.process.total(right)[0] / self.val_count

    def _finite(self, sums: list[float]) -> tuple[float, float]:
        """Mean loss and share of right answers."""
        loss, right = sums[0] / sums[2], sums[1] / sums[2]
        if not math.isfinite(loss):
            begin = f" and begin with the epochs before (--start {self.out}, another --out)" if self.epoch else ""
            raise ValueError(f"the loss became {loss} in epoch {self.epoch + 1}: lower the learning rate{begin}")
        return loss, right

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.process.device.type, torch.bfloat16, enabled=self.recipe.precision == Precision.BFLOAT16
        )

    def _set_rate(self, epoch: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(epoch) * group["scale"]

    def _set_norms(self, on: bool) -> None:
        for layer in [*self.net.modules(), *self._result.modules()]:
            if isinstance(layer, Switch):
                layer.on = on


def log_shares(pictures: Source) -> Tensor:
    """The log of each class's share of the pictures, float32 [classes]; a class without any counts as one picture."""
    counts = torch.bincount(pictures.labels, minlength=len(pictures.classes)).clamp(min=1)
    return (counts / len(pictures)).log()


def _parameter_groups(net: nn.Sequential, recipe: Recipe) -> list[dict[str, object]]:
    """Weights that decay, biases that do not, and a rate of its own for the last layer.

    No BatchNorm follows the last layer: at the full rate its 4096 inputs make the first epochs diverge.
    """
    last = list(net[-1].parameters())
    rest = [p for p in net.parameters() if all(p is not q for q in last)]
    return [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe.weight_decay, "scale": 1.0},
        {"params": [p for p in rest if p.ndim == 1], "scale": 1.0},
        {"params": last, "weight_decay": recipe.weight_decay, "scale": recipe.last_layer_rate},
    ]


def check_batch(train: int, batch: int, world: int) -> None:
    """Raise ValueError where so many pictures do not fill a batch, or it cannot be shared among the processes."""
    if train < batch:
        raise ValueError(f"{train} pictures do not fill a batch of {batch}: choose a smaller --batch")
    if batch % world:
        raise ValueError(f"a batch of {batch} cannot be shared evenly among {world} processes: choose a multiple")
