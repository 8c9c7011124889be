"""What MLServer's codecs and its `infer` send to a server that runs, and what they make of the answers (on stderr).

In an environment of its own, as the package wants versions of others that the project's do not go with:

    python3 -m venv /tmp/mlserver && /tmp/mlserver/bin/pip install mlserver==1.7.1 httpx
    PATH=/tmp/mlserver/bin:$PATH python -m tools.clients.mlserver_codecs http://127.0.0.1:8080 \
        > tests/end_to_end/clients/mlserver.json
"""

import subprocess
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

import httpx
import numpy as np
from mlserver.codecs import Base64Codec, NumpyCodec, NumpyRequestCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from .recorder import PICTURE, PIXELS, SIDE, recorded

ARRAY = np.frombuffer(PIXELS, np.uint8).reshape(1, SIDE, SIDE, 3)
FILE = InferenceRequest(inputs=[Base64Codec.encode_input("image", [PICTURE])])
TEXT = InferenceRequest(inputs=[StringCodec.encode_input("image", [b64encode(PICTURE).decode()])])
PIXEL = InferenceRequest(inputs=[NumpyCodec.encode_input("image", ARRAY)])
REQUEST = NumpyRequestCodec.encode_request(ARRAY)


def ask(url: str, request: InferenceRequest) -> None:
    """Send it, and read the answer as the library does."""
    headers = {"content-type": "application/json"}
    body = request.model_dump_json()
    answer = httpx.post(f"{url}/v2/models/zfnet/infer", content=body, headers=headers, timeout=300).raise_for_status()
    found = InferenceResponse.model_validate(answer.json())
    probabilities, classes = found.outputs
    print(NumpyCodec.decode_output(probabilities), StringCodec.decode_output(classes), file=sys.stderr)


def infer(address: str, folder: Path, requests: list[InferenceRequest], *options: str) -> None:
    """Ask with the command."""
    (folder / "in.jsonl").write_text("".join(request.model_dump_json() + "\n" for request in requests))
    paths = ["-i", str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl")]
    line = ["mlserver", "infer", "-u", address, "-m", "zfnet", *paths, "-w", "1", *options]
    subprocess.run(line, check=True, stdout=sys.stderr)  # noqa: S603 - of this very environment
    print(*(one[:200] for one in (folder / "out.jsonl").read_text().splitlines()), sep="\n", file=sys.stderr)


with recorded("mlserver", sys.argv[1]) as door, tempfile.TemporaryDirectory() as folder:
    REQUEST.inputs[0].name = "image"
    for request in (FILE, TEXT, PIXEL, REQUEST):
        ask(f"http://{door.address}", request)
    infer(door.address, Path(folder), [TEXT, PIXEL])
    infer(door.address, Path(folder), [TEXT, PIXEL], "--binary-data")  # in binary its text is base64 still
