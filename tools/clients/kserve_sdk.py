"""What KServe's own client sends to a server that runs, and what it makes of the answers (on stderr).

In an environment of its own, as the package wants versions of others that the project's do not go with:

    python3 -m venv /tmp/kserve && /tmp/kserve/bin/pip install kserve==0.21.0 'kubernetes<36'
    /tmp/kserve/bin/python -m tools.clients.kserve_sdk http://127.0.0.1:8080 > tests/end_to_end/clients/kserve.json
"""

import asyncio
import base64
import sys
from typing import Any

import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig
from numpy.typing import NDArray

from .recorder import PICTURE, PIXELS, SIDE, recorded

INSTANCE = {"image_bytes": {"b64": base64.b64encode(PICTURE).decode()}}
EXPLANATION = {"window": 112, "stride": 112, "features": 1, "images": False}


def tensor(values: NDArray[Any], datatype: str, binary: bool) -> InferRequest:
    """A request as the SDK makes it of an array."""
    image = InferInput("image", list(values.shape), datatype)
    image.set_data_from_numpy(values, binary_data=binary)
    return InferRequest("zfnet", [image], parameters={"priority": 3})


async def ask(url: str) -> None:
    """Every call of the client that the server answers."""
    v1, v2 = (InferenceRESTClient(RESTConfig(protocol=protocol, timeout=300)) for protocol in ("v1", "v2"))
    file, text = np.array([PICTURE], object), np.array([base64.b64encode(PICTURE)], object)
    pixels = np.frombuffer(PIXELS, np.uint8).reshape(1, SIDE, SIDE, 3)
    told = [
        await v1.infer(url, {"instances": [INSTANCE], "parameters": {"top_k": 3}}, model_name="zfnet"),
        await v1.explain(url, "zfnet", {"instances": [INSTANCE], "parameters": EXPLANATION}),
        await v2.infer(url, tensor(file, "BYTES", binary=True), model_name="zfnet"),
        await v2.infer(url, tensor(text, "BYTES", binary=False), model_name="zfnet"),
        await v2.infer(url, tensor(pixels, "UINT8", binary=True), model_name="zfnet"),
        await v2.infer(url, tensor(pixels, "UINT8", binary=False), model_name="zfnet"),
        await v2.is_server_live(url),
        await v2.is_server_ready(url),
    ]
    for answer in told:
        print(str(answer)[:300], file=sys.stderr)


with recorded("kserve", sys.argv[1]) as door:
    asyncio.run(ask(f"http://{door.address}"))
