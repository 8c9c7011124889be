"""Strategies for what a hostile client may send; as a program, any number of them: python tests/fuzz_wire.py 100000."""

import base64
import io
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from zfnet_explainer.errors import RequestError
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.view import Picture
from zfnet_explainer.wire.options import EXPLAIN_OPTIONS, explain_options, predict_options
from zfnet_explainer.wire.request import Incoming, read
from zfnet_explainer.wire.response import json_bytes
from zfnet_explainer.wire.rules import Rules

SIZE = 224
RULES = Rules(
    tuple(ClassName(f"n{i}", f"class {i // 2}") for i in range(20)),
    (96, 256, 384, 384, 256),
    SIZE,
    ("float32", "bfloat16"),
    4096,
    1024,
    keeps_float32=True,
    max_others=9,
)


def _file(file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return exif


PICTURES = (
    _file("JPEG", exif=_exif()),
    _file("JPEG", progressive=True),
    _file("JPEG", "CMYK"),
    _file("PNG", exif=_exif()),
    _file("PNG", "P", transparency=3),
    _file("PNG", "LA"),
    _file("PNG", "I;16"),
    _file("WEBP", exif=_exif()),
    _file("WEBP", "RGBA", lossless=True),
    _file("WEBP", save_all=True, append_images=[Image.new("RGB", (13, 9))]),
    _file("GIF", save_all=True, append_images=[Image.new("RGB", (13, 9))]),
    _file("BMP"),
    _file("BMP", "P"),
    _file("TIFF", exif=_exif()),
    _file("TIFF", "CMYK", compression="tiff_lzw"),
    _file("TIFF", compression="jpeg"),
    _file("TIFF", "1", compression="group4"),
    _file("TIFF", "I;16", compression="tiff_adobe_deflate"),
)
EDGES = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\1", b"\1\0")


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A sound file with some of its bytes changed, cut out, repeated or appended."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(8, max(8, len(data))) | st.integers(0, 64))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == 1:
            edge = draw(st.sampled_from(EDGES))
            data[at : at + len(edge)] = edge
        elif kind == 2:
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == 3:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == 4:
            data[at:at] = draw(st.binary(max_size=20))
        else:
            del data[at:]
    return bytes(data)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.characters(),
    st.integers(-3, 400).map(str),
    st.lists(st.integers(-1, 400), max_size=9).map(lambda numbers: ",".join(map(str, numbers))),
    st.sampled_from(
        ["deconv", "occlusion", "deconv,occlusion", "none", "captum", "float32", "gray", "#12ab9f", "json"]
    ),
    st.sampled_from(["n3", "class 3", "class_19", "true", "FALSE", "٣", "²", "1e3", "\ud800", "\0"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 400), st.integers(), st.just(10**400), st.floats(), TEXTS)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3))
NAMES = st.one_of(st.sampled_from(EXPLAIN_OPTIONS), st.sampled_from(EXPLAIN_OPTIONS), TEXTS)
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "top_k": st.integers(1, 21),
    "target": st.sampled_from([3, "n3", "19", "class 3", "n20"]),
    "layer": st.sampled_from([1, "5", "1,2,3,4,5", [4], "6"]),
    "features": st.integers(1, 65),
    "others": st.integers(0, 9).map(str),
    "images": st.sampled_from([True, "false", "True"]),
    "window": st.integers(1, 225),
    "stride": st.integers(1, 30),
    "fill": st.sampled_from(["gray", "#12AB9F", "blur", "#12ab9"]),
    "precision": st.sampled_from(["float32", "bfloat16", "float16"]),
    "crosscheck": st.sampled_from(["none", "captum"]),
    "format": st.sampled_from(["json", "png", "npz", "html"]),
}
WILD = st.dictionaries(NAMES, VALUES, max_size=2)
OPTIONS = st.builds(
    lambda sound, wild: {**sound, **wild},
    st.dictionaries(st.sampled_from(list(PLAUSIBLE)), st.none(), max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: PLAUSIBLE[name] for name in names})
    ),
    st.one_of(st.just({}), WILD),
)
ENCODED = st.one_of(st.just(PICTURES[3]), pictures()).map(lambda data: base64.b64encode(data).decode()) | TEXTS
INSTANCES = st.one_of(
    ENCODED.map(lambda text: {"data": {"b64": text}}),
    st.dictionaries(st.sampled_from(["data", "b64", "image_bytes", "top_k"]), ENCODED | VALUES, max_size=2),
    VALUES,
)
SHAPES = st.one_of(st.just([1]), st.just([1, 2, 2, 3]), st.lists(st.integers(-1, 9), max_size=5), VALUES)
TENSORS = st.fixed_dictionaries(
    {"name": st.just("image")},
    optional={
        "datatype": st.sampled_from(["BYTES", "UINT8"]) | VALUES,
        "shape": SHAPES,
        "parameters": st.just({"binary_data_size": 4}) | VALUES,
        "data": st.lists(ENCODED, max_size=2) | st.lists(st.integers(-1, 256), min_size=12, max_size=12) | VALUES,
    },
)
DOCUMENTS = st.one_of(
    st.fixed_dictionaries({"instances": st.lists(INSTANCES, max_size=3)}, optional={"parameters": OPTIONS | VALUES}),
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSORS, max_size=2) | VALUES},
        optional={
            "parameters": OPTIONS | VALUES,
            "id": VALUES,
            "outputs": VALUES | st.lists(st.dictionaries(st.just("name"), VALUES)),
        },
    ),
    st.dictionaries(TEXTS | st.sampled_from(["instances", "inputs", "parameters"]), VALUES, max_size=4),
)


@st.composite
def broken_json(draw: st.DrawFn) -> bytes:
    """A JSON document, sound or with bytes changed."""
    data = bytearray(json.dumps(draw(DOCUMENTS), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(data)


BODIES = st.one_of(broken_json(), broken_json().map(bytearray), DOCUMENTS, pictures(), st.binary(max_size=60), VALUES)
FORMS = st.one_of(
    st.fixed_dictionaries({"body": BODIES}),
    st.dictionaries(broken_json().map(lambda text: text.decode(errors="replace")), st.binary(max_size=9), max_size=2),
    st.dictionaries(NAMES | st.just("data"), pictures() | st.binary(max_size=9) | TEXTS, max_size=5),
    st.fixed_dictionaries({"data": st.just(PICTURES[3])}, optional=dict.fromkeys(EXPLAIN_OPTIONS[:5], TEXTS)),
)
PROTOCOLS = ["Accept", "accept", "id", "Content-Encoding", "Inference-Header-Content-Length"]
HEADERS = st.dictionaries(
    st.one_of(NAMES.map(lambda name: f"X-Explain-{name}"), st.sampled_from(PROTOCOLS), TEXTS),
    TEXTS | st.sampled_from(["gzip", "identity", "90", "image/png;q=0.5, */*", "text/html", "a;q=nan", ";;,,=q"]),
    max_size=3,
)
REQUESTS = st.builds(Incoming, FORMS, HEADERS, st.booleans(), st.booleans())


def refused(error: RequestError) -> str:
    """The error's code, after a check that it can be sent and says nothing at length."""
    assert error.status in (400, 413, 415, 422)
    assert len(error.message) < 800
    assert error.message.isprintable(), error.message
    json_bytes({"error": error.payload("id")})
    return error.code


def check_picture(data: bytes) -> str:
    """Decode a picture: nothing but a RequestError may come out."""
    try:
        found = decode(data, SIZE)
    except RequestError as error:
        return refused(error)
    assert found.pixels.shape == (SIZE, SIZE, 3)
    assert found.crop.height == found.crop.width == min(found.width, found.height)
    return "decoded"


def check_options(options: dict[str, Any], accept: str = "") -> str:
    """Check options for both calls: nothing but a RequestError may come out."""
    try:
        predict_options(options, RULES, "plain")
    except RequestError as error:
        refused(error)
    try:
        found, _ = explain_options(options, accept, RULES, "plain")
    except RequestError as error:
        return refused(error)
    grid = found.squares(SIZE)
    assert (found.window, found.stride) == (grid.window, grid.stride)
    assert 1 <= grid.stride <= grid.window <= SIZE
    assert len(found.layers) * found.features <= 64
    return "accepted"


def check_request(incoming: Incoming) -> str:
    """Read a request and its options: nothing but a RequestError may come out."""
    try:
        request = read(incoming, SIZE)
    except RequestError as error:
        return refused(error)
    for picture in request.pictures:
        if isinstance(picture, Picture):
            assert picture.pixels.shape == (SIZE, SIZE, 3)
        else:
            refused(picture)
    json_bytes({"id": request.wanted.id})
    return check_options(dict(request.options), request.accept)


CHECKS: tuple[tuple[st.SearchStrategy[Any], Callable[[Any], str]], ...] = (
    (pictures(), check_picture),
    (OPTIONS, check_options),
    (REQUESTS, check_request),
)


def main(count: int) -> None:
    """Try `count` inputs, a third each of pictures, options and requests, and tell how they were answered."""
    warnings.simplefilter("error", append=True)  # behind what the program itself ignores
    for strategy, check in CHECKS:
        answers: Counter[str] = Counter()
        start = time.perf_counter()
        _run(strategy, check, answers, -(-count // len(CHECKS)))
        seconds = time.perf_counter() - start
        print(f"{check.__name__}: {answers.total():,} inputs in {seconds:.0f} s: {dict(answers.most_common())}")


def _run(strategy: st.SearchStrategy[Any], check: Callable[[Any], str], answers: Counter[str], count: int) -> None:
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        answers[check(value)] += 1

    run()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000)
