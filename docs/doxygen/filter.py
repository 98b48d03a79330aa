#!/usr/bin/env python3
"""Doxygen's input filter for the public headers, whose comments are plain C comments that read well
where they stand: marks them as documentation, lists of parameters as @param, and repeats a comment
for each function of a group that it stands above.

SPDX-License-Identifier: Apache-2.0
"""
import re
import sys

BLOCK = re.compile(r"^( *)/\*\n((?:\1 \*.*\n)*?)\1 \*/\n(?=\1\S)", re.M)
DECLARATIONS = re.compile(r"((?:UDM_API [^;{]*;\n)+)")
PARAMETER = re.compile(r"^ \* ([a-z_]+)  +(?=\S)", re.M)


def documented(match, text):
    indent, body = match.group(1), match.group(2)
    if "SPDX" in body:  # the opening comment is about the file
        return f"{indent}/** @file\n{indent} *\n{body}{indent} */\n"
    declarations = DECLARATIONS.match(text, match.end())
    if not declarations:
        return f"{indent}/**\n{body}{indent} */\n"
    parameters = set(re.findall(r"(\w+)[,)]", declarations.group(1)))

    def parameter(found):
        return f" * @param {found.group(1)} " if found.group(1) in parameters else found.group(0)

    body = PARAMETER.sub(parameter, body)
    body = re.sub(r"^ \* (.*)\bErrors: ", r" * \1\n * @par Errors\n * ", body, flags=re.M)
    return f"/**\n{body} */\n"


def mark(text):
    """Comments above a declaration, and those behind one."""
    text = BLOCK.sub(lambda match: documented(match, text), text)
    text = re.sub(r"^( *)/\* (?!-|\*)((?:(?!\*/).|\n)*\*/\n(?=\1\S))", r"\1/** \2", text, flags=re.M)
    return re.sub(r"([;,{]|= \w+) */\* (?=\S)", r"\1 /**< ", text)


def repeat(text):
    """A comment above several declarations belongs to each."""

    def each(match):
        comment, declarations = match.groups()
        return "\n".join(comment + d.strip() + ";\n" for d in declarations.split(";") if d.strip())

    return re.sub(r"(/\*\*\n(?:(?!\*/).|\n)*? \*/\n)((?:UDM_API [^;{]*;\n){2,})", each, text)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    sys.stdout.write(text if sys.argv[1].endswith(".md") else repeat(mark(text)))


main()
