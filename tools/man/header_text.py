"""Reads include/udm.h: its version, opening comment, statuses, and functions with their comments.

SPDX-License-Identifier: Apache-2.0
"""
import re
from dataclasses import dataclass

COMMENT = re.compile(r"/\*\*\n(.*?)\n \*/", re.S)
FUNCTION = re.compile(r"(?:^/\*\*\n((?:(?!\*/).)*?)\n \*/\n)?^UDM_API ([^;]*);\n", re.S | re.M)
TAG = re.compile(r"^@(param|return|note) +", re.M)
STATUS = re.compile(r'X\((UDM_[A-Z_]+), (\d+), "([^"]*)"\)')


@dataclass
class Function:
    prototype: str
    text: str  # what it does: paragraphs
    parameters: list  # (name, text)
    returns: str
    note: str

    @property
    def name(self):
        return re.search(r"(\w+)\(", self.prototype).group(1)

    def declared_parameters(self):
        declared = self.prototype[self.prototype.index("(") + 1:-2]
        return [] if declared == "void" else re.findall(r"(\w+)(?:,|$)", declared)


@dataclass
class Header:
    version: str
    opening: str
    statuses: list  # (name, value, text)
    functions: list


def plain(comment):
    return re.sub(r"^ \*(?: |$)", "", comment, flags=re.M)


def function(comment, declaration):
    text, *tagged = TAG.split(plain(comment))
    tags = list(zip(tagged[::2], tagged[1::2]))
    parameters = [tuple(body.split(None, 1)) for tag, body in tags if tag == "param"]
    one = {tag: body for tag, body in tags}
    return Function(re.sub(r"\s+", " ", declaration) + ";", text, parameters,
                    one.get("return", ""), one.get("note", ""))


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    numbers = re.findall(r"^#define UDM_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.M)
    functions = [function(*found) for found in FUNCTION.findall(text)]
    return Header(".".join(numbers), plain(COMMENT.search(text).group(1)), STATUS.findall(text),
                  functions)
