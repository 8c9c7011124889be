"""The learning curve as TensorBoard reads it."""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import gethostname

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c


class Events:
    """A file of TensorBoard's in `folder`. One that cannot be written ends there, which `tell` hears of once.

    Without tensorboardX's thread: it would die of the error, and whoever gives it more would wait for it forever.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{gethostname()}"
        self._tell, self._stopped = tell, False
        # Each process tells the whole curve, which supersedes what a killed one told, or had not written yet.
        begin = Event(step=1, session_log=SessionLog(status=SessionLog.START))
        self._write([Event(file_version="brain.Event:2"), begin], "wb")

    def add(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Tell of some epochs."""
        self._write([Event(step=int(row["epoch"]), summary=_summary(row)) for row in rows], "ab")

    def _write(self, events: Sequence[Event], mode: str) -> None:
        if self._stopped:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode) as file:
                file.write(b"".join(map(_record, events)))
        except OSError as error:
            self._stopped = True
            self._tell(f"TensorBoard's log {self._path} ends here ({error.strerror}); log.csv goes on")


def _summary(row: Mapping[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=name, simple_value=row[name]) for name in row if name != "epoch"])


def _record(event: Event) -> bytes:
    """An event as it lies in a file of TFRecords: its length and itself, each with a checksum."""
    event.wall_time = time.time()
    body = event.SerializeToString()
    length = struct.pack("<Q", len(body))
    return b"".join((length, _checksum(length), body, _checksum(body)))


def _checksum(part: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(part))
