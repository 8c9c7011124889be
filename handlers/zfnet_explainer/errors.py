"""Everything a request can have wrong with it, each with its HTTP status and code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from .messages import QUOTE


class RequestError(Exception):
    """A request that cannot be answered; the message tells the client what to do instead."""

    status = 400
    code = "malformed_body"
    in_v2 = False  # whether the client speaks the Open Inference Protocol

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.message, self.option = message, option

    def detached(self) -> Self:
        """The error itself, without the frames that it came through.

        They hold the request's body, and whoever keeps the error in one of them keeps all until Python
        next looks for cycles, which a few large requests do not make it do.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def answer(self, request_id: str) -> dict[str, Any]:
        """The JSON answer: in the Open Inference Protocol its `error` is the message alone."""
        return {"error": self.message if self.in_v2 else self.payload(request_id)}

    def payload(self, request_id: str) -> dict[str, str]:
        """The fields of the JSON answer's `error`."""
        option = {} if self.option is None else {"option": self.option}
        return {"code": self.code, "message": self.message, **option, "request_id": request_id}


@contextmanager
def told_in(protocol: str) -> Iterator[None]:
    """Have what comes through be a RequestError, marked as a client's of `v2`, the Open Inference Protocol, or not."""
    try:
        yield
    except RequestError as error:
        error.in_v2 |= protocol == "v2"
        raise
    except Exception as error:
        failed = InternalError("the server failed on this request; its log has the cause under this request id")
        failed.in_v2 = protocol == "v2"
        raise failed from error


@contextmanager
def of_picture(number: int, pictures: int) -> Iterator[None]:
    """Have the errors that come through say of which of several pictures, where one that fails fails them all."""
    try:
        yield
    except RequestError as error:
        if pictures > 1:
            error.message = f"picture {number}, counted from 0: {error.message}"
        raise


class MalformedBody(RequestError):
    """A body that is not in one of the shapes the server reads."""


class InvalidOption(RequestError):
    """An option of the wrong type or out of range."""

    code = "invalid_option"

    def __init__(self, option: str, expected: str, got: object) -> None:
        shown = got if isinstance(got, str) and got.isascii() and got.removeprefix("-").isdigit() else QUOTE.repr(got)
        super().__init__(f"`{option}` must be {expected}, got {shown[:60]}", option)


class UnusableOption(RequestError, ValueError):
    """An option that does not exist, is given twice, or does not belong to what was asked."""

    code = "invalid_option"


class TooMuchWork(RequestError):
    """A valid request that is over the bound the server's configuration sets."""

    code = "too_much_work"


class ForbiddenOrigin(RequestError):
    """A request that a page of another web origin has a browser send."""

    status = 403
    code = "forbidden_origin"


class TooLarge(RequestError):
    """A picture that is too large or slow to decode, alone or with a request's others, or what a body unpacks to."""

    status = 413
    code = "too_large"


class UnsupportedImage(RequestError):
    """Bytes that are no picture in a format the server reads."""

    status = 415
    code = "unsupported_image"


class UnsupportedEncoding(RequestError):
    """A body under a Content-Encoding that the server does not read."""

    status = 415
    code = "unsupported_encoding"


class UndecodableImage(RequestError):
    """A picture of a known format whose content is damaged."""

    status = 422
    code = "undecodable_image"


class InternalError(RequestError):
    """Our fault; `__cause__` is what happened, and is logged under the request's id."""

    status = 500
    code = "internal_error"
