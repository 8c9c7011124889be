"""The HTML answer: one explanation as one static file, to attach to a ticket; `report.html` lays it out."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..messages import number
from ..net.record import ClassName
from ..options import Options
from ..pictures.words import METHOD_NAMES, evaluation, verdict
from .layout import layout
from .names import named
from .options import as_written

Answer = Mapping[str, Any]
Rows = Sequence[tuple[object, ...]]


@dataclass(frozen=True)
class Section:
    """A table below its heads, facts (name and value) where there are none, or sentences; folded for who wants more."""

    title: str
    rows: Rows = ()
    heads: Sequence[str] = ()
    sentences: Sequence[str] = ()
    folded: bool = False


def report(answer: Answer, options: Options, figure: bytes, classes: tuple[ClassName, ...]) -> bytes:
    """Write the report of a JSON answer (its pictures are not needed), the options it was made with and its figure.

    `classes` are all of the net's.
    """
    answer = named(answer, classes)
    title = _title(answer["predictions"][0], answer["target"])
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    written = layout("report.html").render(
        title=title,
        origin=_origin(answer, made),
        alert=_disagreement(answer),
        alternative=_alternative(title, answer),
        figure=base64.b64encode(figure).decode(),
        sections=list(_sections(answer, list(as_written(options, classes)), made)),
    )
    return written.encode()


def _sections(answer: Answer, options: Rows, made: str) -> Iterator[Section]:
    yield from _predictions(answer["predictions"])
    if "occlusion" in answer:
        yield Section("Occlusion", _occlusion(answer))
    if "contrast" in answer.get("occlusion", {}):
        yield _contrast(answer["target"], answer["occlusion"])
    if "crosscheck" in answer:
        yield _crosscheck(answer["crosscheck"])
    yield Section("How to read this", sentences=answer["notes"])
    if "occlusion" in answer:
        yield _classes(answer["occlusion"]["classes"])
    if "deconv" in answer:
        yield from _deconv(answer["deconv"]["layers"])
    yield Section("Options", options, folded=True)
    yield Section("Conventions", _conventions(answer), folded=True)
    yield Section("Model and request", _provenance(answer, made), folded=True)


def _title(first: Mapping[str, Any], target: Answer) -> str:
    """The prediction, and the class that is explained where it is another one."""
    predicted, explained = (f"{one['label']}, {_percent(one['probability'])}" for one in (first, target))
    return predicted if first["class_index"] == target["class_index"] else f"{predicted}; explained: {explained}"


def _origin(answer: Answer, made: str) -> str:
    model, image = answer["model"], answer["image"]
    return (
        f"{made}: {model['name']} {model['version']} on a picture of {image['width']} × {image['height']} pixels, "
        f"request {answer['request_id']}"
    )


def _alternative(title: str, answer: Answer) -> str:
    """What the figure shows, for who does not see it."""
    found = [f"Figure: {title}."]
    if "occlusion" in answer:
        worst, window = answer["occlusion"]["summary"]["worst"], answer["occlusion"]["window"]
        found.append(
            f"The probability of {answer['target']['label']} is lowest, {_percent(worst['probability'])}, under the "
            f"{window}-pixel square at top {worst['top']}, left {worst['left']}."
        )
        if contrast := answer["occlusion"].get("contrast"):
            found.append(
                f"Against {contrast['label']} its log odds, {contrast['unoccluded']:z.2f} nats, are lowest, "
                "{log_odds:z.2f}, at top {top}, left {left}.".format(**contrast["worst"])
            )
    for layer in answer.get("deconv", {"layers": ()})["layers"]:
        strongest = max(layer["features"], key=lambda feature: feature["activation"])
        found.append(f"Projection of layer {layer['layer']}, map {strongest['feature']}.")
    return " ".join(found)


def _predictions(predictions: Sequence[Answer]) -> Iterator[Section]:
    rows = [(p["rank"], p["label"], _percent(p["probability"])) for p in predictions]
    yield Section("Predictions", rows, ("Rank", "Class", "Probability"))
    names = [(p["rank"], p["synset"], p["class_index"]) for p in predictions]
    yield Section("Their synsets and indices", names, ("Rank", "Synset", "Index"), folded=True)


def _occlusion(answer: Answer) -> Rows:
    """What the squares did to the target, in numbers."""
    found = answer["occlusion"]
    worst, best, feature = found["summary"]["worst"], found["summary"]["best"], found["feature"]
    return [
        ("Target", _class(answer["target"])),
        ("Probability, nothing covered", _percent(found["unoccluded"])),
        ("Lowest probability", _percent(worst["probability"])),
        ("Largest drop", f"{100 * max(0.0, worst['drop']):.1f} points"),
        ("Worst position", f"top {worst['top']}, left {worst['left']} (of the {found['window']}-pixel square)"),
        ("Highest probability", f"{_percent(best['probability'])}, at top {best['top']}, left {best['left']}"),
        ("The prediction changes", f"at {_percent(found['summary']['flipped_share'])} of the positions"),
        ("Feature of the activity map", f"layer {feature['layer']}, map {feature['feature']}"),
        ("Its activity, nothing covered", number(feature["unoccluded"])),
        ("Squares", f"{found['rows']} × {found['cols']} = {found['rows'] * found['cols']:,}"),
        ("Evaluation", _evaluation(found["precision"], found["max_deviation"])),
    ]


def _contrast(target: Answer, found: Answer) -> Section:
    """Why the target and not the other class, in numbers."""
    other = found["contrast"]
    worst = other["worst"]
    rows = [
        ("Against", _class(other)),
        ("Log odds, nothing covered", f"{other['unoccluded']:z.2f} nats"),
        ("Lowest log odds", f"{worst['log_odds']:z.2f} nats, at top {worst['top']}, left {worst['left']}"),
        ("Most that a square takes", f"{max(0.0, other['unoccluded'] - worst['log_odds']):.2f} nats"),
        ("Evaluation", _evaluation(found["precision"], other["max_deviation"], " nats")),
    ]
    return Section(f"Why {target['label']} and not {other['label']}", rows)


def _classes(classes: Sequence[Answer]) -> Section:
    rows = [(c["label"], c["synset"], f"{c['positions']:,}") for c in classes]
    return Section("Most probable classes under the square", rows, ("Class", "Synset", "Positions"), folded=True)


def _evaluation(precision: str, deviation: float | None, unit: str = "") -> str:
    return evaluation(precision, None if deviation is None else f"{deviation:.1e}{unit}")


def _pixels(box: Mapping[str, int]) -> str:
    """First and last row and column of a box, whose ends are outside it."""
    return f"rows {box['top']} to {box['bottom'] - 1}, columns {box['left']} to {box['right'] - 1}"


def _deconv(layers: Sequence[Answer]) -> Iterator[Section]:
    """The projected maps, and which other pictures excite them most, where there is an atlas that says so."""
    features = [(layer["layer"], feature) for layer in layers for feature in layer["features"]]
    rows = [
        (layer, f["rank"], f["feature"], number(f["activation"]), "row {}, column {}".format(*f["position"]),
         _pixels(f["receptive_field"]))
        for layer, f in features
    ]  # fmt: skip
    heads: tuple[str, ...] = ("Layer", "Rank", "Map", "Activation", "At", "Receptive field, pixels")
    yield Section("Projected maps", rows, heads, folded=True)
    others = [
        (layer, f["feature"], ", ".join(f"{o['label']} {number(o['activation'])} ({o['source']})" for o in f["others"]))
        for layer, f in features
        if f["others"]
    ]
    if others:
        heads = ("Layer", "Map", "Class, activation and name, the strongest first")
        yield Section("The same maps in other pictures", others, heads, folded=True)


def _disagreement(answer: Answer) -> str:
    """What is told of a cross-check that failed, before anything that it puts in doubt."""
    found = answer.get("crosscheck", {})
    failed = [
        f"the {name} differ from {found['library']}'s by up to {found[method]['max_relative_difference']:.1e} of the "
        "largest value"
        for method, name in METHOD_NAMES.items()
        if method in found and found[method]["agrees"] is False
    ]
    return f"The cross-check failed: do not rely on this explanation ({'; '.join(failed)})." if failed else ""


def _crosscheck(found: Answer) -> Section:
    rows = [
        (name.capitalize(), verdict(found[method]["agrees"], found[method]["max_relative_difference"]))
        for method, name in METHOD_NAMES.items()
        if method in found
    ]
    return Section(f"Cross-check with {found['library']} {found['version']}", rows)


def _conventions(answer: Answer) -> Rows:
    parts = [answer[key] for key in ("deconv", "occlusion", "crosscheck") if key in answer]
    return [(name.replace("_", " "), text) for part in parts for name, text in part["conventions"].items()]


def _provenance(answer: Answer, made: str) -> Rows:
    model, image = answer["model"], answer["image"]
    crop, preprocessing = image["crop"], image["preprocessing"]
    return [
        ("Model", f"{model['name']} {model['version']}"),
        ("Weights, SHA-256", model["weights_sha256"]),
        ("Validation", _accuracy(model["validation"])),
        ("Device", model["device"]),
        ("Picture", f"{image['width']} × {image['height']} pixels"),
        ("Explained square", f"top {crop['top']}, left {crop['left']}, {crop['width']} × {crop['height']} pixels"),
        ("Preprocessing", ", ".join(f"{name} {value}" for name, value in preprocessing.items())),
        ("Request", answer["request_id"]),
        ("Made", made),
        ("Time", ", ".join(f"{stage} {ms:,.0f} ms" for stage, ms in answer["timing_ms"].items())),
    ]


def _accuracy(validation: Answer | None) -> str:
    if validation is None:
        return "accuracy not measured"
    return f"{_percent(validation['top1'])} right on {validation['images']:,} pictures of its classes"


def _class(entry: Answer) -> str:
    return f"{entry['label']}, synset {entry['synset']}, index {entry['class_index']}"


def _percent(share: float) -> str:
    """With one decimal; what only rounds to nothing or to all is told as less than that."""
    rounded = f"{100 * share:.1f}"
    if share > 0 and rounded == "0.0":
        return "<0.1 %"
    return ">99.9 %" if share < 1 and rounded == "100.0" else f"{rounded} %"
