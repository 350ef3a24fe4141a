#!/usr/bin/env python3
"""Makes sources of the pages' C++ blocks: `cpp_blocks.py FOLDER` writes them there and prints their
names for CMake, `page FILE` and `program NAME FILE RUNS`.

A page's blocks become one file, in which each is the body of a test case, in the order of the page. A
block with a `main` is a program of its own. A comment before a block changes that:

    <!-- test: setup=NAME -->    setups/NAME.inc stands before it: what the text around it takes as
                                 given; setups/NAME.after.inc, if there is one, behind it
    <!-- test: continues -->     it goes on where the block before it ended
    <!-- test: file -->          it stands at namespace scope: classes that later blocks use
    <!-- test: as=PATH -->       it is the whole file PATH; a source is compiled
    <!-- test: compile: why -->  it is compiled and not run, for instance because it wants GPUs

`#line` makes the compiler's errors and the debugger name the page.
"""

import dataclasses
import pathlib
import re
import sys

from markdown import ROOT, PageError, read_pages

SETUPS = pathlib.Path(__file__).with_name("setups")
BEGIN = """\
// Made of {page} by tests/documents/cpp_blocks.py.
#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "tests/documents/support.h"
{includes}
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wunused-function"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;
using namespace cohort;

namespace page_{name} {{
"""


@dataclasses.dataclass
class Words:
    """What the comment before a block says."""

    setup: str = ""
    path: str = ""
    continues: bool = False
    file: bool = False
    runs: bool = True


def words_of(block):
    words = Words()
    rest, _, reason = block.directive.partition("compile:")
    if reason.strip():
        words.runs = False
    elif "compile" in block.directive.split():
        raise PageError(f"{block.where}: test: compile; want compile: and why it is not run")
    for word in rest.split():
        key, _, value = word.partition("=")
        if key == "setup" and value:
            words.setup = value
        elif key == "as" and value:
            words.path = value
        elif word in ("continues", "file"):
            setattr(words, word, True)
        else:
            raise PageError(
                f"{block.where}: test: got {word}; want setup=, as=, continues, file or compile:"
            )
    return words


def setup_text(block, name):
    """What stands before a block, and behind it."""
    if not (SETUPS / f"{name}.inc").exists():
        known = ", ".join(sorted(p.stem for p in SETUPS.glob("*.inc") if "." not in p.stem))
        raise PageError(f"{block.where}: test: got setup={name}; want one of {known}")
    paths = [SETUPS / f"{name}.inc", SETUPS / f"{name}.after.inc"]
    return [
        f'#line 1 "{path.relative_to(ROOT)}"\n{path.read_text()}' if path.exists() else ""
        for path in paths
    ]


def numbered(block):
    return f'#line {block.line} "{block.page}"\n{block.text}'


def split_includes(block):
    """The block with empty lines for its includes, and those."""
    includes = [line for line in block.text.splitlines() if line.startswith("#include")]
    text = re.sub(r"^#include.*$", "", block.text, flags=re.MULTILINE)
    return dataclasses.replace(block, text=text), includes


class PageSource:
    """The file that a page's fragments become."""

    def __init__(self, page):
        self.name = re.sub(r"\W", "_", page.path.removesuffix(".md").removeprefix("docs/")).lower()
        self.page = page.path
        self.parts, self.includes, self.open, self.after = [], [], False, ""

    def close(self):
        if self.open:
            self.parts += [self.after, "}\n"]
        self.open, self.after = False, ""

    def add(self, block, words):
        block, includes = split_includes(block)
        self.includes += includes
        if words.continues:
            if not self.open:
                raise PageError(
                    f"{block.where}: test: continues, and no block before it does anything"
                )
            self.parts.append(numbered(block))
            return
        self.close()
        if words.file:
            self.parts.append(numbered(block))
            return
        case = self.name.title().replace("_", "")
        if words.runs:
            self.parts.append(f"TEST({case}Page, Line{block.line}) {{\n")
        else:
            self.parts.append(f"[[maybe_unused]] void line_{block.line}() {{\n")
        self.open = True
        if words.setup:
            before, self.after = setup_text(block, words.setup)
            self.parts.append(before)
        self.parts.append(numbered(block))

    def text(self):
        self.close()
        includes = "".join(line + "\n" for line in dict.fromkeys(self.includes))
        begin = BEGIN.format(page=self.page, name=self.name, includes=includes)
        return begin + "\n".join(self.parts) + "}  // namespace\n"


def has_main(block):
    return re.search(r"^int main\(", block.text, re.MULTILINE) is not None


def sources(pages):
    """{path below the folder: text} and the lines for CMake."""
    files, lines = {}, []
    for page in pages:
        source = PageSource(page)
        for block in page.blocks:
            if block.language != "cpp":
                if block.directive:
                    raise PageError(f"{block.where}: a test comment before a block that is not C++")
                continue
            words = words_of(block)
            if words.path:
                files[f"include/{words.path}"] = numbered(block)
                if words.path.endswith(".cc"):
                    lines.append(f"page include/{words.path}")
            elif has_main(block):
                name = f"{source.name}_{block.line}"
                files[f"{name}.cc"] = numbered(block)
                lines.append(f"program {name} {name}.cc {'yes' if words.runs else 'no'}")
            else:
                source.add(block, words)
        if source.parts:
            files[f"{source.name}.cc"] = source.text()
            lines.append(f"page {source.name}.cc")
    return files, lines


def main():
    folder = pathlib.Path(sys.argv[1])
    try:
        files, lines = sources(read_pages())
    except PageError as error:
        sys.exit(str(error))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if (
            not path.exists() or path.read_text() != text
        ):  # what has not changed is not compiled again
            path.write_text(text)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
