#!/usr/bin/env python3
"""Every options struct that cohort/cohort.h reaches, with one designated member at a time, compiles
without a warning: a member has a default, unless Keras wants the argument (REQUIRED).

    designated.py COMPILER INCLUDE_FOLDER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# What has no default in Keras, tf.data or tf.distribute: whoever forgets it is to be warned.
REQUIRED = {
    "data::CsvOptions": ["columns"],
    "data::FixedLenFeature": ["name"],
    "cluster::KubernetesOptions": ["list_pods"],
    "nn::BackupAndRestore": ["backup_dir"],
    "nn::CSVLogger": ["filename"],
    "nn::LearningRateScheduler": ["schedule"],
    "nn::ModelCheckpoint": ["filepath"],
    "nn::PreemptionCheckpointHandler": ["directory"],
    "nn::SlotOptions": ["name"],
    "nn::Conv2D": ["filters", "kernel_size"],
    "nn::Dense": ["units"],
    "nn::Embedding": ["input_dim", "output_dim"],
    "nn::Activation": ["activation"],
    "nn::Reshape": ["target_shape"],
    "nn::Dropout": ["rate"],
    "nn::Rescaling": ["scale"],
    "nn::schedules::ExponentialDecay": ["initial_learning_rate", "decay_steps", "decay_rate"],
    "nn::schedules::PiecewiseConstantDecay": ["boundaries", "values"],
    "nn::schedules::PolynomialDecay": ["initial_learning_rate", "decay_steps"],
    "nn::schedules::InverseTimeDecay": ["initial_learning_rate", "decay_steps", "decay_rate"],
    "nn::schedules::CosineDecay": ["initial_learning_rate", "decay_steps"],
    "nn::metrics::MeanOfLoss": ["loss"],
    "nn::metrics::MeanIoU": ["num_classes"],
    "nn::LossScaleOptimizer": ["inner_optimizer"],
    "nn::ModelOptions": ["inputs", "outputs"],
    "nn::InputOptions": ["shape"],
    "nn::OptimizerOptions": ["learning_rate"],
    "MetricOptions": ["name", "help"],
    "VariableOptions": ["name"],
}
# Of ours that no program writes.
INTERNAL = ("ExecutableOptions", "ProgramOptions")


def headers(compiler, include):
    """The library's headers that the umbrella reaches."""
    source = '#include "cohort/cohort.h"\n'
    rules = subprocess.run([compiler, "-std=c++20", f"-I{include}", "-M", "-x", "c++", "-"],
                           input=source, capture_output=True, text=True, check=True).stdout
    return [p for p in rules.replace("\\\n", " ").split() if "/cohort/" in p and p.endswith(".h")]


def members(body):
    """The names of a struct's data members, in order."""
    body = re.sub(r"//[^\n]*", "", body)
    names = []
    for statement in re.split(r";\s*(?:\n|$)", body):
        declaration = " ".join(statement.split())
        while (plain := re.sub(r"<[^<>]*>", "", declaration)) != declaration:
            declaration = plain
        declaration = re.split(r"=|\{", declaration, maxsplit=1)[0].strip()
        is_member = declaration and "(" not in declaration and not declaration.endswith("operator")
        if is_member and not declaration.startswith(("using ", "enum ", "static ")):
            names.append(re.search(r"(\w+)$", declaration).group(1))
    return names


def structs(text):
    """(name with namespaces below cohort, members) of each options struct at namespace scope, and of each
    aggregate of options that is made into a layer, a loss, a metric …"""
    text = re.sub(r"^namespace [\w:]+ \{\n[^{}]*\n\}.*$", "", text, flags=re.M)  # declares others'
    opened = []
    for found in re.finditer(r"^(?:namespace ([\w:]+) \{|\}  // namespace|"
                             r"struct (\w+) \{\n(.*?)^\};)", text,
                             re.S | re.M):
        namespace, name, body = found.groups()
        if namespace:
            opened.append(namespace)
        elif not name:
            opened.pop()
        elif name not in INTERNAL and (name.endswith(("Options", "Feature", "Overrides"))
                                       or re.search(r"^  operator [A-Z]\w+\(\) const;", body, re.M)):
            prefix = "::".join(opened).removeprefix("cohort").removeprefix("::")
            yield (prefix + "::" if prefix else "") + name, members(body)


def main():
    compiler, include = sys.argv[1:]
    known = {name: names for path in headers(compiler, include)
             for name, names in structs(pathlib.Path(path).read_text())}
    lines = ['#include "cohort/cohort.h"', "using namespace cohort;"]
    for name, names in known.items():
        required = REQUIRED.get(name, [])
        optional = [m for m in names if m not in required] or [None]
        for member in optional:
            given = [m for m in names if m in required or m == member]
            values = ", ".join(f".{m} = value<decltype({name}::{m})>()" for m in given)
            lines.append(f"{name} use_{len(lines)}() {{ return {{{values}}}; }}")
    lines.insert(2, "template <class T> T value();")
    stale = sorted(REQUIRED.keys() - known.keys())
    if stale or len(known) < 60:
        sys.exit(f"got {len(known)} structs, without {stale}; want all of REQUIRED, and 60 or more")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "designated.cc"
        source.write_text("\n".join(lines) + "\n")
        compiled = subprocess.run([compiler, "-std=c++20", f"-I{include}", "-Wall", "-Wextra", "-Werror",
                                   "-fsyntax-only", str(source)], capture_output=True, text=True)
    warnings = sorted(set(re.findall(r"error: (.*)", compiled.stderr)))
    if compiled.returncode != 0:
        sys.exit("\n".join(warnings) or compiled.stderr)
    print(f"{len(known)} structs, {len(lines) - 3} initialisers")


main()
