"""Options and a record for explanations of a small net."""

from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.options import Options

SIDE = 37
OPTIONS = Options(top_k=3, layers=(1, 3), features=2, window=13, stride=6)


def record(classes: int, size: int, temperature: float = 1.0) -> Record:
    names = tuple(ClassName(f"n{i}", f"class {i}") for i in range(classes))
    preprocessing = Preprocessing(size, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    validation = {"top1": 0.5, "images": 10, "temperature": temperature}
    return Record("small", "small", names, preprocessing, {}, validation, "Apache-2.0", "ab" * 32)
