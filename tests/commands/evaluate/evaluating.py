"""A tiny net and its evaluation."""

from torch import nn
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.main import app
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.record import ClassName, Preprocessing, Record

from ...chains import named

SIDE = 64


def row(epoch: int, side: int, loss: float, val_top1: float) -> dict[str, float]:
    return {"epoch": epoch, "side": side, "loss": loss, "val_top1": val_top1}


RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=(ClassName("n02", "tench"), ClassName("n01", "beagle"), ClassName("n03", "golf ball")),
    preprocessing=Preprocessing(SIDE, (0.5,) * 3, (0.25,) * 3),
    training={
        "images": 7,
        "recipe": {"batch": 2, "nesterov": True, "phases": [{"side": 32, "epochs": 1}, {"side": 64, "epochs": 2}]},
        "log": [row(1, 32, 2.5, 0.25), row(2, 64, 1.23456, 0.5) | {"train_top1": 0.75}],
    },
    validation={"top1": 0.625, "images": 40, "top1_before_storage": 0.65, "largest_logit_difference": 0.0123},
    licence="CC0-1.0",
)
PNG = b"\x89PNG\r\n\x1a\n"
PAGE = "# Card\n<!-- table: {} -->\n<!-- end -->\nkept\n"


def tiny(classes: int, _: object = None) -> Chain:
    layers = (
        *(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * 12 * 12, 9), nn.ReLU(), nn.Linear(9, classes)),
    )
    return Chain(named(*layers), (3, SIDE, SIDE))


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--device", "cpu"])
