#!/usr/bin/env python3
"""Writes src/inference/unicode_runs.cpp, the table behind unicode_class().

Python's unicodedata knows the Unicode version that Python was built with; the unicodedata2 package
(pip install unicodedata2) brings newer ones and is preferred where it is installed. The reference
tokenizers of Hugging Face follow Unicode 16.

Usage: tools/unicode/make_tables.py > src/inference/unicode_runs.cpp
"""

import os

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

# The bits of UnicodeClass in src/inference/unicode.hpp.
BITS = {"L": 1, "N": 2, "P": 4, "S": 8, "M": 16}
WHITE_SPACE_BIT = 32

# The White_Space property (PropList.txt); it has not changed since Unicode 6.3.
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)}
WHITE_SPACE |= {0x2028, 0x2029, 0x202F, 0x205F, 0x3000}

ENTRIES_A_LINE = 8


def class_of(code):
    bits = BITS.get(unicodedata.category(chr(code))[0], 0)
    return bits | (WHITE_SPACE_BIT if code in WHITE_SPACE else 0)


def runs():
    """(first code point, class) of each run of equal classes."""
    previous = None
    for code in range(0x110000):
        current = class_of(code)
        if current != previous:
            yield code, current
        previous = current


def main():
    entries = [f"0x{first << 8 | bits:08x}" for first, bits in runs()]
    script = "tools/unicode/" + os.path.basename(__file__)
    print(f"// Made by {script} from Unicode {unicodedata.unidata_version}; do not edit.")
    print('#include "inference/unicode.hpp"\n')
    print("namespace kwaai::inference {")
    print("namespace {\n")
    print("// Each run of code points with equal classes: first code point << 8 | class bits.")
    print(f"constexpr std::uint32_t kRuns[{len(entries)}] = {{")
    for start in range(0, len(entries), ENTRIES_A_LINE):
        print("    " + ", ".join(entries[start : start + ENTRIES_A_LINE]) + ",")
    print("};\n")
    print("}  // namespace\n")
    print("std::span<const std::uint32_t> unicode_runs() {")
    print("    return kRuns;")
    print("}\n")
    print("}  // namespace kwaai::inference")


if __name__ == "__main__":
    main()
