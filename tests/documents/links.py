#!/usr/bin/env python3
"""Checks the pages: every relative link leads to a file and every anchor to a heading, every page of
docs is reached from README.md, and every block of code has a language."""

import pathlib
import re
import sys

from markdown import ROOT, PageError, read_pages


def problems(root):
    pages = {page.path: page for page in read_pages(root)}
    found = [problem for page in pages.values() for problem in page.problems]
    reached, waiting = {"README.md"}, ["README.md"]
    targets = {}
    for page in pages.values():
        targets[page.path] = []
        for line, link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (
                (root / page.path).parent.joinpath(file).resolve()
                if file
                else (root / page.path).resolve()
            )
            name = (
                target.relative_to(root).as_posix() if target.is_relative_to(root) else str(target)
            )
            if not target.exists():
                found.append(f"{page.path}:{line}: {link}: there is no {name}")
            elif anchor and name in pages and anchor not in pages[name].anchors:
                found.append(
                    f"{page.path}:{line}: {link}: {name} has no such heading; "
                    f"it has {', '.join(pages[name].anchors)}"
                )
            targets[page.path].append(name)
    while waiting:
        for name in targets.get(waiting.pop(), []):
            if name in pages and name not in reached:
                reached.add(name)
                waiting.append(name)
    found += [
        f"{path}: no way of links leads here from README.md"
        for path in pages
        if path.startswith("docs/") and path not in reached
    ]
    return found


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    try:
        found = problems(root)
    except PageError as error:
        found = [str(error)]
    print("\n".join(found) or "all links lead somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
