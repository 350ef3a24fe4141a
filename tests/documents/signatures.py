"""Reads tests/golden/*_signatures.txt and compares their arguments with ours."""

import ast
import dataclasses
import re


@dataclasses.dataclass
class Argument:
    name: str  # "*args" and "**kwargs" with their stars
    default: object  # NEEDED where there is none


NEEDED = object()
OPAQUE = object()  # a default that is no literal


class Signatures:
    def __init__(self, *texts):
        self.arguments = {}  # name -> [Argument]
        self.aliases = {}
        for line in "\n".join(texts).splitlines():
            if not line or line.startswith("#"):
                continue
            if " = " in line.split("(")[0]:
                alias, name = line.split(" = ")
                self.aliases[alias] = name
            else:
                name, rest = line.split("(", 1)
                self.arguments[name] = read_arguments(rest.removesuffix(")"))

    def find(self, name):
        return self.arguments.get(self.aliases.get(name, name))

    def family(self, prefix):
        """The names directly below a prefix, without it."""
        return [
            name.removeprefix(prefix + ".")
            for name in self.arguments
            if re.fullmatch(re.escape(prefix) + r"\.\w+", name)
        ]


def read_arguments(text):
    parsed = ast.parse(f"def f({text}): pass").body[0].args
    positional = parsed.posonlyargs + parsed.args
    defaults = [None] * (len(positional) - len(parsed.defaults)) + parsed.defaults
    found = [Argument(a.arg, literal(d)) for a, d in zip(positional, defaults)]
    if parsed.vararg:
        found.append(Argument("*" + parsed.vararg.arg, NEEDED))
    found += [Argument(a.arg, literal(d)) for a, d in zip(parsed.kwonlyargs, parsed.kw_defaults)]
    if parsed.kwarg:
        found.append(Argument("**" + parsed.kwarg.arg, NEEDED))
    return found


def literal(node):
    if node is None:
        return NEEDED
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return OPAQUE
    return OPAQUE if value is ... else value


def our_value(member):
    """The default of one of our arguments as Python has it; NEEDED, or OPAQUE for expressions."""
    text = member.default
    if not text:
        return None if is_optional(member.type) else NEEDED
    if text in ("{}", '""', "nullptr"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("{") or re.fullmatch(r"k\w+|.*::k\w+", text):
        return OPAQUE
    if text[0] == "'" or text[0] == '"':
        return text[1:-1]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return OPAQUE


def is_optional(type_name):
    return re.match(r"(const )?std::(optional|function|map|set)\b", type_name) is not None


def same_default(member, theirs):
    """Whether both mean the same; what has no literal on either side is not compared."""
    ours = our_value(member)
    value = theirs.default
    if OPAQUE in (ours, value) or value is NEEDED:
        return True
    if ours is NEEDED:  # empty text and lists are shown as such
        return value in (None, "", ())
    if isinstance(value, (tuple, list)) and not isinstance(ours, (tuple, list)):
        return bool(value) and all(part == ours for part in value)
    if value in (None, "") and ours in (None, ""):
        return True
    if isinstance(value, bool) != isinstance(ours, bool):
        return False
    return value == ours
