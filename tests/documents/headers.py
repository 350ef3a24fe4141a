"""Reads the declarations of the public headers: classes with their bases and members, functions,
comments.

It knows the subset of C++ in which they are written and refuses, with file and line, whatever else it
meets: nothing is passed over in silence.
"""

import dataclasses
import pathlib
import re

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<doc>///<?[^\n]*)
      | (?P<comment>//[^\n]*)
      | (?P<directive>\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>'(?:\\.|[^'\\\n])*')
      | (?P<word>[A-Za-z_]\w*)
      | (?P<number>\d(?:'?[\w.]|(?<=[eE])[-+])*)
      | (?P<mark>::|->|\.\.\.|<=>|==|!=|<=|>=|<<|&&|\|\||\+\+|--|[-+*/%^&|~!=<>()\[\]{};:,.?])""",
    re.VERBOSE,
)
CLOSING = {"(": ")", "[": "]", "{": "}"}
AFTER_PARAMETERS = {")", "const", "override", "noexcept", "final", "&", "&&"}


class HeaderError(Exception):
    """What cannot be read, with file and line."""


@dataclasses.dataclass
class Token:
    text: str
    kind: str
    line: int


@dataclasses.dataclass
class Declaration:
    """One declaration: its tokens without a body, and the comment before or behind it."""

    tokens: list
    doc: str
    line: int

    def text(self):
        return joined(self.tokens)


@dataclasses.dataclass
class Class:
    name: str  # with the namespaces below cohort, and the classes around it: nn::metrics::Mean
    kind: str  # class or struct
    bases: list
    doc: str
    where: str
    public: list = dataclasses.field(default_factory=list)  # declarations
    classes: list = dataclasses.field(default_factory=list)

    @property
    def converts_to(self):
        """What it says `operator Name() const` for: an aggregate of options is made into that."""
        starts = [[t.text for t in d.tokens[:3]] for d in self.public]
        return [s[1] for s in starts if len(s) == 3 and s[0] == "operator" and s[2] == "("]


@dataclasses.dataclass
class Header:
    path: str
    includes: list
    classes: list
    functions: list  # (namespace, Declaration)


def joined(tokens):
    """Source text of tokens, spaced as clang-format does it in the cases that occur."""
    text = ""
    last = ""
    for token in tokens:
        t = token.text
        tight = (
            not text
            or last in ("(", "[", "::", "~", "<", ".", "->", "!")
            or t in (")", "]", "::", ",", ";", "<", ">", ".", "->", "...", "&", "*", "(", "[")
        )
        if last == "{" or t == "}":
            tight = True
        if t == "{" and (last in ("}", ",") or last.isidentifier()) and last != "=":
            tight = last != ","
        if last == "-" and t[0].isdigit():
            tight = True
        if t == "(" and last in ("=", ","):
            tight = False
        text += t if tight else " " + t
        last = t
    return text


def tokenise(path, source):
    tokens, position, line = [], 0, 1
    while position < len(source):
        match = TOKEN.match(source, position)
        if not match:
            raise HeaderError(f"{path}:{line}: cannot read {source[position:position + 20]!r}")
        kind, text = match.lastgroup, match.group()
        if kind not in ("space", "comment"):
            tokens.append(Token(text, kind, line))
        line += text.count("\n")
        position = match.end()
    return tokens


class Reader:
    """Recursive descent over the tokens of one header."""

    def __init__(self, path, source):
        self.path = path
        self.tokens = tokenise(path, source)
        self.at = 0
        self.header = Header(path, [], [], [])

    def fail(self, what):
        line = self.tokens[min(self.at, len(self.tokens) - 1)].line
        raise HeaderError(f"{self.path}:{line}: {what}")

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def take(self, wanted=None):
        if self.at == len(self.tokens):
            self.fail("ends too early")
        token = self.tokens[self.at]
        if wanted is not None and token.text != wanted:
            self.fail(f"got {token.text!r}; want {wanted!r}")
        self.at += 1
        return token

    def skip_balanced(self):
        """Behind the bracket that closes the one here; the tokens between, brackets included."""
        begin, stack = self.at, []
        while True:
            token = self.take()
            if token.text in CLOSING:
                stack.append(CLOSING[token.text])
            elif token.text in CLOSING.values():
                if token.text != stack.pop():
                    self.fail("brackets do not match")
            if not stack:
                return self.tokens[begin : self.at]

    def docs(self):
        """The comment that stands here."""
        lines = []
        while (
            self.at < len(self.tokens)
            and self.tokens[self.at].kind == "doc"
            and not self.peek().startswith("///<")
        ):
            lines.append(self.take().text[3:].removeprefix(" ").rstrip())
        return "\n".join(lines)

    def docs_behind(self, line):
        """The `///<` comment that begins on `line`, with the lines below it that go on."""
        lines = []
        while self.at < len(self.tokens) and self.peek().startswith("///<"):
            if not lines and self.tokens[self.at].line != line:
                self.fail("a ///< comment belongs on the line of its declaration")
            lines.append(self.take().text[4:].strip())
        return "\n".join(lines)

    def read(self):
        while self.at < len(self.tokens):
            if self.tokens[self.at].kind == "directive":
                directive = self.take().text
                include = re.fullmatch(r'#include (?:"([^"]+)"|<[^>]+>)', directive)
                if include:
                    self.header.includes += [include.group(1)] if include.group(1) else []
                elif directive != "#pragma once":
                    self.fail(f"directive {directive!r}")
            else:
                self.member_of_namespace("")
        return self.header

    def member_of_namespace(self, inside):
        doc = self.docs()
        if (
            self.at == len(self.tokens)
            or self.peek() == "}"
            or self.tokens[self.at].kind == "directive"
        ):
            return  # the comment was about the file
        if self.peek() == "namespace":
            self.take()
            name = ""
            while self.peek() != "{":
                name += self.take().text
            self.take("{")
            while self.peek() != "}":
                self.member_of_namespace(f"{inside}{name}::")
            self.take("}")
            return
        found = self.declaration(inside, doc)
        if isinstance(found, Class):
            self.header.classes.append(found)
        elif found:
            self.header.functions.append((inside, found))

    def declaration(self, inside, doc):
        """A Class, a Declaration, or None for what names nothing new, as a using."""
        while self.peek() == "template":
            self.take()
            self.skip_angles()
            if self.peek() == "requires":
                self.take()
                self.skip_requirement()
        if self.peek() in ("class", "struct"):
            return self.class_declaration(inside, doc)
        if self.peek() in ("using", "friend"):
            while self.take().text != ";":
                pass
            self.docs_behind(self.tokens[self.at - 1].line)
            return None
        if self.peek() == "enum":
            while self.peek() != "{":
                self.take()
            self.skip_balanced()
            self.take(";")
            return None
        return self.plain_declaration(doc)

    def skip_angles(self):
        depth = 0
        while True:
            text = self.take().text
            depth += (text == "<") - (text == ">")
            if depth == 0:
                return

    def skip_requirement(self):
        """A requires clause: terms that `&&` and `||` join."""
        while True:
            if self.peek() == "(":
                self.skip_balanced()
            else:
                while self.peek() in ("std", "::", "!") or re.fullmatch(r"\w+_v", self.peek()):
                    self.take()
                if self.peek() == "<":
                    self.skip_angles()
            if self.peek() not in ("&&", "||"):
                return
            self.take()

    def class_declaration(self, inside, doc):
        where = f"{self.path}:{self.tokens[self.at].line}"
        kind = self.take().text
        name = self.take().text
        if self.peek() == ";":
            self.take()
            return None
        if self.peek() == "final":
            self.take()
        bases = []
        if self.peek() == ":":
            self.take()
            while self.peek() != "{":
                bases.append(self.take().text)
        bases = [
            b.strip()
            for b in "".join(t + " " if t in ("public", "private") else t for t in bases).split(",")
        ]
        bases = [re.sub(r"^public ", "", b) for b in bases if b]
        found = Class((inside + name).removeprefix("cohort::"), kind, bases, doc, where)
        self.take("{")
        is_public = kind == "struct"
        while self.peek() != "}":
            if self.peek() in ("public", "private", "protected") and self.peek(1) == ":":
                is_public = self.take().text == "public"
                self.take(":")
                continue
            self.member_of_class(found, is_public)
        self.take("}")
        self.take(";")
        return found

    def member_of_class(self, owner, is_public):
        doc = self.docs()
        if self.peek() in ("}", "public", "private", "protected"):
            return
        member = self.declaration(f"cohort::{owner.name}::", doc)
        if not is_public or member is None:
            return
        if isinstance(member, Class):
            owner.classes.append(member)
        else:
            owner.public.append(member)

    def plain_declaration(self, doc):
        """A variable or a function, to its `;` or to the end of its body."""
        begin = self.at
        line = self.tokens[begin].line
        tokens = []
        in_parameters = has_parameters = is_value = in_initialisers = False
        while True:
            if self.at == len(self.tokens) or self.peek() in CLOSING.values():
                self.fail("a declaration without an end")
            text = self.peek()
            if text == ";":
                self.take()
                break
            if self.tokens[self.at].kind in ("doc", "directive"):
                self.fail("a comment or directive within a declaration")
            if text == "{" and has_parameters and not is_value:
                body = self.peek(-1) in AFTER_PARAMETERS or self.peek(-1) == "}"
                inner = self.skip_balanced()
                if body:
                    if self.peek() == ";":
                        self.take()
                    break
                tokens += inner
                continue
            if text in CLOSING:
                in_parameters = text == "("
                has_parameters |= in_parameters
                tokens += self.skip_balanced()
                continue
            if text == "=" and not (tokens and tokens[-1].text == "operator"):
                is_value = not has_parameters  # else `= default`, `= 0`
            if text == ":" and has_parameters:
                in_initialisers = True
            tokens.append(self.take())
        end = self.tokens[self.at - 1].line
        behind = self.docs_behind(end)
        if not tokens:
            self.fail("an empty declaration")
        if in_initialisers:
            colon = next(i for i, t in enumerate(tokens) if t.text == ":")
            tokens = tokens[:colon]
        return Declaration(tokens, (doc + "\n" + behind).strip("\n"), line)


def read_header(path, source):
    return Reader(path, source).read()
