"""Tables of how accurate a net is, and of what its record says about it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..accuracy.accuracy import VIEW, Accuracy
from ..accuracy.groups import GroupAccuracy
from ..net.record import ClassName, Record
from ..training.log import Row, accuracies, runs_of
from .statistics import percent_interval, share_estimate
from .tables import Table, percent

LARGEST = 10
ELSEWHERE = ("recipe", "start", "log", "sha256")  # of a run: said in other places, or for machines


def accuracy_tables(measured: Accuracy, record: Record) -> list[Table]:
    """Accuracy, calibration and confusions of a net whose classes are the record's."""
    labels = _told_apart(record.classes)
    return [
        _headline(measured, record),
        _by_class(measured, labels),
        _confusions(measured, labels),
        _calibration(measured),
        _reliability(measured),
    ]


def group_tables(groups: Sequence[GroupAccuracy]) -> list[Table]:
    """How well the classes of each group are told from each other; nothing without groups."""
    if not groups:
        return []
    rows = tuple(
        (one.name, f"{one.classes}", f"{one.images:,}", _of(one.right_within, one.images), _of(one.right, one.images))
        for one in groups
    )
    columns = ("group", "classes", "pictures", "top-1 within the group", "top-1 among all classes")
    note = "Within the group: its classes are the only answers. In brackets: Wilson's 95 % interval."
    return [Table("groups", "Within groups of classes", columns, rows, note)]


def training_tables(record: Record) -> list[Table]:
    """What the record says of the training: cost of storage, and the learning curve of a net that was trained here."""
    storage = _imported(record.storage) if record.storage else _exported(record.validation or {})
    rows = log(record.training)
    return [storage, *([_learning_curve(rows)] if rows else [])]


def _learning_curve(epochs: Sequence[Row]) -> Table:
    """Each accuracy that was measured has its column: one run may hold pictures back, and the next one not."""
    measured = accuracies(epochs)
    rows = tuple(
        (f"{row['epoch']}", f"{row['side']}", f"{row['loss']:.3f}", *(percent(row.get(name)) for name in measured))
        for row in epochs
    )
    columns = ("epoch", "pixels", "loss", *measured.values())
    note = "The loss is the mean over the epoch; label smoothing, dropout, mixing and class balance are part of it."
    return Table("learning-curve", "Learning curve", columns, rows, note)


def _exported(validation: Mapping[str, Any]) -> Table:
    """What storing a net cost that was trained here."""
    difference = validation.get("largest_logit_difference")
    rows = (
        ("top-1 in float32, before they were stored", percent(validation.get("top1_before_storage"), 2)),
        ("top-1 as stored and read back", percent(validation.get("top1"), 2)),
        ("largest difference of a logit", "–" if difference is None else f"{difference:.4f}"),
    )
    note = "Measured when the weights were exported."
    return Table("storage", "Cost of compact storage", ("", "on the validation pictures"), rows, note)


def _imported(storage: Mapping[str, Any]) -> Table:
    """What storing a net of one's own cost."""
    rows = (
        ("precision", storage["precision"]),
        ("largest difference of a logit", f"{storage['largest_logit_difference']:g}"),
    )
    note = "Measured when the weights were stored."
    return Table("storage", "Cost of storage", ("", f"on {storage['pictures']} random pictures"), rows, note)


def card_tables(record: Record, weights: Path) -> list[Table]:
    """What else a model card says: the file, its hash and terms, the recipe."""
    return [
        Table(
            "weights", "Weights", ("", ""),
            (
                ("file", f"`{weights.name}`, {weights.stat().st_size / 2**20:.1f} MiB"),
                ("SHA-256", f"`{record.weights_sha256}`"),
                ("net", f"{record.architecture}, {len(record.classes)} classes, {record.preprocessing.size} pixels"),
                ("terms", record.licence),
            ),
        ),
        _recipe(record.training),
    ]  # fmt: skip


def log(training: Mapping[str, Any]) -> list[Row]:
    """The row of every epoch, numbered through, those of the run that it started from first."""
    rows: list[Row] = []
    for run in runs_of(training):
        before = rows[-1]["epoch"] if rows else 0
        rows += [row | {"epoch": before + row["epoch"]} for row in run.get("log", ())]
    return rows


def _of(right: int, images: int) -> str:
    return percent_interval(share_estimate(right, images)) if images else "–"


def _told_apart(classes: Sequence[ClassName]) -> list[str]:
    """Their labels; one that several have, with its class's synset behind it."""
    often = Counter(name.label for name in classes)
    return [name.label if often[name.label] == 1 else f"{name.label} ({name.synset})" for name in classes]


def _headline(measured: Accuracy, record: Record) -> Table:
    recorded = record.validation
    said = f"{percent(recorded['top1'], 2)} of {recorded['images']:,} pictures" if recorded else "not measured"
    shares = {"top-1": measured.top1} | ({} if measured.top5 is None else {"top-5": measured.top5})
    rows = (
        ("pictures", f"{measured.images:,}"),
        ("view", VIEW),
        *((name, _of(round(share * measured.images), measured.images)) for name, share in shares.items()),
        ("top-1 in the record", said),
    )
    return Table("accuracy", "Accuracy", ("", "measured"), rows, "In brackets: Wilson's 95 % interval.")


def _by_class(measured: Accuracy, labels: list[str]) -> Table:
    rows = tuple(
        (label, f"{one.images}", percent(one.recall), percent(one.precision))
        for label, one in zip(labels, measured.by_class, strict=True)
    )
    note = (
        "Recall: the share of the class's pictures that were found. Precision: the share of the answers with "
        "this class that were right."
    )
    return Table("classes", "By class", ("class", "pictures", "recall", "precision"), rows, note)


def _confusions(measured: Accuracy, labels: list[str]) -> Table:
    """The most frequent mistakes."""
    wrong = [
        (count, true, predicted)
        for true, row in enumerate(measured.confusion)
        for predicted, count in enumerate(row)
        if count and predicted != true
    ]
    rows = tuple(
        (labels[true], labels[predicted], f"{count}", percent(count / measured.by_class[true].images))
        for count, true, predicted in sorted(wrong, key=lambda entry: -entry[0])[:LARGEST]
    )
    columns = ("is", "taken for", "pictures", "share of the class")
    return Table("confusions", "Most frequent confusions", columns, rows, keys=2)


def _calibration(measured: Accuracy) -> Table:
    found = measured.calibration
    rows = (
        ("all", "1", percent(found.ece, 2)),
        ("all", f"{found.served_temperature:.3f} (as served)", percent(found.served_ece, 2)),
        (f"{found.held_out_images:,} held out", "1", percent(found.held_out_before, 2)),
        (f"{found.held_out_images:,} held out", f"{found.held_out_temperature:.3f}", percent(found.held_out_after, 2)),
    )
    note = (
        f"15 bins of equal width. Probabilities are of the logits over the temperature. The last row's was fitted to "
        f"the other pictures, which says what a temperature is worth; fitted to all, it is {found.temperature:.3f}."
    )
    columns = ("pictures", "temperature", "expected calibration error")
    return Table("calibration", "Calibration", columns, rows, note, keys=2)


def _reliability(measured: Accuracy) -> Table:
    rows = tuple(
        (f"{one.lower:.2f} to {one.upper:.2f}", f"{one.images}", percent(one.confidence), percent(one.right))
        for one in measured.reliability
        if one.images
    )
    columns = ("confidence", "pictures", "mean confidence", "right")
    note = "Confidence is the probability of the most probable class, as served."
    return Table("reliability", "Reliability", columns, rows, note)


def _recipe(training: Mapping[str, Any]) -> Table:
    """What the record says of the training but its log, one column a run."""
    runs = runs_of(training)
    plain = [{key: run[key] for key in run if key not in ELSEWHERE} | run.get("recipe", {}) for run in runs]
    said = [dict(_entries("", run)) for run in plain]
    names = dict.fromkeys(name for run in reversed(said) for name in run)
    columns = [f"run {number}" for number in range(1, len(runs) + 1)] if len(runs) > 1 else [""]
    rows = tuple((name, *(run.get(name, "") for run in said)) for name in names)
    note = "Each run begins with the weights of the one before it." if len(runs) > 1 else ""
    return Table("recipe", "Recipe", ("", *columns), rows, note)


def _entries(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A nested record as rows, one for each plain value or list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _entries(f"{name} {key}".strip().replace("_", " "), inner)
    elif value is not None:
        yield name, _said(value)


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "; ".join(map(_said, value))
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_said(inner)}" for key, inner in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
