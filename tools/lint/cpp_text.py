"""C++ source as the lints see it: comments and literals blanked, so that words in them match nothing."""
import pathlib
import subprocess

SOURCE_SUFFIXES = (".cpp", ".hpp", ".c", ".h")


def repository_files(root: pathlib.Path) -> list[pathlib.Path]:
    """Files of the repository that are tracked, or new and not ignored; of an unpacked archive, all outside build/."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True)
    if listing.returncode == 0:
        paths = [root / name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not {"build", ".git"} & set(path.relative_to(root).parts)]
    return sorted(path for path in set(paths) if path.is_file())


def _end_of_literal(text: str, start: int, quote: str) -> int:
    """The index after a literal whose opening quote is at `start`; a literal ends with its line at the latest."""
    i = start + 1
    while i < len(text) and text[i] != "\n":
        if text[i] == "\\":
            i += 2
            continue
        if text[i] == quote:
            return i + 1
        i += 1
    return min(i, len(text))


def _is_digit_separator(text: str, i: int) -> bool:
    return i > 0 and text[i - 1].isalnum() and i + 1 < len(text) and text[i + 1].isalnum()


def _end_of_token(text: str, i: int) -> tuple[int, bool]:
    """The end of the comment or literal that starts at `i` and whether it is a literal; (i, False) if none does."""
    if text.startswith("//", i):
        end = text.find("\n", i)
        return (len(text) if end < 0 else end), False
    if text.startswith("/*", i):
        end = text.find("*/", i + 2)
        return (len(text) if end < 0 else end + 2), False
    if text[i] == '"':
        if i > 0 and text[i - 1] == "R":
            delimiter = text[i + 1 : text.find("(", i)]
            end = text.find(")" + delimiter + '"', i)
            return (len(text) if end < 0 else end + len(delimiter) + 2), True
        return _end_of_literal(text, i, '"'), True
    if text[i] == "'" and not _is_digit_separator(text, i):
        return _end_of_literal(text, i, "'"), True
    return i, False


def code_only(text: str) -> str:
    """`text` of the same length and lines with comments blanked and literals emptied to a pair of quotes."""
    out = []
    i = 0
    while i < len(text):
        end, is_literal = _end_of_token(text, i)
        if end == i:
            out.append(text[i])
            i += 1
            continue
        blank = "".join("\n" if c == "\n" else " " for c in text[i:end])
        if is_literal and len(blank) >= 2:
            blank = text[i] + blank[1:-1] + text[end - 1] if text[end - 1] in "\"'" else blank
        out.append(blank)
        i = end
    return "".join(out)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
