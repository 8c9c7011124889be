"""Ask the net what it sees in a picture, and why, without a server: `python library.py PICTURE WEIGHTS`."""

import sys
from pathlib import Path

import torch

from zfnet_explainer import Explainer, Options, decode, load

picture, weights = Path(sys.argv[1]), Path(sys.argv[2])
explainer = Explainer(load(weights), torch.device("cpu"))
pixels = decode(picture.read_bytes(), explainer.record.preprocessing).pixels
found = explainer.explain(pixels, Options(stride=16, features=3))

for prediction in found.predictions:
    print(f"{prediction.probability:6.1%}  {explainer.record.classes[prediction.class_index].label}")
if occlusion := found.occlusion:  # None where Options leave the method out
    square, label = occlusion.box(occlusion.worst), explainer.record.classes[found.target.class_index].label
    print(f"Under the square at pixel row {square.top}, column {square.left}, {label} is at ", end="")
    print(f"{occlusion.target_probability.min():.1%}: {100 * occlusion.drop:.1f} points less.")
for layer in found.deconv or ():
    for feature in layer.features:
        where = feature.receptive_field
        print(f"Map {feature.feature} of layer {layer.layer} answers with {feature.activation:.1f}", where)
