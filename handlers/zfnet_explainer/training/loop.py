"""The training loop: epochs with a checkpoint after each, resumed where a run was killed."""

import json
import math
import time
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..accuracy.logits import top1
from ..net.chain import Chain
from ..net.checkpoint import Preprocessing
from ..pictures.labelled import Pictures, Source
from .bar import Bar
from .log import Log, read_log
from .mixing import Mixing, majority
from .process import Process
from .recipe import Precision, Recipe
from .state import STATE, About, digest, load_average, load_momentum, load_result, load_weights, read_about, save_state
from .trainable import Switch, clip_filters, training_form
from .views import batches, mixed

Tensors = tuple[Tensor, ...] | list[Tensor]


class Trainer:
    """Trains a chain on pictures; `out` holds the log and the state, from which a run resumes.

    `start`: the folder of another run, whose weights this one begins with. Raises ValueError where `out`
    holds the state of another run, `start` another net, or the pictures do not fill a batch.
    """

    def __init__(
        self, chain: Chain, recipe: Recipe, train: Source, val: Pictures, preprocessing: Preprocessing,
        out: Path, process: Process, start: Path | None = None,
    ) -> None:  # fmt: skip
        _check_batch(len(train), len(val), recipe.batch, process.world)
        torch.manual_seed(recipe.seed)
        self.chain, self.recipe, self.train, self.preprocessing = chain, recipe, train, preprocessing
        self.out, self.process = out, process
        self.val, self.val_count = val.share(process.rank, process.world), len(val)
        self.net = self._form().to(process.device)
        self.mix = Mixing(recipe.mixing, len(train.classes))
        out.mkdir(parents=True, exist_ok=True)
        started = _start(start) if start else None
        self.about: About = {
            "epoch": 0, "recipe": json.loads(json.dumps(asdict(recipe))), "data": _fingerprint(train), "start": started,
        }  # fmt: skip
        resumed = (out / STATE).exists()
        if resumed:
            self.about |= {"epoch": _check_same(out, self.about)}
            load_weights(out, self.net, process.device)
        elif start:
            load_result(start, self.net, process.device)
        self.average = _average(self.net, recipe.averaging)
        if self.average and resumed:
            load_average(out, self.average, process.device)
        self.spread = process.spread(self.net)
        self.optimiser = torch.optim.SGD(
            _parameter_groups(self.net, recipe),
            lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov,
        )  # fmt: skip
        if resumed:
            load_momentum(out, self.net, self.optimiser, process.device)

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return cast(int, self.about["epoch"])

    def run(self) -> None:
        """Train to the last epoch; after each one, log it and save the state."""
        if self.epoch == self.recipe.epochs:
            return
        log = Log(self.out, self.epoch) if self.process.first else None
        with Bar(self.recipe, self.epoch, len(self.train) // self.recipe.batch, self.process.console) as bar:
            while self.epoch < self.recipe.epochs:
                row = self._epoch(bar)
                self.about["epoch"] += 1
                if log:
                    log.add(row)
                    save_state(self.out, self.net, self.optimiser, self.average, self.about)
                bar.end(f"epoch {row['epoch']}: loss {row['loss']:.3f}, val top-1 {row['val_top1']:.1%}, "
                        f"{row['images_per_s']:.0f} images/s")  # fmt: skip
        if log:
            log.close()

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

    def _epoch(self, bar: Bar) -> dict[str, float]:
        """One pass over the pictures, then the validation: the epoch's row of the log."""
        begin = time.perf_counter()
        torch.manual_seed(mixed(self.recipe.seed, self.epoch, self.process.rank))
        self._set_norms(self.recipe.cross_map_norm(self.epoch))
        if self.epoch and self.recipe.cross_map_norm(self.epoch) != self.recipe.cross_map_norm(self.epoch - 1):
            self.average = _average(self.net, self.recipe.averaging)
        self.spread.train()
        loader = batches(self.train, self.recipe, self.epoch, self.process)
        sums = torch.zeros(3, dtype=torch.float64, device=self.process.device)  # losses, right answers, pictures
        bar.begin(self.epoch)
        for step, (images, labels) in enumerate(loader):
            self._set_rate(self.epoch + step / len(loader))
            sums += self._step(images, labels)
            if bar.due():  # reading the sums makes a GPU wait
                bar.show(step + 1, *(self._finite(sums.tolist())))
        loss, right = self._finite(self.process.total(sums))
        pictures = len(loader) * self.recipe.batch
        seconds = time.perf_counter() - begin
        return {
            "epoch": self.epoch + 1, "side": self.recipe.side(self.epoch), "loss": round(loss, 4),
            "train_top1": round(right, 4), "val_top1": round(self._validated(), 4),
            "images_per_s": round(pictures / seconds, 1),
        }  # fmt: skip

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step of the optimiser: the batch's summed loss, how many were right, how many there were."""
        images, labels = (x.to(self.process.device, non_blocking=True) for x in (images, labels))
        x, labels = self.mix(self.preprocessing.standardise(images), labels)
        x = x.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            logits = self.spread(x).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        if self.recipe.filter_radius:
            clip_filters(self.net, self.recipe.filter_radius)
        if self.average:
            self.average.update_parameters(self.net)
        right = (logits.argmax(1) == majority(labels)).sum()
        return torch.stack([loss.detach() * len(labels), right, right.new_tensor(len(labels))]).double()

    def _validated(self) -> float:
        """Share of the validation pictures that the net is right about."""
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
            raise ValueError(
                f"the loss became {loss} in epoch {self.epoch + 1}: lower the learning rate; {self.out} still holds "
                "the epochs before"
            )
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


def _average(net: nn.Sequential, share: float) -> AveragedModel | None:
    """A running average of all weights and of BatchNorm's statistics."""
    if not share:
        return None

    def follow(average: Tensors, current: Tensors, there: Tensor | int) -> None:
        seen = int(followed.n_averaged)  # the same as `there`, which a GPU would have to be waited for
        past = min(share, (1 + seen) / (10 + seen))
        get_ema_multi_avg_fn(past)(average, current, there)  # type: ignore[no-untyped-call]

    followed = AveragedModel(net, multi_avg_fn=follow, use_buffers=True)
    return followed


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


def _check_batch(train: int, val: int, batch: int, world: int) -> None:
    if train < batch:
        raise ValueError(f"{train} pictures do not fill a batch of {batch}")
    if batch % world:
        raise ValueError(f"a batch of {batch} cannot be shared evenly among {world} processes: choose a multiple")
    if val < world:
        raise ValueError(f"{val} validation pictures are too few for {world} processes")


def _check_same(out: Path, about: About) -> int:
    """How many epochs the run in `out` has done, where it is this one. Raises ValueError for another."""
    found = read_about(out)
    for part, what in (("recipe", "another recipe"), ("data", "other pictures"), ("start", "another --start")):
        if found.get(part) != about[part]:
            raise ValueError(f"{out} holds the run of {what}: choose another folder or remove it")
    return cast(int, found["epoch"])


def _fingerprint(source: Source) -> str:
    """sha256 of the names of all pictures, which hold their classes."""
    return sha256("\n".join(source.names).encode(errors="surrogateescape")).hexdigest()


def _start(out: Path) -> About:
    """What the record says of the run that this one begins with."""
    about = read_about(out)
    rows = read_log(out)[: about["epoch"]]
    return {"sha256": digest(out), "recipe": about["recipe"], "log": rows, "start": about.get("start")}
