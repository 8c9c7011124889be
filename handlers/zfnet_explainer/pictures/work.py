"""What the pictures of one request may take to decode."""

from dataclasses import dataclass

from ..errors import TooLarge

MAX_PIXELS = 50_000_000
# 100 scans of a JPEG of 50 megapixels, a few seconds' work. Those of JPEGs in TIFFs are not counted: libtiff itself
# stops at 100 a strip, so that those of all of a request's, which have 200 megapixels, are just within four times this.
MAX_SCANNED_PIXELS = 5_000_000_000
# All pictures of one request may have so many times as much as a single one.
MAX_TOGETHER = 4


@dataclass
class Work:
    """What was decoded of a request's pictures: their pixels, and these once for every scan they were made in."""

    pixels: int = 0
    scanned: int = 0

    def add(self, pixels: int, scans: int) -> None:
        """Count a picture that is about to be decoded. Raises TooLarge where all of them would be too much."""
        if self.pixels + pixels > MAX_TOGETHER * MAX_PIXELS:
            together = f"{MAX_TOGETHER * MAX_PIXELS / 1e6:.0f} megapixels together"
            raise TooLarge(f"the pictures of a request have at most {together}: send fewer at once")
        if self.scanned + pixels * scans > MAX_TOGETHER * MAX_SCANNED_PIXELS:
            raise TooLarge(
                "the pictures of a request have too many scans together: send fewer at once, or save the JPEGs "
                "again, not progressive"
            )
        self.pixels += pixels
        self.scanned += pixels * scans
