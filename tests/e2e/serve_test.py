"""kwaai serve over loopback: answers, streams, refusals, many clients, clients that leave, Ctrl-C."""

import json
import subprocess
import unittest

from kwaai_process import KWAAI, TIMEOUT_S, Server, at_once, run, smollm2, stories


class Completions(unittest.TestCase):
    """With the small model, one server for all."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(stories())

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def refusal(self, path, body, status=400):
        answer = self.server.post(path, body)
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        error = answer.json()["error"]
        self.assertEqual(set(error), {"message", "type", "code", "param"})
        self.assertTrue(error["message"])
        return error

    def test_an_answer_has_text_usage_and_finish_reason(self):
        answer = self.server.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 5, "temperature": 0})
        self.assertEqual(answer.status, 200)
        body = answer.json()
        self.assertEqual(body["object"], "text_completion")
        self.assertEqual(body["model"], "stories260K")
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        self.assertEqual(body["choices"][0]["text"], ", there was a little")
        self.assertEqual(body["usage"]["completion_tokens"], 5)
        self.assertEqual(body["usage"]["total_tokens"], body["usage"]["prompt_tokens"] + 5)

    def test_a_stream_says_the_same_as_a_whole_answer(self):
        request = {"prompt": "Once upon a time", "max_tokens": 100, "seed": 5}
        self.assertEqual(self.server.completion(**request, stream=True), self.server.completion(**request))

    def test_a_stream_ends_with_usage_when_asked_and_done(self):
        answer = self.server.post(
            "/v1/completions",
            {"prompt": "Once", "max_tokens": 4, "stream": True, "stream_options": {"include_usage": True}},
        )
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream; charset=utf-8")
        events = answer.events()
        self.assertEqual(events[-1], "[DONE]")
        usage = json.loads(events[-2])
        self.assertEqual(usage["choices"], [])
        self.assertEqual(usage["usage"]["completion_tokens"], 4)
        self.assertEqual(json.loads(events[-3])["choices"][0]["finish_reason"], "length")

    def test_a_seed_replays_and_another_differs(self):
        request = {"prompt": "Once upon a time", "max_tokens": 60, "temperature": 1.0}
        first = self.server.completion(**request, seed=1)
        self.assertEqual(self.server.completion(**request, seed=1), first)
        self.assertNotEqual(self.server.completion(**request, seed=2), first)

    def test_a_stop_string_ends_the_text_before_it(self):
        request = {"prompt": "Once upon a time", "max_tokens": 100, "temperature": 0}
        whole = self.server.completion(**request)
        self.assertIn("Lily", whole)
        answer = self.server.post("/v1/completions", {**request, "stop": ["nowhere to be found", "Lily"]}).json()
        self.assertEqual(answer["choices"][0]["text"], whole[: whole.index("Lily")])
        self.assertEqual(answer["choices"][0]["finish_reason"], "stop")

    def test_sixteen_clients_get_what_each_gets_alone(self):
        requests = [
            {"prompt": p, "max_tokens": 120, "seed": seed, "temperature": 0.9}
            for seed, p in enumerate(["Once upon a time", "The dog", "Tim and Sam", "One day, a big red ball"] * 4)
        ]
        alone = [self.server.completion(**request) for request in requests]
        self.assertGreater(len(set(alone)), 12)
        together = at_once(
            [lambda r=r, i=i: self.server.completion(**r, stream=i % 2 == 0) for i, r in enumerate(requests)]
        )
        self.assertEqual(together, alone)

    def test_token_ids_are_a_prompt(self):
        ids = json.loads(run("tokenize", stories(), "Once upon a time", "--json").stdout)["tokens"]
        request = {"max_tokens": 20, "temperature": 0}
        self.assertEqual(
            self.server.completion(prompt=[token["id"] for token in ids], **request),
            self.server.completion(prompt="Once upon a time", **request),
        )
        self.assertEqual(self.refusal("/v1/completions", {"prompt": [512]})["param"], "prompt")

    def test_a_body_that_is_no_request_is_refused(self):
        for body in ["", "{", "[]", '{"prompt":"\\ud800"}', b'{"prompt":"\xff\xfe"}', "[" * 100_000]:
            self.refusal("/v1/completions", body)
        self.assertEqual(self.refusal("/v1/completions", {"prompt": "x", "temperature": "hot"})["param"], "temperature")
        self.assertEqual(self.refusal("/v1/completions", {"prompt": "x", "n": 3})["param"], "n")

    def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(self):
        error = self.refusal("/v1/completions", {"prompt": "dog " * 3000})
        self.assertEqual(error["code"], "context_length_exceeded")
        self.assertIn("2048", error["message"])

    def test_a_model_without_chat_template_says_so(self):
        error = self.refusal("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]})
        self.assertEqual(error["code"], "no_chat_template")

    def test_a_body_that_is_too_large_is_refused_unread(self):
        # The server may close before all is sent, as HTTP allows: then there is no answer to read.
        try:
            answer = self.server.post("/v1/completions", b" " * (9 << 20))
        except (BrokenPipeError, ConnectionResetError):
            return
        self.assertEqual(answer.status, 413)

    def test_unknown_routes_and_methods(self):
        missing = self.server.ask("GET", "/v2/models")
        self.assertEqual((missing.status, missing.json()["error"]["code"]), (404, "unknown_url"))
        wrong = self.server.ask("GET", "/v1/completions")
        self.assertEqual((wrong.status, wrong.headers["Allow"]), (405, "POST, OPTIONS"))
        preflight = self.server.ask("OPTIONS", "/v1/completions", headers={"Origin": "http://example.org"})
        self.assertEqual((preflight.status, preflight.headers["Access-Control-Allow-Origin"]), (204, "*"))

    def test_models_are_listed_and_found(self):
        models = self.server.ask("GET", "/v1/models").json()["data"]
        self.assertEqual([model["id"] for model in models], ["stories260K"])
        self.assertEqual(self.server.ask("GET", "/v1/models/stories260K").json(), models[0])
        self.assertEqual(self.server.ask("GET", "/v1/models/other").status, 404)

    def test_a_connection_serves_many_requests(self):
        connection = self.server.connect()
        for _ in range(3):
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "Once", "max_tokens": 1}))
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
        connection.close()

    def test_a_port_in_use_is_one_sentence(self):
        result = run("serve", stories(), "--http", f"127.0.0.1:{self.server.port}")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, b"")
        self.assertIn(b"in use", result.stderr)
        self.assertEqual(result.stderr.count(b"\n"), 1)


class Chats(unittest.TestCase):
    """With the real model: long answers that clients leave, chats, and the end of the server."""

    @classmethod
    def setUpClass(cls):
        cls.model = smollm2()

    LONG = {"prompt": "A very long list of words:", "max_tokens": 4000, "temperature": 1.5, "seed": 3}

    def test_a_chat_knows_the_capital_of_france(self):
        with Server(self.model) as server:
            chat = {
                "messages": [{"role": "user", "content": "Name the capital of France."}],
                "temperature": 0,
                "max_tokens": 40,
            }
            answer = server.post("/v1/chat/completions", chat).json()
            self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")
            text = answer["choices"][0]["message"]["content"]
            self.assertIn("Paris", text)
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
            events = server.post("/v1/chat/completions", {**chat, "stream": True}).events()
            deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
            self.assertEqual(deltas[0], {"role": "assistant", "content": ""})
            self.assertEqual("".join(delta.get("content", "") for delta in deltas), text)

    def test_sixteen_chats_at_once_get_what_each_gets_alone(self):
        with Server(self.model) as server:
            def ask(i):
                chat = {
                    "messages": [{"role": "user", "content": f"Tell me about the number {i}."}],
                    "max_tokens": 12,
                    "seed": i,
                }
                answer = server.post("/v1/chat/completions", chat)
                self.assertEqual(answer.status, 200, answer.body)
                return answer.json()["choices"][0]["message"]["content"]

            alone = [ask(i) for i in range(16)]
            self.assertEqual(at_once([lambda i=i: ask(i) for i in range(16)]), alone)

    def test_a_client_that_leaves_frees_its_place(self):
        with Server(self.model) as server:
            stream = server.start_stream(**self.LONG)
            self.assertEqual(stream.getresponse().status, 200)
            self.assertTrue(server.wait_for(lambda health: health["running"] == 1, seconds=5))
            stream.close()
            self.assertTrue(server.wait_for(lambda health: health["running"] == 0, seconds=5))
            whole = server.connect()
            whole.request("POST", "/v1/completions", json.dumps(self.LONG))
            self.assertTrue(server.wait_for(lambda health: health["running"] == 1, seconds=5))
            whole.close()
            self.assertTrue(server.wait_for(lambda health: health["running"] == 0, seconds=5))

    def test_beyond_its_places_the_server_says_when_to_come_back(self):
        with Server(self.model) as server:
            streams = [server.start_stream(**self.LONG) for _ in range(64)]
            taken = server.wait_for(lambda health: health["running"] + health["waiting"] == 64, seconds=30)
            self.assertTrue(taken, server.health())
            refused = server.post("/v1/completions", {"prompt": "x"})
            self.assertEqual(refused.status, 503)
            self.assertTrue(refused.headers["Retry-After"])
            for stream in streams:
                stream.close()
            free = server.wait_for(lambda health: health["running"] + health["waiting"] == 0, seconds=30)
            self.assertTrue(free, server.health())
            self.assertEqual(server.post("/v1/completions", {"prompt": "x", "max_tokens": 1}).status, 200)

    def test_ctrl_c_stops_an_idle_server_at_once(self):
        with Server(self.model) as server:
            self.assertEqual(server.stop(), 0)
            self.assertIn(b"Stopped", server.process.stderr.read())

    def test_the_second_ctrl_c_ends_answers_under_way(self):
        with Server(self.model) as server:
            stream = server.start_stream(**self.LONG)
            self.assertEqual(stream.getresponse().status, 200)
            self.assertEqual(server.stop(signals=2), 0)
            stream.close()


class Starting(unittest.TestCase):
    def test_a_model_that_is_none_ends_the_server_with_a_sentence(self):
        result = run("serve", __file__, "--http", "127.0.0.1:0")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)

    def test_ipv6_and_a_warning_where_others_can_reach_it(self):
        for address, is_warned in [("[::1]:0", False), ("0.0.0.0:0", True)]:
            process = subprocess.Popen(
                [KWAAI, "serve", stories(), "--http", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            url = process.stdout.readline().decode()
            self.assertTrue(url.startswith("http://" + address[:-1]), url)
            process.terminate()
            _, stderr = process.communicate(timeout=TIMEOUT_S)
            self.assertEqual(b"Warning" in stderr, is_warned, stderr)
            self.assertEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
