"""The demo's words: one moving line on a terminal, plain lines elsewhere."""

import os
import time
from typing import TextIO

BAR = 20
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
IN_ASCII = str.maketrans({"×": "x", "→": "->", "“": '"', "”": '"', "·": "-"})
STYLES = {"bold": "1", "quiet": "2", "good": "32", "bad": "31", "live": "36"}


class Terminal:
    """Prints facts as they happen; ``progress`` is overwritten in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._has_colour = self._is_live and not os.environ.get("NO_COLOR")
        self._is_plain_ascii = not _can_print(stream, "✔✖█░" + SPINNER)
        self._last_progress = ""

    def title(self, text: str, note: str = "") -> None:
        """Begin a part."""
        self._line("")
        self._line(f"{self._style('bold', text)}  {self._style('quiet', note)}".rstrip())

    def done(self, text: str, note: str = "") -> None:
        """Report something achieved."""
        self._fact("good", "+" if self._is_plain_ascii else "✔", text, note)

    def bad(self, text: str, note: str = "") -> None:
        """Report something broken, on purpose or not."""
        self._fact("bad", "x" if self._is_plain_ascii else "✖", text, note)

    def plain(self, text: str = "") -> None:
        """Print a line as it is."""
        self._line(text)

    def progress(self, text: str, percent: int, note: str = "") -> None:
        """Show how far something is."""
        if self._is_live:
            self._overwrite(f"  {self._style('live', self._spinner())} {self._bar(percent)} {text}", note)
        elif (shown := f"  . {percent:3d} %  {text}  {note}".rstrip()) != self._last_progress:
            self._last_progress = shown
            self._line(shown)

    def rest(self) -> None:
        """Wipe the moving line: somebody else is about to print."""
        if self._is_live:
            self._write("\r\x1b[2K")

    def _fact(self, style: str, mark: str, text: str, note: str) -> None:
        self._line(f"  {self._style(style, mark)} {text:<46} {self._style('quiet', note)}".rstrip())

    def _line(self, text: str) -> None:
        erase = "\r\x1b[2K" if self._is_live else ""
        self._write(f"{erase}{text}\n")

    def _overwrite(self, text: str, note: str) -> None:
        self._write(f"\r\x1b[2K\x1b[?7l{text}  {self._style('quiet', note)}\x1b[?7h")  # no line wrap

    def _bar(self, percent: int) -> str:
        full, empty = ("#", "-") if self._is_plain_ascii else ("█", "░")
        filled = BAR * percent // 100
        return f"{full * filled}{empty * (BAR - filled)} {percent:3d} %"

    def _spinner(self) -> str:
        frames = "|/-\\" if self._is_plain_ascii else SPINNER
        return frames[int(time.monotonic() * 10) % len(frames)]

    def _style(self, style: str, text: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._has_colour and text else text

    def _write(self, text: str) -> None:
        if self._is_plain_ascii:
            text = text.translate(IN_ASCII).encode("ascii", "replace").decode()
        self._stream.write(text)
        self._stream.flush()


def _can_print(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
