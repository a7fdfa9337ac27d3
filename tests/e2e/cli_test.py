"""The command line as people and scripts use it: pipes, terminals, mistakes, Ctrl-C."""

import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time
import unittest

from kwaai_process import KWAAI, TIMEOUT_S, fixture, run, smollm2, stories


class Running(unittest.TestCase):
    def setUp(self):
        self.model = stories()

    def story(self, *flags, **how):
        return run("run", self.model, "--raw", "--prompt", "Once upon a time", *flags, **how)

    def test_the_text_alone_is_on_stdout(self):
        result = self.story("--temperature", "0", "--max-tokens", "200")
        self.assertEqual(result.returncode, 0, result.stderr)
        known = json.loads(pathlib.Path(fixture("models/stories260K.greedy.json")).read_text())
        greedy = next(entry["stdout"] for entry in known if entry["prompt"] == "")
        text = "Once upon a time" + result.stdout.decode()
        self.assertEqual(text, greedy[: len(text)])
        self.assertGreater(len(text), 400)
        self.assertIn(b"200 written", result.stderr)
        self.assertNotIn(b"\033", result.stderr)

    def test_the_seed_that_is_shown_replays_the_text(self):
        first = self.story("--max-tokens", "50")
        seed = first.stderr.decode().rsplit("--seed ", 1)[1].split()[0]
        again = self.story("--max-tokens", "50", "--seed", seed, "--threads", "1")
        self.assertEqual(again.stdout, first.stdout)
        self.assertNotEqual(self.story("--max-tokens", "50", "--seed", "1").stdout, first.stdout)

    def test_a_prompt_may_come_from_stdin(self):
        flags = ["--raw", "--temperature", "0", "--max-tokens", "20"]
        piped = run("run", self.model, *flags, stdin="Once upon a time")
        self.assertEqual(piped.stdout, self.story(*flags[1:]).stdout)
        empty = run("run", self.model, *flags)
        self.assertEqual(empty.returncode, 2)
        self.assertIn(b"--prompt", empty.stderr)

    def test_json_is_one_object(self):
        result = self.story("--json", "--max-tokens", "7", "--seed", "9")
        answer = json.loads(result.stdout)
        self.assertEqual(answer["text"].encode(), self.story("--max-tokens", "7", "--seed", "9").stdout)
        self.assertEqual((answer["seed"], answer["usage"]["completion_tokens"]), (9, 7))
        self.assertEqual(answer["finish_reason"], "length")

    def test_a_closed_pipe_ends_quietly(self):
        process = subprocess.Popen(
            [KWAAI, "run", self.model, "--raw", "--prompt", "Once", "--max-tokens", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertEqual(process.wait(TIMEOUT_S), 0)

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [KWAAI, "run", self.model, "--raw", "--prompt", "Once"], stdout=full, stderr=subprocess.PIPE, check=False
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"No space left", result.stderr)

    def test_a_model_without_chat_template_says_raw(self):
        result = run("run", self.model, "--prompt", "Hi")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"--raw", result.stderr)

    def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(self):
        result = run("run", self.model, "--raw", "--prompt", "dog " * 3000)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, rb"[0-9]+ tokens.*2048")

    def test_any_bytes_are_a_prompt_and_the_text_is_utf_8(self):
        result = run("run", self.model, "--raw", "--max-tokens", "50", stdin=b"\xff\xfe \xc3 \xe2\x82")
        self.assertEqual(result.returncode, 0, result.stderr)
        result.stdout.decode()


class Interrupting(unittest.TestCase):
    def test_ctrl_c_stops_the_answer_and_ends_with_130(self):
        process = subprocess.Popen(
            [KWAAI, "run", smollm2(), "--raw", "--prompt", "A very long list of words:", "--max-tokens", "4000",
             "--temperature", "1.5", "--seed", "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.assertTrue(process.stdout.read(1))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"(cancelled)", stderr)


class Inspecting(unittest.TestCase):
    def setUp(self):
        self.model = stories()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def refused(self, path):
        """Every verb that opens a model refuses `path` in one sentence, which is returned."""
        for verb in (["run", path, "--prompt", "x"], ["inspect", path], ["bench", path], ["tokenize", path, "x"]):
            result = run(*map(str, verb))
            self.assertEqual(result.returncode, 1, (verb, result.stderr))
            self.assertEqual(result.stdout, b"", verb)
            self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)
            self.assertTrue(result.stderr.startswith(b"kwaai: "))
        return result.stderr.decode()

    def test_people_see_metadata_tensors_and_problems(self):
        text = run("inspect", self.model).stdout.decode()
        for part in ("llama.block_count = 5", "blk.0.attn_q.weight", "[64, 64]", "F32", "no problems"):
            self.assertIn(part, text)

    def test_scripts_get_json(self):
        result = run("inspect", self.model, "--json")
        self.assertEqual(result.returncode, 0)
        found = json.loads(result.stdout)
        self.assertEqual((len(found["tensors"]), found["problems"]), (48, []))
        self.assertEqual(found["metadata"]["tokenizer.ggml.tokens"]["length"], 512)
        complete = json.loads(run("inspect", self.model, "--json", "--all").stdout)
        self.assertEqual(len(complete["metadata"]["tokenizer.ggml.tokens"]), 512)

    def test_a_truncated_file(self):
        whole = pathlib.Path(self.model).read_bytes()
        for size in (len(whole) // 2, 1000, 10):
            (self.folder / "cut.gguf").write_bytes(whole[:size])
            self.refused(self.folder / "cut.gguf")

    def test_a_file_that_is_no_model(self):
        (self.folder / "text.gguf").write_text("Once upon a time")
        self.refused(self.folder / "text.gguf")
        (self.folder / "empty.gguf").write_bytes(b"")
        self.refused(self.folder / "empty.gguf")
        (self.folder / "directory").mkdir()
        self.refused(self.folder / "directory")

    def test_a_file_that_is_not_there(self):
        self.assertIn("no such file", self.refused(self.folder / "absent.gguf"))

    def test_an_empty_cache_says_how_to_fill_it(self):
        result = run("run", "--prompt", "x", environment={"XDG_CACHE_HOME": str(self.folder)})
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"make model", result.stderr)

    def test_an_unreadable_file_as_json_still_lists_its_problem(self):
        (self.folder / "text.gguf").write_text("Once upon a time")
        result = run("inspect", str(self.folder / "text.gguf"), "--json")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(json.loads(result.stdout)["problems"]), 1)


class Measuring(unittest.TestCase):
    def test_bench_as_json(self):
        result = run("bench", stories(), "-p", "16", "-n", "8", "-r", "2", "--threads", "1", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = json.loads(result.stdout)
        self.assertEqual([test["test"] for test in found["tests"]], ["pp16", "tg8"])
        for test in found["tests"]:
            self.assertEqual(len(test["samples"]), 2)
            self.assertGreater(test["tokens_per_second"], 0)
        self.assertEqual(found["threads"], 1)

    def test_bench_as_a_table(self):
        result = run("bench", stories(), "-p", "16", "-n", "0", "-r", "1")
        lines = result.stdout.decode().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.assertIn("pp16", lines[2])

    def test_tests_beyond_the_context_are_refused(self):
        result = run("bench", stories(), "-p", "3000")
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"2048", result.stderr)


class Tokenizing(unittest.TestCase):
    def test_ids_decode_to_the_text(self):
        text = "Once upon a time,\n  there was a café. \U0001f600"
        ids = run("tokenize", stories(), "--ids", "--no-bos", stdin=text)
        self.assertEqual(ids.returncode, 0, ids.stderr)
        back = run("tokenize", stories(), "--decode", stdin=ids.stdout)
        self.assertEqual(back.stdout.decode(), text)

    def test_json_and_mistakes(self):
        found = json.loads(run("tokenize", stories(), "Once", "--json").stdout)
        self.assertEqual(found["count"], len(found["tokens"]))
        wrong = run("tokenize", stories(), "1 x", "--decode")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn(b"'x'", wrong.stderr)


class Person:
    """A chat on a pseudo-terminal: keys go to stdin, answers come on stdout, the rest on stderr."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        path = os.ttyname(slave)

        def take_terminal():
            os.close(os.open(path, os.O_RDWR))  # the first one a session opens controls it

        self.process = subprocess.Popen(
            [KWAAI, "run", *arguments],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
            preexec_fn=take_terminal,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )
        os.close(slave)
        self.screen = ""

    def type(self, keys):
        os.write(self.master, keys.encode())

    def see(self, text):
        """Waits until `text` has appeared on the terminal since the last call."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.screen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"{text!r} never appeared: {self.screen!r}")
            try:
                self.screen += os.read(self.master, 4096).decode(errors="replace")
            except OSError as gone:  # the other side has ended
                raise AssertionError(f"{text!r} never appeared: {self.screen!r}") from gone
        self.screen = self.screen.split(text, 1)[1]

    def end(self):
        """The exit status and everything on stdout."""
        try:
            answers, _ = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        os.close(self.master)
        return self.process.returncode, answers.decode()


class Chatting(unittest.TestCase):
    def setUp(self):
        self.model = smollm2()

    def test_a_chat_with_history_until_ctrl_d(self):
        person = Person(self.model, "--temperature", "0", "--max-tokens", "40")
        person.see("/help lists commands")
        person.see("> ")
        person.type("/help\r")
        person.see("/reset")
        person.see("> ")
        person.type("Name the capital of France.\r")
        person.see("\n> ")
        person.type("/stats\r")
        person.see("tokens read")
        person.see("> ")
        person.type("/nonsense\r")
        person.see("no command /nonsense")
        person.see("> ")
        person.type("\x04")
        status, answers = person.end()
        self.assertEqual(status, 0)
        self.assertIn("Paris", answers)
        self.assertNotIn("\033", answers)

    def test_ctrl_d_during_an_answer_ends_the_chat_after_it(self):
        person = Person(self.model, "--temperature", "0", "--max-tokens", "200")
        person.see("> ")
        person.type("Count from one to fifty.\r")
        first = person.process.stdout.read(1)
        person.type("\x04")
        status, answers = person.end()
        self.assertEqual(status, 0)
        self.assertTrue((first.decode() + answers).strip())

    def test_ctrl_c_stops_the_answer_then_the_program(self):
        person = Person(self.model, "--temperature", "1.5", "--seed", "3", "--max-tokens", "4000")
        person.see("> ")
        person.type("Write a very long story about words.\r")
        self.assertTrue(person.process.stdout.read(1))
        person.type("\x03")
        person.see("(stopped)")
        person.see("> ")
        person.type("\x03")
        status, _ = person.end()
        self.assertEqual(status, 130)


if __name__ == "__main__":
    unittest.main()
