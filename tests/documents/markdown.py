"""Reads the repository's pages: blocks of code with what a comment says of them, headings, links."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
LANGUAGES = ("cpp", "sh", "text", "json", "yaml")
DIRECTIVE = re.compile(r"<!-- test: (.*) -->")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


class PageError(Exception):
    """What is wrong with a page, with its line."""


@dataclasses.dataclass
class Block:
    page: str
    line: int  # of its first line of code
    language: str
    directive: str  # "" without a comment
    text: str

    @property
    def where(self):
        return f"{self.page}:{self.line}"


class Page:
    """One file; `path` is relative to the root."""

    def __init__(self, path, text):
        self.path = path
        self.blocks, self.anchors, self.links = [], [], []  # links: (line, target)
        self.problems = []
        self.read(text.splitlines())

    def read(self, lines):
        at, directive, blank_before = 0, None, True
        while at < len(lines):
            line = lines[at]
            fence = re.fullmatch(r"(\s*)(```+)(.*)", line)
            if fence:
                at = self.read_block(lines, at, fence, directive or "")
                directive, blank_before = None, True
                continue
            if directive is not None:
                self.problem(at, "a test comment belongs on the line before a block of code")
                directive = None
            comment = DIRECTIVE.fullmatch(line.strip())
            if comment:
                directive = comment.group(1)
            elif "<!-- test" in line:
                self.problem(at + 1, "want <!-- test: words -->")
            elif blank_before and line.startswith("    ") and line.strip():
                self.problem(at + 1, "an indented block of code; want a fence with its language")
            self.read_text(at + 1, line)
            blank_before = not line.strip()
            at += 1

    def read_block(self, lines, begin, fence, directive):
        indent, ticks, language = fence.groups()
        end = begin + 1
        while end < len(lines) and lines[end].strip() != ticks:
            end += 1
        if end == len(lines):
            raise PageError(f"{self.path}:{begin + 1}: a block of code without an end")
        if language not in LANGUAGES:
            self.problem(
                begin + 1, f"got a block of '{language}'; want one of {', '.join(LANGUAGES)}"
            )
        code = [line.removeprefix(indent) for line in lines[begin + 1 : end]]
        self.blocks.append(Block(self.path, begin + 2, language, directive, "\n".join(code) + "\n"))
        return end + 1

    def read_text(self, number, line):
        heading = re.fullmatch(r"#{1,6} (.*?)\s*", line)
        if heading:
            anchor = slug(heading.group(1))
            same = sum(
                known == anchor or re.fullmatch(re.escape(anchor) + r"-\d+", known) is not None
                for known in self.anchors
            )
            self.anchors.append(f"{anchor}-{same}" if same else anchor)
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            self.links.append((number, target))

    def problem(self, line, what):
        self.problems.append(f"{self.path}:{line}: {what}")


def slug(heading):
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def is_page(path, root):
    parts = path.relative_to(root).parts
    return parts[0] != "build" and not any(part.startswith(".") for part in parts)


def read_pages(root=ROOT):
    found = sorted(path for path in root.rglob("*.md") if is_page(path, root))
    return [Page(path.relative_to(root).as_posix(), path.read_text()) for path in found]
