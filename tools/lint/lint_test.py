#!/usr/bin/env python3
"""The lints find what they should and let the rest pass."""
import pathlib
import tomllib
import unittest

import banned
import cpp_text
import layers
import size

HERE = pathlib.Path(__file__).resolve().parent
LAYERS = tomllib.loads((HERE / "layers.toml").read_text())
RULES = tomllib.loads((HERE / "banned.toml").read_text())["rule"]


class CodeOnly(unittest.TestCase):
    def test_blanks_comments_and_literals_and_keeps_lines(self):
        text = 'a; // rand()\nf("// no", \'"\'); /* x\ny */ b = 1\'000;\n'
        code = cpp_text.code_only(text)
        self.assertEqual(len(code), len(text))
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertNotIn("rand", code)
        self.assertIn("b = 1'000;", code)

    def test_raw_strings_end_at_their_delimiter(self):
        code = cpp_text.code_only('auto s = R"x(a)" rand() )x"; g();')
        self.assertNotIn("rand", code)
        self.assertIn("g();", code)


class Layers(unittest.TestCase):
    def test_grants_what_the_table_lists(self):
        self.assertIsNone(layers.check_include("engine", False, '"', "tensor/dtype.hpp", LAYERS))
        self.assertIsNone(layers.check_include("base", True, '"', "testing/fixtures.hpp", LAYERS))
        self.assertIsNone(layers.check_include("http", False, "<", "boost/beast/http.hpp", LAYERS))
        self.assertIsNone(layers.check_include("base", False, "<", "vector", LAYERS))

    def test_refuses_what_it_does_not(self):
        self.assertIsNotNone(layers.check_include("tensor", False, '"', "inference/sampler.hpp", LAYERS))
        self.assertIsNotNone(layers.check_include("base", False, '"', "testing/fixtures.hpp", LAYERS))
        self.assertIsNotNone(layers.check_include("io", False, "<", "boost/beast/http.hpp", LAYERS))
        self.assertIsNotNone(layers.check_include("base", False, '"', "result.hpp", LAYERS))


class Banned(unittest.TestCase):
    def refused(self, text, path="src/api/a.cpp"):
        return banned.check_text(path, text, RULES)

    def test_finds_calls(self):
        for text in ("int x = atoi(s);", "std::regex r;", "t.detach();", "std::cout << 1;", "printf(s);", "rand();"):
            self.assertTrue(self.refused(text), text)

    def test_ignores_comments_strings_and_lookalikes(self):
        for text in ("// atoi(s)", 'f("std::regex");', "std::fprintf(stderr, s);", "operand();", "snprintf(b, 2, s);"):
            self.assertEqual(self.refused(text), [], text)

    def test_knows_the_portable_core(self):
        self.assertTrue(self.refused("throw 1;", "src/tensor/a.cpp"))
        self.assertTrue(self.refused("#include <thread>\n", "src/inference/a.cpp"))
        self.assertTrue(self.refused("#include <vector>\n", "src/kernels/a.cpp"))
        self.assertEqual(self.refused("throw 1;", "src/io/a.cpp"), [])
        self.assertEqual(self.refused("#include <thread>\n", "src/tensor/a_test.cpp"), [])

    def test_finds_machine_paths_in_any_text(self):
        self.assertTrue(self.refused("see /" + "work/main/x\n", "docs/a.md"))
        self.assertTrue(self.refused("cd /home/ada/x\n", "tools/a.sh"))
        self.assertEqual(self.refused("the framework/" + "work/ folder\n", "docs/a.md"), [])


class Size(unittest.TestCase):
    def lines(self, text):
        return {function.name: function.lines for function in size.functions(text)}

    def test_measures_functions_methods_and_test_cases(self):
        text = (
            "namespace a {\nstruct S {\n    int f() const { return 1; }\n};\n"
            "int g(int x = 3) {\n    if (x) {\n        return 1;\n    }\n    return 2;\n}\n"
            'TEST_CASE("x") {\n    CHECK(1);\n}\n}\n'
        )
        self.assertEqual(self.lines(text), {"f": 1, "g": 6, "TEST_CASE": 3})

    def test_constructors_with_braced_members_are_measured_to_the_end_of_the_body(self):
        self.assertEqual(self.lines("A::A(int x)\n    : x_{x}, y_(2), z_{3} {\n    f();\n}\n"), {"A::A": 4})

    def test_operators_templates_and_requires_are_functions(self):
        text = "template <class T>\nbool operator==(T a, T b) {\n    return a;\n}\nvoid h() requires (x == 1) {\n}\n"
        self.assertEqual(sorted(self.lines(text).values()), [2, 4])

    def test_tables_are_not_functions(self):
        self.assertEqual(self.lines("constexpr auto t = make(\n1, {\n2\n});\nint u[] = {\n1\n};\n"), {})


if __name__ == "__main__":
    unittest.main()
