"""The official openai package against kwaai serve, unchanged."""

import glob
import os
import sys
import unittest

from kwaai_process import Server, smollm2

sys.path.extend(glob.glob(os.environ.get("KWAAI_PYTHON", "") + "/lib/python3*/site-packages"))
try:
    import openai
except ImportError:
    openai = None


@unittest.skipIf(openai is None, "skipped: no openai package (run tools/python_packages.sh)")
class OpenaiPackage(unittest.TestCase):
    MESSAGES = [
        {"role": "system", "content": "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
        {"role": "user", "content": [{"type": "text", "text": "Name the capital of France."}]},
    ]

    @classmethod
    def setUpClass(cls):
        cls.server = Server(smollm2())
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.__exit__()

    def test_chat(self):
        answer = self.client.chat.completions.create(
            model="SmolLM2", messages=self.MESSAGES, temperature=0, max_completion_tokens=40
        )
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_chat_as_a_stream(self):
        stream = self.client.chat.completions.create(
            model="SmolLM2",
            messages=self.MESSAGES,
            temperature=0,
            max_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        self.assertIn("Paris", text)
        self.assertEqual(chunks[-2].choices[0].finish_reason, "stop")
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_completions_and_seeds(self):
        texts = [
            self.client.completions.create(model="m", prompt="Once upon a time", max_tokens=12, seed=seed).choices[0].text
            for seed in (1, 1, 2)
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_models(self):
        models = self.client.models.list().data
        self.assertEqual(len(models), 1)
        self.assertEqual(self.client.models.retrieve(models[0].id), models[0])
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")

    def test_refusals_become_its_exceptions(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.chat.completions.create(model="m", messages=self.MESSAGES, temperature=-1)
        self.assertEqual(raised.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.completions.create(model="m", prompt="dog " * 9000)
        self.assertEqual(raised.exception.code, "context_length_exceeded")

    def test_a_stream_that_is_left_frees_its_place(self):
        with self.client.completions.create(model="m", prompt="A list:", max_tokens=4000, stream=True) as stream:
            next(iter(stream))
        self.assertTrue(self.server.wait_for(lambda health: health["running"] == 0, seconds=5))


if __name__ == "__main__":
    unittest.main()
