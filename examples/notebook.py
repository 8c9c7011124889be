# %% [markdown]
# # What the answer depends on
# Cells for Jupyter (through jupytext), VS Code or any editor that knows `# %%`; needs httpx, numpy, matplotlib.

# %%
import io
import os
from pathlib import Path

import httpx
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

URL = os.environ.get("ZFNET_URL", "http://localhost:8080")
PICTURE = Path(os.environ.get("ZFNET_PICTURE", "model_store/samples/dingo.jpg"))
WINDOW = 32

# %% Every array of the explanation, by its path in the JSON answer.
options = {"format": "npz", "window": str(WINDOW)}
answer = httpx.post(f"{URL}/explanations/zfnet", files={"data": PICTURE.read_bytes()}, data=options, timeout=120)
if answer.is_error:
    raise RuntimeError(f"{URL} answers with status {answer.status_code}: {answer.text[:500]}")
arrays = np.load(io.BytesIO(answer.content))

# %% How many points the target loses under the square at each place.
drop = arrays["occlusion.unoccluded"] - arrays["occlusion.target_probability"]
row, column = np.unravel_index(drop.argmax(), drop.shape)
top, left = arrays["occlusion.tops"][row], arrays["occlusion.lefts"][column]
print(f"Under the square at pixel row {top}, column {left}, the target is at ", end="")
print(f"{arrays['occlusion.target_probability'][row, column]:.1%}: {100 * drop.max():.1f} points less.")

# %% The picture and its map: each value belongs to the middle of its square.
# Side by side: laid over the picture, the map's colours would no longer be those of its scale.
figure, (photo, axes) = plt.subplots(1, 2, figsize=(10, 4.5), sharex=True, sharey=True, layout="constrained")
photo.imshow(arrays["image.pixels"])
middles = arrays["occlusion.lefts"] + WINDOW / 2, arrays["occlusion.tops"] + WINDOW / 2
limit = np.abs(drop).max()  # white is no change
heat = axes.pcolormesh(*middles, drop, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest")
figure.colorbar(heat, label="drop of the target's probability")
axes.set_aspect("equal")
for shown in photo, axes:
    shown.add_patch(Rectangle((left, top), WINDOW, WINDOW, fill=False, edgecolor="black"))
    shown.set_axis_off()
figure.savefig("heatmap.png")
