"""The real binary as tests see it: where the models are, and a server on a free port of 127.0.0.1."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

KWAAI = os.environ["KWAAI_BINARY"]
DATA = tempfile.TemporaryDirectory()  # in place of the user's own
os.environ["XDG_DATA_HOME"] = DATA.name
TIMEOUT_S = 120  # of anything: a test that waits this long has failed


def fixture(relative):
    """The path of a fixture; skips the test where it is missing."""
    path = pathlib.Path(os.environ.get("KWAAI_FIXTURES", "/nonexistent")) / relative
    if not path.exists():
        raise unittest.SkipTest(f"skipped: no fixture {relative} (set KWAAI_FIXTURES)")
    return str(path)


def stories():
    """A model of a megabyte, without chat template, 512 positions."""
    return fixture("models/stories260K.gguf")


def smollm2():
    """The model that tools/fetch_model.sh fetches; skips the test where it is missing."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.environ.get("KWAAI_MODEL") or f"{cache}/kwaai/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    if not os.path.exists(path):
        raise unittest.SkipTest("skipped: no SmolLM2 model (run tools/fetch_model.sh, or set KWAAI_MODEL)")
    return path


def run(*arguments, stdin="", environment=None, within=()):
    """Runs the program to its end, with `within` in front of the command; its stdin is not a terminal."""
    return subprocess.run(
        [*within, KWAAI, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **(environment or {})},
        check=False,
    )


class Answer:
    """A status, header fields and a body."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The payloads of a stream of server-sent events."""
        text = self.body.decode()
        assert text.endswith("\n\n"), text[-40:]
        events = text[:-2].split("\n\n")
        assert all(event.startswith("data: ") and "\n" not in event for event in events), events
        return [event.removeprefix("data: ") for event in events]


class Server:
    """`kwaai serve` on a port that the system chooses, with the addresses of its blocks where it has any. A context
    manager."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [KWAAI, "serve", *arguments, "--http", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addresses = []
        self.url = self.process.stdout.readline().decode().strip()
        while self.url.startswith("/ip"):
            self.addresses.append(self.url)
            self.url = self.process.stdout.readline().decode().strip()
        if not self.url:
            self.process.wait(TIMEOUT_S)
            raise AssertionError(self.process.stderr.read().decode())
        self.host, _, port = self.url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signals=2)
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, signals=1):
        """Ctrl-C, once or twice; the exit status."""
        self.process.send_signal(signal.SIGINT)
        if signals == 2:
            # The second one must come after the first was taken, or the two are one.
            self.wait_until_refusing()
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)

    def wait_until_refusing(self):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = self.connect(timeout=1)
            try:
                connection.connect()
            except OSError:
                return
            finally:
                connection.close()

    def connect(self, timeout=TIMEOUT_S):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None):
        """One request on a connection of its own; a dict as body is sent as JSON."""
        connection = self.connect()
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = Answer(response, response.read())
        connection.close()
        return answer

    def post(self, path, body):
        return self.ask("POST", path, body)

    def completion(self, **fields):
        """The text of a completion."""
        answer = self.post("/v1/completions", fields)
        assert answer.status == 200, answer.body
        if not fields.get("stream"):
            return answer.json()["choices"][0]["text"]
        events = answer.events()
        assert events[-1] == "[DONE]"
        return "".join(c["text"] for e in events[:-1] for c in json.loads(e)["choices"])

    def start_stream(self, **fields):
        """A connection on which a stream has begun; nothing of it has been read."""
        connection = self.connect()
        connection.request("POST", "/v1/completions", json.dumps({**fields, "stream": True}))
        return connection

    def health(self):
        return self.ask("GET", "/health").json()

    def wait_for(self, condition, seconds):
        """Whether `condition(health)` holds within that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition(self.health()):
                return True
        return False


def at_once(jobs):
    """Calls all functions at the same time; their results in order."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]
