"""The Accept header -> the answer's format."""

# The first is the answer to who does not care.
MEDIA_TYPES = {"json": "application/json", "png": "image/png", "npz": "application/x-npz", "html": "text/html"}


def accepted_format(accept: str) -> str:
    """The format that an Accept header likes best, the one named first of several; json where it names none."""
    ranges: dict[str, tuple[float, int]] = {}
    for position, part in enumerate(accept.split(",")):
        media, quality = _entry(part)
        ranges.setdefault(media, (quality, -position))
    liked = {name: _liked(media, ranges) for name, media in MEDIA_TYPES.items()}
    best = max(liked, key=lambda name: liked[name])
    return best if liked[best][0] > 0 else "json"


def _liked(media: str, ranges: dict[str, tuple[float, int]]) -> tuple[float, int]:
    """Quality and place of the entry that speaks of this media type: the one that says most of it."""
    family = media.partition("/")[0]
    return next((ranges[name] for name in (media, f"{family}/*", "*/*") if name in ranges), (0.0, 0))


def _entry(part: str) -> tuple[str, float]:
    """Media range and quality: 1 where it gives none, 0 (not wanted) where it gives what is none."""
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media, _quality(value)
    return media, 1.0


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0  # not a number is in no range either
