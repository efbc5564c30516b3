"""A private PostgreSQL: its own folder, its own port, gone without a trace."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAME = "durable"
PATIENCE = 60
# PostgreSQL refuses to run as root; the first of these that exists stands in.
SERVANTS = ("postgres", "nobody")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
}
NO_FSYNC = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class ServerError(Exception):
    """The server did not start; the sentence holds the end of its log."""


class Server:
    """Runs while its `with` block does, which gets the URL of an empty database."""

    def __init__(self, programs: Path, *, fsync: bool) -> None:
        self.programs = programs
        self.settings = SETTINGS if fsync else {**SETTINGS, **NO_FSYNC}
        self.password = secrets.token_urlsafe(16)
        self.home = Path()
        self.process: subprocess.Popen[bytes] | None = None
        self.identity = servant()

    def __enter__(self) -> str:
        self.home = Path(tempfile.mkdtemp(prefix="durable-app-postgres-"))
        try:
            self.hand_over(self.home)
            self.bring_within_reach()
            self.initialize()
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def bring_within_reach(self) -> None:
        """Copy the programs if they lie where the user who shall run them may not go."""
        try:
            self.run("initdb", "--version")
        except PermissionError:
            package = self.programs.parent.parent
            for source in (self.programs.parent, *package.parent.glob(f"{package.name}.libs")):
                target = self.home / "site" / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True)
            self.programs = self.home / "site" / self.programs.relative_to(package.parent)

    def initialize(self) -> None:
        """Make the data folder, with one user and one database."""
        secret = self.home / "password"
        secret.write_text(self.password)
        self.hand_over(secret)
        self.run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={NAME}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        statement = f"CREATE DATABASE {NAME}\n".encode()
        self.run("postgres", "--single", "-D", str(self.data), "postgres", input=statement)

    def start(self) -> str:
        """Start the server, wait until it takes connections, and return its URL."""
        port = free_port()
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, f"--port={port}", *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C is for the command: the server must outlive it.
                start_new_session=True,
                **self.conditions,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"the private server did not start.\n{self.end_of_log()}")
            time.sleep(0.05)
        return f"postgres://{NAME}:{self.password}@127.0.0.1:{port}/{NAME}"

    def close(self) -> None:
        """Stop the server, the polite way first, and remove its folder."""
        if self.process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                self.process.send_signal(number)
                try:
                    self.process.wait(PATIENCE)
                    break
                except subprocess.TimeoutExpired:
                    continue
        shutil.rmtree(self.home, ignore_errors=True)

    def is_ready(self) -> bool:
        """Read the state that a server keeps in the eighth line of its lock file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def run(self, program: str, *arguments: str, input: bytes = b"") -> None:
        """Run one of PostgreSQL's programs to its end."""
        ended = subprocess.run(
            [self.programs / program, *arguments],
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self.conditions,
        )
        if ended.returncode:
            raise ServerError(f"`{program}` failed.\n{ended.stdout.decode(errors='replace')}")

    def hand_over(self, path: Path) -> None:
        if self.identity is not None:
            os.chown(path, self.identity.pw_uid, self.identity.pw_gid)

    def end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def conditions(self) -> dict[str, Any]:
        """Return where, in which language and as whom the programs run."""
        common: dict[str, Any] = {"cwd": self.home, "env": {**os.environ, "LC_ALL": "C"}}
        if self.identity is None:
            return common
        user, group = self.identity.pw_uid, self.identity.pw_gid
        return {**common, "user": user, "group": group, "extra_groups": []}


def servant() -> pwd.struct_passwd | None:
    """Return who runs the server: nobody in particular, unless this is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in SERVANTS:
        if name in known:
            return known[name]
    raise ServerError(f"root may not run one, and there is no user {' or '.join(SERVANTS)}.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
