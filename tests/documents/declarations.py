"""Declarations that headers.py found, as members of options and as functions with parameters."""

import dataclasses

from headers import CLOSING, HeaderError, joined


@dataclasses.dataclass
class Member:
    """A data member of an aggregate of options."""

    name: str
    type: str
    default: str  # "" where it has none
    doc: str


def data_members(found):
    """The fields of an aggregate of options: its data members. All that is said of options, here and in
    the signature test, is read from them."""
    members = []
    for declaration in found.public:
        tokens = declaration.tokens
        if tokens[0].text == "static":
            continue
        begin = next((i for i, t in enumerate(tokens) if t.text in ("=", "{")), len(tokens))
        left, value = tokens[:begin], tokens[begin:]
        if any(t.text == "(" for t in strip_angles(left)):
            continue  # a function
        if value and value[0].text == "=":
            value = value[1:]
        if (
            len(left) < 2
            or left[-1].kind != "word"
            or any(t.text == "," for t in strip_angles(left))
        ):
            raise HeaderError(
                f"{found.where}: {found.name}: cannot read the member {declaration.text()!r}; "
                "want one `type name = default;`"
            )
        members.append(Member(left[-1].text, joined(left[:-1]), joined(value), declaration.doc))
    if not members and not found.converts_to:
        raise HeaderError(f"{found.where}: {found.name}: has no members")
    return members


def strip_angles(tokens):
    """Without what stands between < and >."""
    kept, depth = [], 0
    for token in tokens:
        depth += token.text == "<"
        if depth == 0:
            kept.append(token)
        depth -= token.text == ">"
    return kept


@dataclasses.dataclass
class Function:
    name: str
    returns: str
    parameters: list  # Member
    doc: str
    is_static: bool
    is_virtual: bool


def function(declaration, where):
    """A declaration as a function; None for what is none."""
    tokens = [t for t in declaration.tokens if t.text not in ("explicit", "inline", "constexpr")]
    while tokens and tokens[0].text == "[":  # [[nodiscard]]
        tokens = tokens[[t.text for t in tokens].index("]") + 2 :]
    flat = strip_angles(tokens)
    if not any(t.text == "(" for t in flat) or any(
        t.text == "=" for t in flat[: index_of(flat, "(")]
    ):
        return None
    depth, open_at = 0, None
    for i, token in enumerate(tokens):
        depth += (token.text == "<") - (token.text == ">")
        if token.text == "(" and depth == 0:
            open_at = i
            break
    if tokens[open_at - 1].text == "operator" or any(
        t.text == "operator" for t in tokens[:open_at]
    ):
        return None
    depth, close_at = 0, open_at
    while True:
        depth += (tokens[close_at].text in CLOSING) - (tokens[close_at].text in CLOSING.values())
        if depth == 0:
            break
        close_at += 1
    head = [t for t in tokens[: open_at - 1] if t.text not in ("static", "virtual")]
    return Function(
        tokens[open_at - 1].text,
        joined(head),
        parameters(tokens[open_at + 1 : close_at], where),
        declaration.doc,
        any(t.text == "static" for t in tokens[:open_at]),
        any(t.text in ("virtual", "override") for t in tokens),
    )


def index_of(tokens, text):
    return next(i for i, t in enumerate(tokens) if t.text == text)


def parameters(tokens, where):
    found, begin, depth = [], 0, 0
    for i in range(len(tokens) + 1):
        text = tokens[i].text if i < len(tokens) else ","
        depth += (text in CLOSING or text == "<") - (text in CLOSING.values() or text == ">")
        if text == "," and depth == 0 and i > begin:
            found.append(parameter(tokens[begin:i], where))
            begin = i + 1
    return found


def parameter(tokens, where):
    equals = next((i for i, t in enumerate(tokens) if t.text == "="), len(tokens))
    left, value = tokens[:equals], tokens[equals + 1 :]
    if len(left) >= 2 and left[-1].kind == "word" and left[-2].text not in ("::", "const"):
        return Member(left[-1].text, joined(left[:-1]), joined(value), "")
    return Member("", joined(left), joined(value), "")
