#!/usr/bin/env python3
"""Disturbs small training jobs at random and checks what docs/distributed.md promises of them.

    campaign.py --worker campaign_worker [--launcher cohort-launch] [--minutes M] [--seed S]
    campaign.py … --trial SEED.NUMBER      one trial of an earlier campaign again

Prints a line for each trial and a table. The exit code is 1 when a promise was broken; the folder
with the logs of those trials is kept and named."""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time

import scenarios
from jobs import Job, Programs
from network import Hosts


class Trial:
    """One disturbed job: what was done, and which promises did not hold."""

    def __init__(self, programs, folder, scenario, seed, number):
        self.programs = programs
        self.folder = folder
        self.scenario = scenario
        self.name = f"{seed}.{number}"
        self.random = random.Random(self.name)
        self.broken = []
        self.story = ""
        self.job = None

    def start(self, way, size, arguments, **options):
        if (way == "launch" and not self.programs.launcher) or \
                (way == "mpirun" and not self.programs.mpirun):
            way = "jobid"
        self.job = Job(self.programs, self.folder, way, size, arguments, **options).start()
        return self.job

    def told(self, story):
        self.story = story

    def expect(self, holds, otherwise):
        if not holds:
            self.broken.append(otherwise)

    def run(self):
        os.makedirs(self.folder)
        begin = time.monotonic()
        try:
            self.scenario(self)
        finally:
            if self.job:
                self.job.clear()
        self.seconds = time.monotonic() - begin
        print(f"{self.name:>12} {self.scenario.__name__:<12} {self.seconds:5.1f} s  "
              f"{'BROKEN' if self.broken else 'held'}  {self.story}", flush=True)
        for promise in self.broken:
            print(" " * 15 + promise, flush=True)
        if not self.broken:
            shutil.rmtree(self.folder)
        return self


def chosen_scenarios(arguments):
    chosen = list(scenarios.ON_ONE_HOST)
    missing = Hosts.missing()
    if missing:
        print(f"no scenarios with several hosts: {missing}")
    else:
        chosen += scenarios.ON_HOSTS
    if arguments.only:
        chosen = [s for s in chosen if s.__name__ in arguments.only.split(",")]
    return chosen


def schedule(chosen, seed):
    """Every scenario once in each round, in random order; number is that of the trial."""
    number = 0
    while True:
        order = chosen[:]
        random.Random(f"{seed} round {number // len(chosen)}").shuffle(order)
        for scenario in order:
            yield number, scenario
            number += 1


def print_table(trials, chosen):
    print(f"\n{'scenario':<12} {'trials':>6} {'held':>6} {'broken':>6}")
    for scenario in chosen:
        mine = [t for t in trials if t.scenario is scenario]
        broken = sum(bool(t.broken) for t in mine)
        print(f"{scenario.__name__:<12} {len(mine):>6} {len(mine) - broken:>6} {broken:>6}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", required=True)
    parser.add_argument("--launcher", default="")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1_000_000)))
    parser.add_argument("--only", default="", help="names of scenarios, with commas")
    parser.add_argument("--trial", default="", help="SEED.NUMBER")
    arguments = parser.parse_args()
    seed, _, wanted = (arguments.trial or arguments.seed).partition(".")
    programs = Programs(os.path.abspath(arguments.worker),
                        arguments.launcher and os.path.abspath(arguments.launcher),
                        shutil.which("mpirun") or "")
    chosen = chosen_scenarios(arguments)
    base = tempfile.mkdtemp(prefix="campaign-")
    print(f"campaign of {arguments.minutes:g} minutes with seed {seed}", flush=True)
    end = time.monotonic() + 60 * arguments.minutes
    trials = []
    for number, scenario in schedule(chosen, seed):
        if wanted and number != int(wanted):
            continue
        trials.append(Trial(programs, os.path.join(base, str(number)), scenario, seed,
                            number).run())
        if wanted or time.monotonic() >= end:
            break
    print_table(trials, chosen)
    if any(trial.broken for trial in trials):
        print(f"\nbroken promises; logs in {base}; once more: --trial SEED.NUMBER")
        sys.exit(1)
    shutil.rmtree(base)


main()
