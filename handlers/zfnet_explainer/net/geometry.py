"""Which outputs a pixel touches and which pixels an output sees, along one axis at a time."""

from dataclasses import dataclass
from typing import Self

Interval = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """How one layer reads one axis: kernel, stride, padding before the first value, sizes in and out."""

    kernel: int
    stride: int
    padding: int
    size_in: int
    size_out: int

    @classmethod
    def over(cls, size: int, kernel: int, stride: int, padding: int, ceil: bool) -> Self:
        """The axis of a layer over so many values, with the outputs that torch gives; `ceil` keeps a cut last window.

        A cut window keeps its output only where it begins before the padding behind the last value.
        """
        room = size + 2 * padding - kernel
        outputs = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (outputs - 1) * stride >= size + padding:
            outputs -= 1
        return cls(kernel, stride, padding, size, outputs)

    @property
    def padding_after(self) -> int:
        """Padding that the last output needs behind the last value; 0 where it ends inside the map."""
        return max(0, (self.size_out - 1) * self.stride + self.kernel - self.padding - self.size_in)

    def span(self, outputs: int) -> int:
        """How many values so many neighbouring outputs read, padding counted."""
        return (outputs - 1) * self.stride + self.kernel

    def reach(self, outputs: int) -> int:
        """How many values of the map so many neighbouring outputs read at most."""
        return min(self.span(outputs), self.size_in)

    def touched(self, values: Interval) -> Interval:
        """The outputs [first, last) whose windows meet the input values [first, last)."""
        first, last = values
        low = -(-(first + self.padding - self.kernel + 1) // self.stride)
        high = (last - 1 + self.padding) // self.stride + 1
        low = min(max(low, 0), self.size_out)
        return low, min(max(high, low), self.size_out)

    def seen(self, outputs: Interval) -> Interval:
        """The input values [first, last) that the outputs [first, last) read, padding left out."""
        first, last = outputs
        low = first * self.stride - self.padding
        high = (last - 1) * self.stride - self.padding + self.kernel
        return min(max(low, 0), self.size_in), min(max(high, 0), self.size_in)


Axes = tuple[Axis, Axis]  # down and across


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; `bottom` and `right` are the first row and column outside it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as an index of what has these axes last: `pixels[..., *box.slices]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)
