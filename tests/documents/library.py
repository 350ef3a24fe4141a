"""All that the public headers declare, by name."""

import pathlib

import catalogue
import declarations
import headers

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Missing(Exception):
    """Something public that the page would not list."""


class Library:
    """All that the public headers declare."""

    def __init__(self):
        self.classes, self.functions = {}, {}
        for path in self.paths():
            header = headers.read_header(path, (ROOT / path).read_text())
            for found in header.classes:
                self.classes[found.name] = found
            for namespace, declaration in header.functions:
                function = declarations.function(declaration, f"{path}:{declaration.line}")
                if function and not function.returns.endswith("::"):  # a member defined outside
                    name = (namespace + function.name).removeprefix("cohort::")
                    self.functions.setdefault(name, []).append(
                        (function, f"{path}:{declaration.line}")
                    )
        self.listed = set()

    @staticmethod
    def paths():
        umbrella = headers.read_header(catalogue.UMBRELLA, (ROOT / catalogue.UMBRELLA).read_text())
        of_umbrella = [include.removeprefix("cohort/") for include in umbrella.includes]
        globbed = [
            p.relative_to(ROOT).as_posix() for g in catalogue.HEADERS for p in sorted(ROOT.glob(g))
        ]
        chosen = [p for p in of_umbrella if p.split("/")[0] in catalogue.UMBRELLA_FOLDERS]
        return list(dict.fromkeys(globbed + chosen))

    def options(self, type_name, namespace):
        """The options struct that a parameter's type names, or None."""
        name = type_name.removeprefix("const ").removesuffix("&").strip()
        for inside in (namespace, namespace.rsplit("::", 1)[0], namespace.split("::")[0]):
            found = self.classes.get(f"{inside}::{name}")
            if found and name.endswith("Options"):
                self.listed.add(found.name)
                return found
        return None

    def constructors(self, found):
        short = found.name.split("::")[-1]
        made = [declarations.function(d, found.where) for d in found.public]
        return [
            f
            for f in made
            if f
            and f.name == short
            and not f.returns
            and not any(copies_or_wraps(p.type, short) for p in f.parameters)
        ]

    def check_all_listed(self):
        known = self.listed | catalogue.SUPPORTING_CLASSES | catalogue.SUPPORTING_FUNCTIONS
        everything = [(name, found.where) for name, found in self.classes.items()]
        everything += [(name, found[0][1]) for name, found in self.functions.items()]
        missing = [f"{where}: {name}" for name, where in everything if name not in known]
        if missing:
            raise Missing(
                "public, and in no section of docs/reference.md; name them in "
                "tests/documents/catalogue.py:\n  " + "\n  ".join(missing)
            )


def copies_or_wraps(parameter, name):
    """Whether a constructor's parameter is another object of the class, or what its handle holds."""
    return (
        parameter.strip() in (f"const {name}&", f"{name}&&", f"{name} &&")
        or "shared_ptr<" in parameter
        and (f"{name}Impl>" in parameter)
    )
