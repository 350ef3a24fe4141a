#!/usr/bin/env python3
"""What a compiler says of programs that get options wrong, and that it says nothing of right ones.

    mistakes.py COMPILER INCLUDE_FOLDER
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

RIGHT = """
void right(const nn::SymbolicTensor& x, const Tensor& images, const Tensor& labels) {
  const nn::Layer shared = nn::Dense{.units = 16};
  const nn::Layer older = nn::Dense({.units = 4});
  nn::Sequential model({nn::Flatten{}, nn::Dense{.units = 128, .activation = "relu"}, older});
  model.compile({.loss = nn::MeanSquaredError{}, .metrics = {nn::Precision{.top_k = 2}}});
  model.fit(images, labels, {.callbacks = {nn::EarlyStopping{.patience = 2}}});
  shared(nn::Dropout{.rate = 0.5}(x, {.training = true}) + nn::relu(x) * 2);
}
"""
# A statement, and what g++ or clang++ says of it.
MISTAKES = {
    "nn::Layer made = nn::Dense{.unit = 3};":
        r"Dense' has no (?:non-static )?data member named 'unit'|'unit' does not refer to any field",
    'nn::Sequential made({nn::Flatten{}, nn::Dropout{.rte = 0.5}});':
        r"Dropout' has no non-static data member named 'rte'|'rte' does not refer to any field",
    'nn::Loss made = nn::MeanSquaredError{.reduce = "sum"};':
        r"MeanSquaredError' has no non-static data member named 'reduce'|'reduce' does not refer",
    "nn::Metric made = nn::Precision{.topk = 2};":
        r"Precision' has no non-static data member named 'topk'|'topk' does not refer",
    "nn::Callback made = nn::EarlyStopping{.patiance = 2};":
        r"EarlyStopping' has no non-static data member named 'patiance'|'patiance' does not refer",
    "nn::LearningRateSchedule made = nn::schedules::CosineDecay{.steps = 2};":
        r"CosineDecay' has no non-static data member named 'steps'|'steps' does not refer",
    "nn::Initializer made = nn::initializers::HeNormal{.sead = 2};":
        r"HeNormal' has no non-static data member named 'sead'|'sead' does not refer",
    "nn::Regularizer made = nn::regularizers::L2{.l1 = 2};":
        r"L2' has no non-static data member named 'l1'|'l1' does not refer",
    "nn::Dense named{.units = 3}; named(nn::SymbolicTensor());":
        r"deleted (?:function|operator).*",
    'nn::Layer made = nn::Dense{.activation = "relu"};':
        r"missing (?:initializer for member 'cohort::nn::Dense::units'|field 'units' initializer)",
}


def complaints(compiler, include, program):
    """Line -> what is said of it."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "program.cc"
        source.write_text(program)
        said = subprocess.run([compiler, "-std=c++20", f"-I{include}", "-Wall", "-Wextra",
                               "-fsyntax-only", str(source)],
                              capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stderr
    found = {}
    for line, text in re.findall(r"program\.cc:(\d+):\d+: (?:error|warning): (.*)", said):
        found[int(line)] = found.get(int(line), "") + text + "\n"
    return found, said


def main():
    compiler, include = sys.argv[1:]
    lines = ['#include "cohort/cohort.h"', "using namespace cohort;"]
    first = len(lines) + 1
    lines += [f"void mistake_{i}() {{ {text} }}" for i, text in enumerate(MISTAKES)]
    found, said = complaints(compiler, include, "\n".join(lines) + RIGHT)
    wrong = []
    for i, (text, words) in enumerate(MISTAKES.items()):
        if not re.search(words, found.pop(first + i, "")):
            wrong.append(f"{text}\n  is not told: {words}")
    if found:
        wrong.append(f"right programs are complained of: {found}")
    if wrong:
        sys.exit("\n".join(wrong) + "\n\n" + said)
    print(f"{len(MISTAKES)} mistakes")


main()
