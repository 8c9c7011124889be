"""Ask a server what it sees in a picture, and why: `python client.py PICTURE [URL]`."""

import sys
from pathlib import Path
from typing import Any

import httpx

picture = Path(sys.argv[1]).read_bytes()
url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8080"


def read(answer: httpx.Response) -> Any:
    """The JSON of an answer; of a refusal, the program ends with the sentence that says what to do."""
    if answer.is_error:
        try:
            sys.exit(answer.json()["error"]["message"])
        except (ValueError, LookupError, TypeError):  # a proxy's
            sys.exit(f"{url} answers with status {answer.status_code}: {answer.text[:200]}")
    return answer.json()


with httpx.Client(base_url=url, timeout=120) as server:
    found = read(server.post("/predictions/zfnet", content=picture))
    for prediction in found["predictions"]:
        print(f"{prediction['probability']:6.1%}  {prediction['label']}")

    options = {"stride": "16", "features": "3", "images": "false"}
    found = read(server.post("/explanations/zfnet", files={"data": picture}, data=options))

worst = found["occlusion"]["summary"]["worst"]
print(
    f"Under the square at pixel row {worst['top']}, column {worst['left']}, {found['target']['label']} is at ", end=""
)
print(f"{worst['probability']:.1%}: {100 * worst['drop']:.1f} points less.")
for feature in found["deconv"]["layers"][0]["features"]:
    print(f"Map {feature['feature']} of layer 5 answers with {feature['activation']:.1f}", feature["receptive_field"])
