#!/usr/bin/env python3
"""Prints every retired word that is left in the tree, with the word to use instead. The words stand
in retired_words.txt. Fails if there is any.

usage: retired_words.py ROOT [--self-test]

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIST = os.path.join(HERE, "retired_words.txt")
# The list itself, generated and foreign text, and recorded data.
LEFT_OUT = re.compile(
    r"^(tests/style/|LICENSE$|ptx/.*\.ptx$|docs/performance/|tests/abi/(older|libudm)|tests/fuzz/corpus/|"
    r".*\.(jsonl|csv|png)$)")


def read_list():
    words = []
    with open(LIST, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                pattern, use = line.rstrip("\n").split("\t")
                words.append((re.compile(pattern, re.IGNORECASE | re.ASCII), use))
    return words


def files_of(root):
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=True).stdout.decode()
    for name in listed.split("\0"):
        path = os.path.join(root, name)
        if name and not LEFT_OUT.match(name) and os.path.isfile(path):
            yield name, path


def find_in(words, name, text):
    """A word may be split over two lines of a comment: line ends count as blanks."""
    flat = re.sub(r"\n[ \t]*(\*|#|//)?[ \t]*", lambda match: " " * len(match.group()), text)
    flat = re.sub(r"(?<=\S) +(?=\S)", lambda match: match.group()[:1].ljust(len(match.group()), "\0"),
                  flat)
    squeezed, places = [], []
    for place, char in enumerate(flat):
        if char != "\0":
            squeezed.append(char)
            places.append(place)
    flat = "".join(squeezed)
    for pattern, use in words:
        for match in pattern.finditer(flat):
            line = text.count("\n", 0, places[match.start()]) + 1
            yield f"{name}:{line}: '{match.group()}': use {use}"


def check(root):
    words = read_list()
    found = []
    for name, path in files_of(root):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue
        found += find_in(words, name, text)
    return found


def self_test():
    words = read_list()
    planted = {
        "a row says: the image ladder has a rung": 2,
        "/* names the\n * direct entry of a call */": 1,
        "There is one a lane here.": 1,
        "An image source is resolved; one per lane.": 0,
    }
    return [f"self-test: {text!r}" for text, count in planted.items()
            if len(list(find_in(words, "planted", text))) != count]


def main():
    found = self_test() if "--self-test" in sys.argv else check(sys.argv[1])
    print("\n".join(found) if found else "no retired word")
    if found:
        print(f"{len(found)} in all")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
