"""Logs as JSON lines with request and job id; never an address, a name or a token."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

# Libraries that write URLs, arguments or addresses at INFO.
_QUIET = ("httpx", "httpx2", "arq", "uvicorn.access", "aiosmtplib", "mail.log")


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send our logs and the libraries' warnings to `stream` (standard error) as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_safe_exception),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _safe_exception(exc_info: Any) -> str:
    """Name the exception and where it came from; its text may quote a row and is left out."""
    if not isinstance(exc_info, tuple):
        return ""
    kind, _, trace = exc_info
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{kind.__name__ if kind else 'exception'} at " + " < ".join(reversed(places))


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Get the logger of a module; log ids, counts and words, nothing personal."""
    return structlog.stdlib.get_logger(name)
