"""The HTML answer: one explanation as one static file, to attach to a ticket."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..explanation import Options

VERDICTS = {True: "agrees", False: "does not agree", None: "a reduced precision"}
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 960px; margin: 32px auto; padding: 0 16px; }
h1 { font-size: 1.5em; margin: 0; } h2 { font-size: 1.15em; margin: 2em 0 .5em; }
summary { margin: 1em 0; cursor: pointer; } summary h2 { display: inline; }
p.under { margin: .25em 0 1.5em; opacity: .75; overflow-wrap: anywhere; }
p.alert { border: 2px solid #c0392b; border-radius: 4px; padding: .5em 1em; font-weight: 600; }
img { width: 100%; height: auto; background: #fff; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3em 1em .3em 0; border-bottom: 1px solid #8884; }
th { font-weight: 600; } tbody th { font-weight: 400; opacity: .75; width: 14em; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.wide td { overflow-wrap: normal; }
/* A phone has no room for a value beside its name. */
@media (max-width: 600px) {
  tbody th, tbody th + td { display: block; width: auto; }
  tbody th { border: 0; padding-bottom: 0; }
}
/* Paper cannot be unfolded. */
@media print {
  h2 { break-after: avoid; } tr, img { break-inside: avoid; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""

Rows = Iterable[tuple[str, object]]


def report(answer: Mapping[str, Any], options: Options, figure: bytes) -> bytes:
    """Write the report of a JSON answer (its pictures are not needed), the options it was made with and its figure."""
    predictions = answer["predictions"]
    title = _title(predictions[0], answer["target"])
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    sections = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="under">{_text(_origin(answer, made))}</p>',
        *_disagreement(answer),
        f'<img alt="{_text(_alternative(title, answer))}" src="data:image/png;base64,{_base64(figure)}">',
        _section("Predictions", _predictions(predictions)),
        *_occlusion(answer),
        *_crosscheck(answer),
        _section("How to read this", _notes(answer["notes"])),
        *_classes(answer),
        *_deconv(answer),
        _folded("Options", _facts(_options(options))),
        _folded("Conventions", _facts(_conventions(answer))),
        _folded("Model and request", _facts(_provenance(answer, made))),
    ]
    return _document(title, "\n".join(sections)).encode()


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _title(first: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """The prediction, and the class that is explained where it is another one."""
    predicted, explained = (f"{one['label']}, {_percent(one['probability'])}" for one in (first, target))
    return predicted if first["class_index"] == target["class_index"] else f"{predicted}; explained: {explained}"


def _origin(answer: Mapping[str, Any], made: str) -> str:
    model, image = answer["model"], answer["image"]
    return (
        f"{made}: {model['name']} {model['version']} on a picture of {image['width']} × {image['height']} pixels, "
        f"request {answer['request_id']}"
    )


def _alternative(title: str, answer: Mapping[str, Any]) -> str:
    """What the figure shows, for who does not see it."""
    found = [f"Figure: {title}."]
    if "occlusion" in answer:
        worst, window = answer["occlusion"]["summary"]["worst"], answer["occlusion"]["window"]
        found.append(
            f"The probability of {answer['target']['label']} is lowest, {_percent(worst['probability'])}, under the "
            f"{window}-pixel square at top {worst['top']}, left {worst['left']}."
        )
    for layer in answer.get("deconv", {"layers": ()})["layers"]:
        strongest = max(layer["features"], key=lambda feature: feature["activation"])
        found.append(f"Projection of layer {layer['layer']}, map {strongest['feature']}.")
    return " ".join(found)


def _predictions(predictions: Sequence[Mapping[str, Any]]) -> str:
    rows = [(p["rank"], p["label"], _percent(p["probability"])) for p in predictions]
    names = [(p["rank"], p["synset"], p["class_index"]) for p in predictions]
    short = _table(("Rank", "Class", "Probability"), rows)
    return short + _folded("Their synsets and indices", _table(("Rank", "Synset", "Index"), names))


def _occlusion(answer: Mapping[str, Any]) -> list[str]:
    """What the squares did to the target, in numbers."""
    found = answer.get("occlusion")
    if found is None:
        return []
    worst, best, feature = found["summary"]["worst"], found["summary"]["best"], found["feature"]
    facts = [
        ("Target", _class(answer["target"])),
        ("Probability, nothing covered", _percent(found["unoccluded"])),
        ("Lowest probability", _percent(worst["probability"])),
        ("Largest drop", f"{100 * worst['drop']:.1f} points"),
        ("Worst position", f"top {worst['top']}, left {worst['left']} (of the {found['window']}-pixel square)"),
        ("Highest probability", f"{_percent(best['probability'])}, at top {best['top']}, left {best['left']}"),
        ("The prediction changes", f"at {_percent(found['summary']['flipped_share'])} of the positions"),
        ("Feature of the activity map", f"layer {feature['layer']}, map {feature['feature']}"),
        ("Its activity, nothing covered", f"{feature['unoccluded']:.4g}"),
        ("Squares", f"{found['rows']} × {found['cols']} = {found['rows'] * found['cols']:,}"),
        ("Evaluation", _evaluation(found)),
    ]
    return [_section("Occlusion", _facts(facts))]


def _classes(answer: Mapping[str, Any]) -> list[str]:
    if "occlusion" not in answer:
        return []
    classes = [(c["label"], c["synset"], f"{c['positions']:,}") for c in answer["occlusion"]["classes"]]
    return [_folded("Most probable classes under the square", _table(("Class", "Synset", "Positions"), classes))]


def _evaluation(found: Mapping[str, Any]) -> str:
    if found["max_deviation"] is None:
        return f"{found['precision']}, exact"
    return f"{found['precision']}, at most {found['max_deviation']:.1e} from float32 where compared"


def _deconv(answer: Mapping[str, Any]) -> list[str]:
    if "deconv" not in answer:
        return []
    rows = [
        (layer["layer"], f["rank"], f["feature"], f"{f['activation']:.4g}", "row {}, column {}".format(*f["position"]),
         "rows {top} to {bottom}, columns {left} to {right}".format(**f["receptive_field"]))
        for layer in answer["deconv"]["layers"]
        for f in layer["features"]
    ]  # fmt: skip
    heads = ("Layer", "Rank", "Map", "Activation", "At", "Receptive field, pixels")
    return [_folded("Projected maps", _table(heads, rows)), *_others(answer)]


def _others(answer: Mapping[str, Any]) -> list[str]:
    """Which other pictures excite the projected maps most, where there is an atlas that says so."""
    rows = [
        (
            layer["layer"],
            f["feature"],
            ", ".join(f"{o['label']} {o['activation']:.4g} ({o['source']})" for o in f["others"]),
        )
        for layer in answer["deconv"]["layers"]
        for f in layer["features"]
        if f["others"]
    ]
    if not rows:
        return []
    heads = ("Layer", "Map", "Class, activation and name, the strongest first")
    return [_folded("The same maps in other pictures", _table(heads, rows))]


def _disagreement(answer: Mapping[str, Any]) -> list[str]:
    """A cross-check that failed, told before anything that it puts in doubt."""
    found = answer.get("crosscheck", {})
    names = {"deconv": "projections", "occlusion": "occlusion maps"}
    failed = [
        f"the {name} differ from {found['library']}'s by up to {found[method]['max_relative_difference']:.1e} of the "
        "largest value"
        for method, name in names.items()
        if method in found and found[method]["agrees"] is False
    ]
    if not failed:
        return []
    said = f"The cross-check failed: do not rely on this explanation ({'; '.join(failed)})."
    return [f'<p class="alert">{_text(said)}</p>']


def _crosscheck(answer: Mapping[str, Any]) -> list[str]:
    found = answer.get("crosscheck")
    if found is None:
        return []
    facts = [
        (method, f"{VERDICTS[found[method]['agrees']]}, "
                 f"largest difference {found[method]['max_relative_difference']:.1e} of the largest value")
        for method in ("deconv", "occlusion")
        if method in found
    ]  # fmt: skip
    return [_section(f"Cross-check with {found['library']} {found['version']}", _facts(facts))]


def _options(options: Options) -> list[tuple[str, object]]:
    """The options as a client would write them, those of methods that were not asked for left out."""
    rows: list[tuple[str, object]] = [
        ("top_k", options.top_k),
        ("methods", ",".join(sorted(options.methods))),
        ("target", "the predicted class" if options.target is None else options.target),
    ]
    if "deconv" in options.methods:
        rows.append(("layer", ",".join(map(str, options.layers))))
        if options.feature is None:
            rows.append(("features", options.features))
        else:
            rows.append(("feature", ",".join(map(str, options.feature))))
        rows.append(("others", options.others))
    if "occlusion" in options.methods:
        rows += [(name, getattr(options, name)) for name in ("window", "stride", "fill", "precision")]
    return [*rows, ("crosscheck", "captum" if options.crosscheck else "none")]


def _conventions(answer: Mapping[str, Any]) -> list[tuple[str, object]]:
    parts = [answer[key] for key in ("deconv", "occlusion", "crosscheck") if key in answer]
    return [(name.replace("_", " "), text) for part in parts for name, text in part["conventions"].items()]


def _provenance(answer: Mapping[str, Any], made: str) -> list[tuple[str, object]]:
    model, image = answer["model"], answer["image"]
    validation, crop, preprocessing = model["validation"], image["crop"], image["preprocessing"]
    return [
        ("Model", f"{model['name']} {model['version']}"),
        ("Weights, SHA-256", model["weights_sha256"]),
        ("Validation", f"{_percent(validation['top1'])} right on {validation['images']:,} pictures of its classes"),
        ("Device", model["device"]),
        ("Picture", f"{image['width']} × {image['height']} pixels"),
        ("Explained square", f"top {crop['top']}, left {crop['left']}, {crop['width']} × {crop['height']} pixels"),
        ("Preprocessing", ", ".join(f"{name} {value}" for name, value in preprocessing.items())),
        ("Request", answer["request_id"]),
        ("Made", made),
        ("Time", ", ".join(f"{stage} {ms:,.0f} ms" for stage, ms in answer["timing_ms"].items())),
    ]


def _class(entry: Mapping[str, Any]) -> str:
    return f"{entry['label']} ({entry['synset']}, index {entry['class_index']})"


def _section(title: str, content: str) -> str:
    return f"<h2>{_text(title)}</h2>\n{content}"


def _folded(title: str, content: str) -> str:
    """A section for who wants to know more."""
    return f"<details><summary><h2>{_text(title)}</h2></summary>\n{content}</details>"


def _notes(notes: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(note)}</li>" for note in notes) + "</ul>"


def _facts(rows: Rows) -> str:
    lines = "".join(f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>\n' for name, value in rows)
    return f"<table><tbody>\n{lines}</tbody></table>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table></div>'


def _text(value: object) -> str:
    """Anything as text that is safe in an element and in an attribute."""
    return html.escape(str(value))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
