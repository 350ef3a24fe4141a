"""Entries of docs/reference.md: calls with their arguments, and what is refused of theirs."""

import dataclasses
import re
import textwrap

import catalogue
import declarations
from library import Missing
from signatures import NEEDED, same_default

CALL_WIDTH = 100
TEXT_WIDTH = 110


@dataclasses.dataclass
class Entry:
    """A thing of ours: its calls, each (arguments as written, members of options), and all arguments."""

    name: str
    shown_name: str
    calls: list
    members: list
    doc: str
    positional: list
    is_aggregate: bool = False

    def texts(self, hidden=()):
        """The calls as text: options where they come first, `…` for the same ones later."""
        texts, listed = [], set()
        for heads, options in self.calls:
            names = {m.name for m in options}
            if options and names <= listed:
                texts.append(call_text(self.shown_name, heads + ["…"], []))
            else:
                shown = [m for m in self.members if m.name in names and m.name not in hidden]
                texts.append(
                    aggregate_text(self.shown_name, shown)
                    if self.is_aggregate
                    else call_text(
                        self.shown_name, heads + (["{}"] if options and not shown else []), shown
                    )
                )
                listed |= names
        if len(texts) > 1:
            texts = [text for text in texts if not text.endswith("()")]  # an empty handle
        return list(dict.fromkeys(texts))


def call_text(name, heads, members):
    """A call with designated initialisers, broken between arguments."""
    shown = [f".{m.name}" + (f" = {m.default}" if m.default else "") for m in members]
    parts = heads + shown
    if shown:
        parts[len(heads)] = "{" + parts[len(heads)]
        parts[-1] += "}"
    lines = [f"{name}("]
    for i, part in enumerate(parts):
        part += ")" if i + 1 == len(parts) else ","
        space = "" if lines[-1].endswith("(") else " "
        if len(lines[-1] + space + part) > CALL_WIDTH:
            lines.append("    " + part)
        else:
            lines[-1] += space + part
    return "\n".join(lines) if parts else f"{name}()"


def aggregate_text(name, members):
    """The same of an aggregate."""
    text = call_text(name, [], members)
    return text.replace("({", "{", 1).removesuffix("})") + "}" if members else name + "{}"


def is_number(type_name):
    return (
        re.fullmatch(r"double|float|bool|char|int|u?int\d+_t|size_t|DType", type_name) is not None
    )


def parameter_text(parameter):
    name = parameter.name or parameter.type
    return name + (f" = {parameter.default}" if parameter.default else "")


class Page:
    def __init__(self, library, signatures):
        self.library, self.signatures = library, signatures
        self.lines = []

    def add(self, *paragraphs):
        for paragraph in paragraphs:
            self.lines += [*paragraph.splitlines(), ""]

    @staticmethod
    def wrapped(text, indent=""):
        return textwrap.fill(
            text,
            TEXT_WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    # --- what an entry is -----------------------------------------------------------------------
    def entry(self, name, overloads, doc, shown_name=None):
        """`overloads`: functions, of which the one with options shows them."""
        namespace = name.rsplit("::", 1)[0]
        calls, members, positional = [], {}, []
        for function in overloads:
            heads, options = [], []
            for parameter in function.parameters:
                struct = self.library.options(parameter.type, namespace)
                if struct is None:
                    heads.append(parameter_text(parameter))
                    positional.append(parameter)
                    continue
                overrides = dict(re.findall(r"\.(\w+) = (\"[^\"]*\"|\w+)", parameter.default))
                options = [
                    dataclasses.replace(m, default=overrides.get(m.name, m.default))
                    for m in declarations.data_members(struct)
                ]
            calls.append((heads, options))
            for member in options:
                members.setdefault(member.name, member)
        return Entry(name, shown_name or name, calls, list(members.values()), doc, positional)

    def options_entry(self, found):
        """Options that are a thing of their own."""
        members = declarations.data_members(found)
        made = bool(found.converts_to)
        return Entry(found.name, found.name, [([], members)], members, found.doc, [], made)

    def theirs(self, name, family):
        """Their name and arguments; ("", None) for what is Cohort's own."""
        known = catalogue.THEIRS.get(name, f"{family}.{name.split('::')[-1]}")
        if not known:
            return "", None
        arguments = self.signatures.find(known)
        if arguments is None:
            raise Missing(
                f"{name}: {known} is in none of tests/golden/*_signatures.txt; "
                "name it in THEIRS of tests/documents/catalogue.py"
            )
        return known, arguments

    def compare(self, entry, arguments):
        """(refused names, {our member: their default})."""
        names = {**catalogue.SAME_ARGUMENT[""], **catalogue.SAME_ARGUMENT.get(entry.name, {})}
        ours = {m.name: m for m in entry.members + entry.positional}
        for member in list(ours.values()):
            for type_name, parts in catalogue.PARTS.items():
                if type_name == member.type:
                    ours.update({part: member for part in parts})
        refused, differing = [], {}
        for argument in arguments:
            member = ours.get(names.get(argument.name, argument.name))
            if member is None:
                if argument.name not in ("*args", "**kwargs", "**kwds"):
                    refused.append(argument.name)
            elif (
                member.name != "name"
                and member in entry.members
                and not same_default(member, argument)
            ):
                differing[member.name] = argument.default
        return refused, differing

    @staticmethod
    def common_members(entries):
        """What many entries all have, with one default: {name: text}."""
        if len(entries) < 3:
            return {}
        of_all = [
            {m.name: f".{m.name} = {m.default}" for m in e.members if m.default} for e in entries
        ]
        return {
            name: text
            for name, text in of_all[0].items()
            if all(other.get(name) == text for other in of_all)
        }

    # --- how an entry looks ---------------------------------------------------------------------
    def show(self, entry, family, always=()):
        """`family` None: nobody else has it."""
        known, arguments = self.theirs(entry.name, family) if family is not None else ("", None)
        self.show_as(entry, known, arguments, always)

    def show_as(self, entry, known, arguments, always=(), hidden=()):
        refused, differing = self.compare(entry, arguments) if known else ([], {})
        self.fill_defaults(entry, arguments or [])
        self.add(f"### {entry.name.split('::')[-1]}")
        self.add("```text\n" + "\n".join(entry.texts(hidden)) + "\n```")
        self.document(f"`{known}`." if known else "Cohort's own.", entry.doc)
        notes = [self.note(m, differing) for m in entry.members if m.name not in hidden]
        if any(notes):
            self.add("\n".join(note for note in notes if note))
        refused = [name for name in refused if name not in always]
        if refused:
            self.add(self.wrapped("Refused: " + ", ".join(f"`{name}`" for name in refused) + "."))

    @staticmethod
    def fill_defaults(entry, arguments):
        """Members without an initialiser: `{}` unless they are numbers or theirs must be given."""
        needed = {a.name for a in arguments if a.default is NEEDED}
        renamed = {**catalogue.SAME_ARGUMENT[""], **catalogue.SAME_ARGUMENT.get(entry.name, {})}
        needed |= {renamed[name] for name in needed if name in renamed}
        for member in entry.members:
            if not member.default and member.name not in needed and not is_number(member.type):
                member.default = "{}"

    def note(self, member, differing):
        text = " ".join(line.strip() for line in member.doc.splitlines())
        if member.name in differing:
            text = "; ".join(
                filter(None, [text.rstrip("."), f"there `{differing[member.name]!r}`"])
            )
        return self.wrapped(f"- `{member.name}`: {text}", "  ") if text else ""

    def document(self, begin, doc):
        """A comment as Markdown: indented lines stay as they are."""
        text, block = [begin], []
        for line in doc.splitlines() + [""]:
            if line.startswith("  "):
                if text:
                    self.add(self.wrapped(" ".join(text)))
                    text = []
                block.append(line)
                continue
            if block:
                self.add("```text\n" + "\n".join(block) + "\n```")
                block = []
            text += [markdown(line)] if line else []
        if text:
            self.add(self.wrapped(" ".join(text)))

    def not_yet(self, family, listed):
        absent = [
            name for name in self.signatures.family(family) if f"{family}.{name}" not in listed
        ]
        if absent:
            self.add(self.wrapped("Not yet: " + ", ".join(f"`{name}`" for name in absent) + "."))

    def not_yet(self, family, known):
        self.not_yet_of(family, self.signatures.family(family), known)

    def not_yet_of(self, family, names, known):
        absent = [name for name in names if f"{family}.{name}" not in known]
        if absent:
            listed = ", ".join(f"`{name}`" for name in absent)
            self.add(self.wrapped(f"Not yet, of `{family}`: {listed}."))


def markdown(line):
    """A comment's line, with what Markdown would take for markup escaped."""
    return re.sub(r"<(?=\w)|(?<!\s)\*|\*(?!\s)", lambda match: "\\" + match.group(), line)
