"""Processes that tests start: each in a group of its own, with its output in a file, ended by that group's number."""

import os
import pathlib
import re
import signal
import subprocess
import time


class Failed(Exception):
    """What a process said instead of doing what it should."""


class Process:
    """Runs `command` until it ends or leaves the `with` block."""

    def __init__(self, name, command, log, cwd=None, env=None):
        self.name = name
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def text(self):
        return self.log.read_text(errors="replace")

    def failure(self, what):
        return Failed(f"{self.name}: {what}; its last lines ({self.log}):\n" + "\n".join(self.text().splitlines()[-8:]))

    def wait_for(self, look, seconds, what):
        """What `look()` gives as soon as that is something."""
        deadline = time.monotonic() + seconds
        while True:
            is_over = self.process.poll() is not None
            found = look()
            if found:
                return found
            if is_over:
                raise self.failure(f"ended with {self.process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"no {what} within {seconds} s")
            time.sleep(0.05)

    def wait_for_line(self, pattern, seconds):
        """The match of a pattern in the output."""
        return self.wait_for(lambda: re.search(pattern, self.text()), seconds, f"line with {pattern!r}")

    def wait(self, seconds):
        """Its whole output; an exit status other than 0 is a failure."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failure(f"no end within {seconds} s") from None
        if status != 0:
            raise self.failure(f"ended with {status}")
        return self.text()

    def kill(self):
        """The whole group at once, as a machine that loses its power."""
        self._signal(signal.SIGKILL)

    def stop(self):
        """The whole group: asked, then killed; what it started may outlive it. The exit status."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        return self.process.wait()

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
