#!/usr/bin/env python3
"""Checks what the pages say to type: files, presets, targets and options exist, shell blocks can be
parsed, and the environment variables of the pages are those that the code reads.

    commands.py [cohort-launch=PROGRAM] [fashion_mnist=PROGRAM]    whose --help lists their options
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys

from markdown import ROOT, PageError, read_pages

FOLDERS = (
    "benchmarks",
    "build",
    "checkpoint",
    "cluster",
    "cmake",
    "cohort",
    "core",
    "data",
    "distribute",
    "docs",
    "examples",
    "kernels",
    "launch",
    "nn",
    "tests",
    r"\.ci",
)
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./+*-]*")
OTHER_TARGETS = {"cohort-launch", "examples", "benchmarks", "reference", "concurrent_tests"}
# Hands its arguments on.
RUNS = {"launch/demo.sh": "fashion_mnist"}
VARIABLE = re.compile(r"\bCOHORT_[A-Z0-9_]*[A-Z0-9]\b")
# Where code reads an environment variable: its name alone in a string, or in a shell's expansion.
READS = re.compile(r"""["'](COHORT_[A-Z0-9_]+)["']|\$\{?(COHORT_[A-Z0-9_]+)""")
# Says where a program of the build folder is, to other programs of it.
NOT_FOR_USERS = re.compile(
    r"COHORT_(TEST_\w*|SOURCE_DIR|COLLECTIVES|COLLECTIVES_TCP|OVERLAP|PLANNING|START_UP|"
    r"TRAIN_STEPS|FASHION_MNIST)"
)


class Commands:
    def __init__(self, programs, root=ROOT):
        self.root = root
        self.programs = programs
        self.help = {}
        presets = json.loads((root / "CMakePresets.json").read_text())
        self.presets = {
            kind: {p["name"] for p in presets[f"{kind}Presets"]} - {"base"}
            for kind in ("configure", "test")
        }
        cmake = [p for p in root.rglob("*") if p.suffix == ".cmake" or p.name == "CMakeLists.txt"]
        self.cmake = "\n".join(
            p.read_text() for p in cmake if p.relative_to(root).parts[0] != "build"
        )
        named = re.findall(r"cohort_option(?:al_package)?\((\w+)", self.cmake)
        self.cmake += "".join(f"\nCOHORT_{name}" for name in named)
        self.found = []

    def problem(self, where, what):
        self.found.append(f"{where}: {what}")

    # --- files ----------------------------------------------------------------------------------
    def check_path(self, where, path):
        parts = path.rstrip("/").split("/")
        if parts[:2] == ["build", "gpu-bundle"]:  # the repository's own files, by make_bundle.sh
            parts = parts[2:] or ["tests"]
            path = "/".join(parts)
        if parts[0] == "build":
            if len(parts) > 1 and parts[1] not in self.presets["configure"]:
                self.problem(where, f"{path}: there is no preset {parts[1]}")
            elif len(parts) > 2 and not self.builds(parts[2:]):
                self.problem(where, f"{path}: nothing of that name is built")
        elif not any(self.root.glob(path.rstrip("/"))):
            self.problem(where, f"there is no {path}")

    def builds(self, parts):
        """Whether the build folder gets this program."""
        folder, name = parts[0], "/".join(parts[1:])
        if folder in ("examples", "benchmarks"):
            return name in ("", "*") or (self.root / folder / f"{name}.cc").exists()
        if folder == "tests":
            return name == "" or self.is_target(name)
        return parts == ["launch"] or parts == ["launch", "cohort-launch"] or parts == ["lib"]

    def is_target(self, name):
        test = re.fullmatch(r"test_(\w+)", name)
        if test:
            return any((self.root / "tests" / test.group(1)).rglob("*_test.cc"))
        return name in OTHER_TARGETS or any(
            (self.root / f / f"{name}.cc").exists() for f in ("examples", "benchmarks")
        )

    # --- commands -------------------------------------------------------------------------------
    def check_block(self, block):
        parsed = subprocess.run(["bash", "-n"], input=block.text, text=True, stderr=subprocess.PIPE)
        if parsed.returncode != 0:
            self.problem(block.where, parsed.stderr.strip())
        text = re.sub(r"\\\n", " ", block.text)
        for line in text.splitlines():
            self.check_command(block.where, line)

    def check_command(self, where, line):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # quotes that go on in the next line
            words = line.split()
        for word in words:
            for path in PATH.findall(word) if not word.startswith("-D") else []:
                if word.startswith(path) or word.startswith("./" + path):
                    self.check_path(where, path)
        self.check_cmake(where, words)
        for at, word in enumerate(words):
            name = RUNS.get(word, word.split("/")[-1])
            if name in self.programs:
                self.check_options(where, name, words[at + 1 :])

    def check_cmake(self, where, words):
        if words and words[0] in ("cmake", "ctest"):
            kind = "configure" if words[0] == "cmake" else "test"
            for name in after(words, "--preset"):
                if name not in self.presets[kind]:
                    self.problem(
                        where,
                        f"--preset {name}: want one of {', '.join(sorted(self.presets[kind]))}",
                    )
            for label in after(words, "-L"):
                if not (self.root / "tests" / label).is_dir():
                    self.problem(where, f"ctest -L {label}: there is no tests/{label}")
            if "--target" in words:
                for name in words[words.index("--target") + 1 :]:
                    if name.startswith("-"):
                        break
                    if not self.is_target(name):
                        self.problem(where, f"--target {name}: there is no such target")
        for word in words:
            option = re.match(r"-D(COHORT_\w+)", word)
            if option and not re.search(rf"\b{option.group(1)}\b", self.cmake):
                self.problem(where, f"{word}: no CMake file has that option")

    def check_options(self, where, name, words):
        """Options of a program before the program that it starts."""
        if name not in self.help:
            command = [self.programs[name], "--help"]
            self.help[name] = subprocess.run(
                command, check=True, text=True, stdout=subprocess.PIPE
            ).stdout
        known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", self.help[name])) | {"--help"}
        for word in words:
            if word in ("--", "program") or "/" in word or word in "|&;>":
                return
            option = word.split("=")[0]
            if option.startswith("-") and option not in known:
                self.problem(where, f"{name} {option}: --help lists {', '.join(sorted(known))}")

    def check_inline(self, page, text):
        """Code within a line: files of the repository, and calls of its programs."""
        written = {
            word
            for block in page.blocks
            for word in re.findall(r"\bas=cohort/(\S+)", block.directive)
        }
        for number, line in enumerate(text.splitlines(), 1):
            for code in re.findall(r"`([^`]+)`", line):
                where = f"{page.path}:{number}"
                for path in [code] if "{" not in code else expanded(code):
                    if PATH.fullmatch(path) and path not in written and "cube" not in path:
                        self.check_path(where, path)
                if code.split(" ")[0].split("/")[-1] in {
                    *self.programs,
                    *(r.split("/")[-1] for r in RUNS),
                }:
                    self.check_command(where, code)

    # --- environment ----------------------------------------------------------------------------
    def check_environment(self, pages):
        read, mentioned = {}, {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root)
            if (
                path.is_dir()
                or name.parts[0] in ("build", "tests", "docs")
                or name.parts[0].startswith(".")
            ):
                continue
            if path.suffix in (".cc", ".h", ".cu", ".cuh", ".sh", ".py", ".sbatch"):
                for match in READS.finditer(path.read_text()):
                    read.setdefault(match.group(1) or match.group(2), name.as_posix())
        for page, text in pages:
            for number, line in enumerate(text.splitlines(), 1):
                for name in VARIABLE.findall(line):
                    mentioned.setdefault(name, f"{page.path}:{number}")
        for name, where in read.items():
            if name not in mentioned and not NOT_FOR_USERS.fullmatch(name):
                self.problem(where, f"reads {name}, which no page mentions")
        code = self.cmake + "\n".join(p.read_text() for p in (self.root / "core").rglob("*.h"))
        for name, where in mentioned.items():
            if name not in read and not re.search(rf"\b{name}\b", code):
                self.problem(where, f"{name}: nothing reads that")


def expanded(code):
    """`a/{b,c}.h` as its two names; nothing for braces that are no list."""
    match = re.fullmatch(r"([\w./*-]*)\{([\w,.*-]+)\}([\w./*-]*)", code)
    return (
        [match.group(1) + part + match.group(3) for part in match.group(2).split(",")]
        if match
        else []
    )


def after(words, option):
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word == option]


def problems(programs, root=ROOT):
    commands = Commands(programs, root)
    pages = [(page, (root / page.path).read_text()) for page in read_pages(root)]
    for page, text in pages:
        for block in page.blocks:
            if block.language == "sh":
                commands.check_block(block)
        commands.check_inline(page, text)
    commands.check_environment(pages)
    return commands.found


def main():
    programs = dict(argument.split("=", 1) for argument in sys.argv[1:])
    try:
        found = problems(programs)
    except PageError as error:
        found = [str(error)]
    print("\n".join(found) or "all of it exists")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
