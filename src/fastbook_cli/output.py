"""What several commands share of stdout and stderr."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

import msgspec

from fastbook_server.config import LogFormat

log = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """Each record as one JSON object in a line: for what collects logs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record with time, level, logger, message and, of an exception, its traceback."""
        milliseconds = int(record.created * 1_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1_000))
        line: dict[str, Any] = {
            "time": f"{stamp}.{milliseconds % 1_000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return msgspec.json.encode(line).decode()


def formatter(form: LogFormat) -> logging.Formatter:
    """Return how records are written."""
    return JsonLines() if form == "json" else logging.Formatter(LOG_FORMAT)


def log_to_stderr(level: str, form: LogFormat = "text") -> None:
    """Log from `level` up, such as ``warning``, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").setLevel("WARNING")


def abandon_stdout() -> None:
    """Send stdout nowhere, once its reader has gone.

    Otherwise the interpreter would complain at exit that it cannot flush what is buffered.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_ready(url: str) -> None:
    """Print that a server serves at `url`, for whoever started it; a closed stdout is no matter."""
    try:
        print(f"ready {url}", flush=True)
    except OSError as error:
        log.warning("stdout takes nothing (%s): ready %s", error.strerror, url)
        abandon_stdout()


def open_standard_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed, on nothing.

    Otherwise the next file or socket that is opened would be taken for one of them.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            setattr(sys, name, os.fdopen(number, mode))
