#!/usr/bin/env python3
"""Holds the dependencies against deny.toml: banned crates, licences, sources.

Reads `cargo metadata` and deny.toml and nothing else, so that it runs where cargo-deny is not installed. It looks at the
crates of every platform, which is stricter than deny.toml's [graph]. Prints each fault and ends with 1 if there is one.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fits(expression, allowed):
    """Whether an SPDX expression can be met with the allowed licences. `A/B` is the old form of `A OR B`."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def one():
        nonlocal at
        word = words[at]
        at += 1
        if word == "(":
            good = either()
            at += 1
            return good
        if at + 1 < len(words) and words[at] == "WITH":
            word = f"{word} WITH {words[at + 1]}"
            at += 2
        return word in allowed

    def both():
        nonlocal at
        good = one()
        while at < len(words) and words[at] == "AND":
            at += 1
            good = one() and good
        return good

    def either():
        nonlocal at
        good = both()
        while at < len(words) and words[at] == "OR":
            at += 1
            good = both() or good
        return good

    return either()


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    told = subprocess.run(["cargo", "metadata", "--locked", "--format-version", "1"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    packages = json.loads(told.stdout)["packages"]
    banned = {ban["crate"]: ban["reason"] for ban in rules["bans"]["deny"]}
    allowed = set(rules["licenses"]["allow"])
    more = {e["crate"]: set(e["allow"]) for e in rules["licenses"]["exceptions"]}
    faults, sources = [], set()
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["name"] in banned:
            faults.append(f"{name} is banned: {banned[package['name']]}")
        if package["source"] is None:
            if ROOT not in Path(package["manifest_path"]).resolve().parents:
                faults.append(f"{name} comes from a folder outside")
            continue
        sources.add(package["source"])
        if not package["source"].startswith("registry+"):
            faults.append(f"{name} does not come from the registry")
        if not package["license"] or not fits(package["license"], allowed | more.get(package["name"], set())):
            faults.append(f"{name} has a licence that is not allowed: {package['license']}")
    if len(sources) > 1:
        faults.append("the crates come from more than one source")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
