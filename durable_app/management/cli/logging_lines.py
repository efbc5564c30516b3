"""What ``durable_worker --log-format`` makes of the log: a line, or a JSON object, each on stderr."""

import json
import logging
from datetime import UTC, datetime

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JSONFormatter(logging.Formatter):
    """Makes each record one line of JSON: time, level, logger, message, and an exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        found = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found)


def log_to_stderr(form: str) -> None:
    """Let everything that the project logs from INFO on go to stderr, and nowhere else."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter() if form == "json" else logging.Formatter(LINE))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for logger in map(logging.getLogger, list(logging.Logger.manager.loggerDict)):
        logger.handlers.clear()
        logger.propagate = True
