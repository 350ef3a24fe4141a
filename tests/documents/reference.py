#!/usr/bin/env python3
"""Writes docs/reference.md from the public headers, the names that the library knows and the signatures
of Keras and TensorFlow in tests/golden. `reference.py NAMES` compares the page with what it would write;
with --write it writes it. NAMES is the program that names.cc becomes."""

import difflib
import subprocess
import sys

import catalogue
import declarations
import headers
from library import ROOT, Library, Missing
from page import Page
from signatures import Signatures

PAGE = ROOT / "docs" / "reference.md"
HEAD = """\
# Reference

Made from the headers by `cmake --build build/release --target reference`; a test compares it with them.
An entry has the call with all arguments and their defaults; an argument without one must be given, `…`
stands for options that are listed above it. Then comes the name of the same thing in Keras {keras},
tf.data or tf.distribute (TensorFlow {tensorflow}), and which of *its* arguments are **refused**: they do
not exist here, so that a program which gives one does not compile. Where their default is another one,
it is named. **Not yet** are their classes and functions without a counterpart. The headers say types and
errors; `nn`, `data`, `distribute` and `cluster` are namespaces of `cohort`.
"""


class Reference:
    """The sections of the page."""

    def __init__(self, names):
        golden = ROOT / "tests" / "golden"
        texts = [
            (golden / f"{name}_signatures.txt").read_text() for name in ("keras", "tensorflow")
        ]
        self.versions = [text.split()[2].rstrip(".") for text in texts]
        self.library = Library()
        self.names = names
        self.page = Page(self.library, Signatures(*texts))

    def write(self):
        self.page.add(HEAD.format(keras=self.versions[0], tensorflow=self.versions[1]))
        self.models()
        self.activations()
        for section in catalogue.CLASS_SECTIONS:
            self.class_section(*section)
        self.page.add("## Custom loops")
        self.functions("Custom loops")
        self.to_derive_from()
        self.datasets()
        self.strategies()
        self.resolvers()
        self.library.check_all_listed()
        return "\n".join(self.page.lines).rstrip() + "\n"

    # --- nn -------------------------------------------------------------------------------------
    def models(self):
        self.page.add("## Models")
        for name in ("nn::Sequential", "nn::Model"):
            self.class_entry(name, "keras")
        self.methods("nn::Sequential", "keras.Sequential", lambda f: False)
        known = self.methods(
            "nn::Model", "keras.Model", lambda f: f.name not in catalogue.NOT_OF_KERAS["nn::Model"]
        )
        self.page.not_yet("keras.Model", known)
        self.functions("Models")

    def class_entry(self, name, family):
        found = self.library.classes[name]
        self.library.listed.add(name)
        if name.endswith("Options"):
            entry = self.page.options_entry(found)
        else:
            entry = self.page.entry(name, self.library.constructors(found), found.doc)
        self.page.show(entry, family)

    def activations(self):
        self.page.add("## Activations", self.given_by_name("Activations"))
        rows = ["| `nn::activations` | refused | |", "|---|---|---|"]
        known = set()
        for name, overloads in self.library.functions.items():
            if name.startswith("nn::activations::"):
                entry = self.page.entry(
                    name, [f for f, _ in overloads], overloads[0][0].doc, name.split("::")[-1]
                )
                theirs, arguments = self.page.theirs(name, "keras.activations")
                refused = self.page.compare(entry, arguments)[0]
                doc = " ".join(entry.doc.split()).replace("|", "\\|")
                rows.append(
                    f"| `{entry.texts()[0]}` | {', '.join(f'`{r}`' for r in refused)} | {doc} |"
                )
                known.add(theirs)
                self.library.listed.add(name)
        self.page.add("\n".join(rows))
        self.page.not_yet("keras.activations", known)

    def given_by_name(self, title):
        names = self.names[catalogue.GIVEN_BY_NAME[title]]
        return self.page.wrapped(
            "Given by name: " + ", ".join(f'`"{name}"`' for name in names) + "."
        )

    def class_section(self, title, family, base):
        """Every class that derives from `base`, with what is common to all said once."""
        self.page.add(f"## {title}")
        found = [
            c
            for c in self.library.classes.values()
            if base in c.bases + c.converts_to and c.name not in ("nn::Model", *catalogue.SUPPORTING_CLASSES)
        ]
        self.library.listed.update(c.name for c in found)
        entries = [
            self.page.options_entry(c)
            if c.converts_to
            else self.page.entry(c.name, self.library.constructors(c), c.doc)
            for c in found
        ]
        theirs = [self.page.theirs(e.name, family) for e in entries]
        if family == "keras.layers":
            every = self.page.signatures.find("keras.layers.Layer")
            theirs = [
                (
                    name,
                    arguments
                    and arguments + [a for a in every if all(a.name != b.name for b in arguments)],
                )
                for name, arguments in theirs
            ]
        refused = [
            set(self.page.compare(e, a)[0]) for e, (_, a) in zip(entries, theirs) if a is not None
        ]
        always = sorted(set.intersection(*refused)) if len(refused) > 2 else []
        if title in catalogue.GIVEN_BY_NAME:
            self.page.add(self.given_by_name(title))
        if always:
            self.page.add(
                self.page.wrapped(
                    "Refused by all: " + ", ".join(f"`{name}`" for name in always) + "."
                )
            )
        apart = [e for e in entries if e.name in catalogue.APART]
        common = self.page.common_members([e for e in entries if e not in apart])
        if common:
            but = "".join(f" but `{e.name.split('::')[-1]}`" for e in apart)
            self.page.add(
                self.page.wrapped(
                    f"All{but} take, besides: "
                    + ", ".join(f"`{text}`" for text in common.values())
                    + "."
                )
            )
        for entry, (name, arguments) in zip(entries, theirs):
            self.page.show_as(entry, name, arguments, always, common)
        self.page.not_yet(family, {name for name, _ in theirs} | catalogue.ELSEWHERE)

    def to_derive_from(self):
        self.page.add("## Classes to derive from")
        rows = ["| of your own | theirs | |", "|---|---|---|"]
        for name, theirs in catalogue.TO_DERIVE_FROM.items():
            found = self.library.classes[name]
            self.library.listed.add(name)
            about = found.doc.split("\n\n")[0].split(":\n")[0]
            first = " ".join(about.split()).split(". ")[0].rstrip(".:")
            rows.append(f"| `{name}` | `{theirs}` | {first} |")
        self.page.add("\n".join(rows))

    # --- functions and methods ------------------------------------------------------------------
    def functions(self, title):
        for name in catalogue.FUNCTIONS[title]:
            if name not in self.library.functions:
                raise Missing(
                    f"{name}: tests/documents/catalogue.py names it; no header declares it"
                )
        self.function_entries(catalogue.FUNCTIONS[title], None)

    def returning(self, type_name):
        """The functions that make one of these."""
        return [
            name
            for name, overloads in self.library.functions.items()
            if all(f.returns == type_name for f, _ in overloads)
            and name not in catalogue.SUPPORTING_FUNCTIONS
        ]

    def function_entries(self, names, family):
        """An entry for each; what they have there, where `family` or the catalogue says so."""
        known = set()
        for name in names:
            overloads = [f for f, _ in self.library.functions[name]]
            self.library.listed.add(name)
            doc = "\n".join(dict.fromkeys(f.doc for f in overloads if f.doc))
            entry = self.page.entry(name, overloads, doc)
            of = family or ("" if name in catalogue.THEIRS else None)
            self.page.show(entry, of)
            if of is not None:
                known.add(self.page.theirs(name, of)[0])
        return known

    def methods_of_theirs(self, owner, family, prefix):
        """Its methods but for those that are no words of theirs."""
        own = catalogue.NOT_OF_KERAS[owner]
        return self.methods(owner, family, lambda f: f.name not in own, prefix)

    def methods(self, owner, family, wanted, prefix=""):
        """An entry for each public method of a class that `wanted` takes; returns their names there."""
        found = self.library.classes[owner]
        by_name, known = {}, set()
        for declaration in found.public:
            function = declarations.function(declaration, found.where)
            if function and function.returns and wanted(function):
                by_name.setdefault(function.name, []).append(function)
        for name, overloads in by_name.items():
            doc = "\n".join(dict.fromkeys(f.doc for f in overloads if f.doc))
            entry = self.page.entry(f"{owner}::{name}", overloads, doc, prefix + name)
            self.page.show(entry, family, ("name",))
            known.add(self.page.theirs(entry.name, family)[0])
        return known

    # --- data -----------------------------------------------------------------------------------
    def datasets(self):
        describes = catalogue.INSPECTION
        self.page.add("## Data: sources")
        known = self.methods(
            "data::Dataset", "tf.data.Dataset", lambda f: f.is_static, "data::Dataset::"
        )
        self.page.add("## Data: steps")
        known |= self.methods(
            "data::Dataset",
            "tf.data.Dataset",
            lambda f: not f.is_static
            and f.name not in describes + catalogue.NOT_OF_KERAS["data::Dataset"],
            "dataset.",
        )
        self.page.add("## Data: what a dataset says of itself")
        known |= self.methods(
            "data::Dataset", "tf.data.Dataset", lambda f: f.name in describes, "dataset."
        )
        self.page.not_yet("tf.data.Dataset", known)
        self.page.not_yet("tf.data", known)
        self.library.listed.add("data::Dataset")
        self.page.add("## Other data")
        self.functions("Other data")
        self.class_entry("data::TFRecordWriter", "tf.io")

    # --- distribute and cluster -----------------------------------------------------------------
    def strategies(self):
        self.page.add("## Strategies")
        known = self.function_entries(self.returning("Strategy"), "tf.distribute")
        family = self.page.signatures.family("tf.distribute")
        strategies = [name for name in family if name.endswith("Strategy")]
        self.page.not_yet_of("tf.distribute", strategies, known | {"tf.distribute.Strategy"})
        self.class_entry("distribute::CommunicationOptions", "tf.distribute.experimental")
        self.page.add("## Strategies: what they do")
        known = self.methods_of_theirs(
            "distribute::Strategy", "tf.distribute.Strategy", "strategy."
        )
        known |= self.function_entries(
            self.returning("DistributedDataset"), "tf.distribute.Strategy"
        )
        self.page.not_yet("tf.distribute.Strategy", known)
        self.page.add("## In replica context: `distribute::get_replica_context()`")
        family = "tf.distribute.ReplicaContext"
        known = self.methods_of_theirs("distribute::ReplicaContext", family, "context.")
        self.page.not_yet(family, known)

    def resolvers(self):
        self.page.add("## Cluster resolvers and the server")
        family, known = "tf.distribute.cluster_resolver", {
            "tf.distribute.cluster_resolver.ClusterResolver"
        }
        for found in list(self.library.classes.values()):
            if "ClusterResolver" in found.bases:
                self.class_entry(found.name, family)
                known.add(self.page.theirs(found.name, family)[0])
        self.page.not_yet_of(
            family,
            [n for n in self.page.signatures.family(family) if n.endswith("Resolver")],
            known,
        )
        self.class_entry("cluster::Server", "tf.distribute")


def names_of(program):
    """What names.cc prints: `loss: binary_crossentropy, mse`."""
    lines = subprocess.run(
        [program], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    return {line.split(": ")[0]: line.split(": ")[1].split(", ") for line in lines}


def main():
    write = "--write" in sys.argv
    program = [argument for argument in sys.argv[1:] if argument != "--write"]
    if len(program) != 1:
        sys.exit(__doc__)
    try:
        wanted = Reference(names_of(program[0])).write()
    except (Missing, headers.HeaderError) as error:
        sys.exit(f"reference.py: {error}")
    if write:
        PAGE.write_text(wanted)
        return
    got = PAGE.read_text() if PAGE.exists() else ""
    if got != wanted:
        sys.stdout.writelines(
            difflib.unified_diff(
                got.splitlines(True),
                wanted.splitlines(True),
                "docs/reference.md",
                "what the headers say",
            )
        )
        sys.exit(
            "docs/reference.md is not what the headers say; write it again: "
            "cmake --build BUILD --target reference"
        )


if __name__ == "__main__":
    main()
