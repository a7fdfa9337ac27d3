#!/usr/bin/env python3
"""Fails when a room of src/ includes a room or a third-party header that layers.toml does not grant, or on a cycle."""
import graphlib
import pathlib
import re
import sys
import tomllib

from cpp_text import SOURCE_SUFFIXES, line_of, repository_files

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def check_include(room: str, is_test: bool, quote: str, header: str, layers: dict) -> str | None:
    """What is wrong with `header` included by `room`, or None."""
    if quote == '"':
        used = header.split("/")[0]
        if "/" not in header:
            return f'include "{room}/{header}": paths start at src/'
        grants = {room, *layers["rooms"].get(room, [])}
        if is_test:
            grants |= set(layers["tests"]["rooms"])
        return None if used in grants else f"room '{room}' may not include '{used}/'"
    prefixes = [prefix for prefix in layers["confined"] if header.startswith(prefix)]
    if not prefixes:
        return None
    owners = layers["confined"][max(prefixes, key=len)]
    return None if room in owners else f"only {' and '.join(owners)} may include <{header}>"


def check(root: pathlib.Path, layers: dict) -> list[str]:
    list(graphlib.TopologicalSorter(layers["rooms"]).static_order())  # raises CycleError
    failures = []
    for path in repository_files(root):
        parts = path.relative_to(root).parts
        if parts[0] != "src" or path.suffix not in SOURCE_SUFFIXES:
            continue
        room = parts[1]
        where = "/".join(parts)
        if room not in layers["rooms"]:
            failures.append(f"{where}: error: room '{room}' is not in tools/lint/layers.toml")
            continue
        text = path.read_text()
        is_test = path.stem.endswith(("_test", "_bench", "_fuzz"))
        for match in INCLUDE.finditer(text):
            problem = check_include(room, is_test, match[1], match[2], layers)
            if problem:
                failures.append(f"{where}:{line_of(text, match.start())}: error: {problem} (tools/lint/layers.toml)")
    return failures


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    found = check(here.parent.parent, tomllib.loads((here / "layers.toml").read_text()))
    print("\n".join(found) if found else "layers: every include is granted")
    sys.exit(bool(found))
