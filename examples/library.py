"""Ask the net what it sees in a picture, and why, without a server: `python library.py PICTURE WEIGHTS`."""

import sys
from pathlib import Path

import torch

from zfnet_explainer import Explainer, Options, decode, load

picture, weights = Path(sys.argv[1]), Path(sys.argv[2])
explainer = Explainer(load(weights), torch.device("cpu"))
pixels = decode(picture.read_bytes(), explainer.record.preprocessing).pixels
found = explainer.explain(pixels, Options(window=64, stride=16, features=3))

for prediction in found.predictions:
    print(f"{prediction.probability:6.1%}  {explainer.record.classes[prediction.class_index].label}")
if found.occlusion is not None:  # None where Options leave a method out
    print(f"The worst square, at {found.occlusion.worst} of the grid, takes {found.occlusion.drop:.1%} from it.")
for layer in found.deconv or ():
    for feature in layer.features:
        where = feature.receptive_field
        print(f"Map {feature.feature} of layer {layer.layer} answers with {feature.activation:.1f}", where)
