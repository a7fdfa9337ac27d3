#!/usr/bin/env python3
"""Fails on calls, headers and words that banned.toml lists, and says why each is banned."""
import pathlib
import re
import sys
import tomllib

from cpp_text import SOURCE_SUFFIXES, code_only, line_of, repository_files

DEFAULT_SCOPE = ["src/**", "apps/**"]


def glob_to_regex(glob: str) -> re.Pattern:
    """`**` crosses folders, `*` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*)", glob)
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts) + r"\Z")


def applies(rule: dict, path: str) -> bool:
    if not rule.get("raw") and not path.endswith(SOURCE_SUFFIXES):
        return False
    if not any(glob_to_regex(glob).match(path) for glob in rule.get("in", DEFAULT_SCOPE)):
        return False
    return not any(glob_to_regex(glob).match(path) for glob in rule.get("except", []))


def check_text(path: str, text: str, rules: list[dict]) -> list[str]:
    failures = []
    code = code_only(text) if path.endswith(SOURCE_SUFFIXES) else text
    for rule in rules:
        if not applies(rule, path):
            continue
        searched = text if rule.get("raw") else code
        for match in re.finditer(rule["pattern"], searched, re.MULTILINE):
            failures.append(f"{path}:{line_of(searched, match.start())}: error: '{match[0].strip()}': {rule['why']}")
    return failures


def check(root: pathlib.Path, rules: list[dict]) -> list[str]:
    failures = []
    for path in repository_files(root):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a binary file, such as a fuzzing seed
        failures += check_text(path.relative_to(root).as_posix(), text, rules)
    return failures


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    found = check(here.parent.parent, tomllib.loads((here / "banned.toml").read_text())["rule"])
    print("\n".join(found) if found else "banned: nothing found")
    sys.exit(bool(found))
