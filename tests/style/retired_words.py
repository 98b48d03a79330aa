#!/usr/bin/env python3
"""Prints every retired word that is left in the tree, in texts and in names of files, with the word
to use instead. retired_words.txt lists the words. Fails if one is left.

usage: retired_words.py ROOT [--self-test]

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIST = os.path.join(HERE, "retired_words.txt")
# The list itself, the kernel and its PTX, recorded data, foreign text.
LEFT_OUT = re.compile(
    r"^(tests/style/retired_words\.(py|txt)|nvrtc_src/.*\.cu|ptx/.*\.ptx|docs/performance/.*\.json|"
    r"tests/abi/.*\.abi|tests/abi/older.*|tests/fuzz/corpus/.*|LICENSE|.*\.(jsonl|csv|png))$")


def read_list():
    words = []
    with open(LIST, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                pattern, use = line.rstrip("\n").split("\t")
                words.append((re.compile(pattern, re.IGNORECASE | re.ASCII), use))
    assert words, f"{LIST} lists no words"
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
        for pattern, use in words:
            found += [f"{name}:1: the name '{m.group()}': use {use}" for m in pattern.finditer(name)]
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue
        found += find_in(words, name, text)
    return found


def self_test():
    """Each text with the number of retired words in it."""
    words = read_list()
    planted = {
        "a row says: the image ladder has a rung, and it climbs": 3,
        "/* names the\n * direct entry of a call */": 1,
        "There is one a lane here.": 1,
        "There is a row each, and a folder a kind.": 2,
        "udm_judge_file, offer_cached_images, kernel_entry.c, the stand-in driver": 4,
        "A look-up asks for an entry point, where there is none.": 3,
        "The caller is told what can be had and what is of no use.": 3,
        "An image source is resolved; one per lane.": 0,
        "We offer a choice, and it works. The head of the file says where the file lies.": 0,
        "A cache entry of each layer: a table of entries, in the acceptable range.": 0,
    }
    wrong = [f"self-test: {text!r}" for text, count in planted.items()
             if len(list(find_in(words, "planted", text))) != count]
    print(f"self-test: {len(planted)} texts, {len(wrong)} wrong")
    return wrong


def main():
    if "--self-test" in sys.argv:
        found = self_test()
    else:
        found = check(sys.argv[1])
        print(f"{len(found)} retired words")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
