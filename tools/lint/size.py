#!/usr/bin/env python3
"""Fails on source files of more than 800 lines and functions of more than 100 (style.md: a function fits a screen)."""
import dataclasses
import pathlib
import re
import sys

from cpp_text import SOURCE_SUFFIXES, code_only, line_of, repository_files

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 100
CHECKED_SUFFIXES = (*SOURCE_SUFFIXES, ".py", ".sh", ".cmake", ".js", ".mjs", ".ts")


@dataclasses.dataclass
class Function:
    name: str
    line: int
    lines: int


def _without_parentheses(head: str) -> str:
    """`head` with everything inside parentheses removed: default arguments and conditions say nothing about its kind."""
    out, depth = [], 0
    for c in head:
        depth -= c == ")"
        if depth == 0:
            out.append(c)
        depth += c == "("
    return "".join(out)


def _kind(head: str) -> str:
    """What a brace after `head` opens at namespace or class scope: 'scope', 'function' or 'other'."""
    head = re.sub(r"\boperator\s*[^\s\w(]+", "operator_", head)
    head = re.sub(r"\[\[.*?\]\]|\balignas\s*\([^()]*\)|\b__attribute__\s*\(\(.*?\)\)", " ", head, flags=re.DOTALL)
    if re.search(r"\bnamespace\b|\bextern\s*\"", head):
        return "scope"
    outer = _without_parentheses(head)
    if re.search(r"\b(class|struct|union|enum)\b", re.sub(r"\btemplate\s*<[^{]*?>\s*(?=\w)", " ", outer)) and "(" not in outer:
        return "scope"
    if "=" in re.sub(r"[<>!=]=|=>", "", outer) and "requires" not in outer:
        return "other"
    return "function" if "(" in outer else "other"


def functions(text: str) -> list[Function]:
    """Functions with bodies in C++ `text`, by counting braces; lambdas count to the function they are in."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code_only(text), flags=re.MULTILINE)
    found: list[Function] = []
    scopes: list[tuple[str, int]] = []  # kind, where its head starts
    head_start = 0
    for match in re.finditer(r"[{};]", code):
        at, c = match.start(), match[0]
        is_inside = bool(scopes) and scopes[-1][0] != "scope"
        if c == ";":
            if not is_inside:
                head_start = at + 1
        elif c == "{":
            scopes.append(("inner" if is_inside else _kind(code[head_start:at]), head_start))
            if scopes[-1][0] == "scope":
                head_start = at + 1
        elif scopes:
            kind, start = scopes.pop()
            if kind == "inner":
                continue
            following = code[at + 1 :].lstrip()[:1]
            if kind == "function" and following in (",", "{"):
                continue  # `Type(..) : member_{value}, other_{value} {`: the body is still to come
            if kind == "function":
                begin = start + len(code[start:at]) - len(code[start:at].lstrip())
                first, last = line_of(code, begin), line_of(code, at)
                name = re.search(r"[\w:~]+(?=\s*\()", code[begin:at])
                found.append(Function(name[0] if name else "?", first, last - first + 1))
            head_start = at + 1
    return found


def check(root: pathlib.Path) -> list[str]:
    failures = []
    for path in repository_files(root):
        if path.suffix not in CHECKED_SUFFIXES:
            continue
        text = path.read_text()
        where = path.relative_to(root)
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            failures.append(f"{where}: error: {lines} lines; a file has one subject and at most {FILE_LINES_MAX}")
        for function in functions(text) if path.suffix in SOURCE_SUFFIXES else []:
            if function.lines > FUNCTION_LINES_MAX:
                failures.append(
                    f"{where}:{function.line}: error: {function.name} has {function.lines} lines; at most {FUNCTION_LINES_MAX}"
                )
    return failures


if __name__ == "__main__":
    failed = check(pathlib.Path(__file__).resolve().parent.parent.parent)
    print("\n".join(failed) if failed else "size: files and functions are within their limits")
    sys.exit(bool(failed))
