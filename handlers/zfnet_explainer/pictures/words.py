"""What figure and report say alike of how an explanation was made; the page's wire/page/words.js says it too."""

METHOD_NAMES = {"deconv": "projections", "occlusion": "occlusion maps"}
VERDICTS = {True: "agree", False: "do not agree", None: "are rounded and need not agree"}


def evaluation(precision: str, deviation: str | None) -> str:
    """What occlusion was computed in; `deviation` from float32 in words, None where there is none."""
    return f"{precision}, " + ("exact" if deviation is None else f"at most {deviation} from float32 where compared")


def verdict(agrees: bool | None, difference: float) -> str:
    """How a method's cross-check came out; `difference` is the largest one over the largest value."""
    return f"{VERDICTS[agrees]}, largest difference {difference:.1e} of the largest value"
