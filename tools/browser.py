"""Make sure that there is a browser for the tests: `python -m tools.browser`, run by the tests' Python.

The system's Chromium is used; on a Debian where one is root, its package is installed; elsewhere Playwright
fetches a browser of its own.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("--no-install-recommends", "chromium", "fonts-dejavu-core")


def installed() -> str | None:
    """Return the system's browser, None if it has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    """Install a browser unless there is one; return the exit status of what installs it."""
    if installed():
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return _run("apt-get", "update", "-qq") or _run("apt-get", "install", "-y", "-qq", *PACKAGES)
    return _run(sys.executable, "-m", "playwright", "install", "chromium")


def _run(*command: str) -> int:
    print(*command, file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
