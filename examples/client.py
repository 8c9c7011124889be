"""Ask a server what it sees in a picture, and why: `python client.py PICTURE [URL]`."""

import sys
from pathlib import Path

import httpx

picture = Path(sys.argv[1]).read_bytes()
url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8080"

with httpx.Client(base_url=url, timeout=120) as server:
    answer = server.post("/predictions/zfnet", content=picture)
    answer.raise_for_status()
    for prediction in answer.json()["predictions"]:
        print(f"{prediction['probability']:6.1%}  {prediction['label']}")

    options = {"stride": "16", "features": "3", "images": "false"}
    answer = server.post("/explanations/zfnet", files={"data": picture}, data=options)
    answer.raise_for_status()
    found = answer.json()

worst = found["occlusion"]["summary"]["worst"]
print(f"Without the square at row {worst['top']}, column {worst['left']}, {found['target']['label']} is at ", end="")
print(f"{worst['probability']:.1%}: {100 * worst['drop']:.1f} points less.")
for feature in found["deconv"]["layers"][0]["features"]:
    print(
        f"Feature {feature['feature']} of layer 5 answers with {feature['activation']:.1f}", feature["receptive_field"]
    )
