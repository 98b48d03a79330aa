"""Writes manual pages: udm.1 and udm-COMMAND.1 from the help texts, udm.3 from udm.h.

SPDX-License-Identifier: Apache-2.0
"""
import re


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def bold(text):
    return f"\\fB{escape(text)}\\fR"


def title(name, section, version, manual):
    return [f'.TH {escape(name.upper())} {section} "" "udm {version}" "{manual}"']


def verbatim(text):
    return [".PP", ".RS 4", ".nf", escape(text), ".fi", ".RE"]


def item_lines(item):
    lines = [".TP", bold(item.term)]
    if item.option and item.option[1]:
        lines[1] = f"{bold(item.option[0])} \\fI{escape(item.option[1])}\\fR"
    return lines + [escape(item.text) if item.text else "\\ "]


def body(page):
    """The sections of a help text as DESCRIPTION, OPTIONS and EXAMPLES, in that order."""
    parts = {"DESCRIPTION": [], "OPTIONS": [], "EXAMPLES": []}
    for section in page.sections:
        if section.heading == "examples":
            part, heading = "EXAMPLES", ""
        elif section.items and section.items[0].option:
            part, heading = "OPTIONS", section.heading
        else:
            part, heading = "DESCRIPTION", section.heading
        if heading:
            parts[part].append(f".SS {escape(heading)}")
        if section.text:
            parts[part] += [".PP", escape(section.text)]
        for item in section.items:
            parts[part] += item_lines(item)
    return [line for name, lines in parts.items() if lines for line in [f".SH {name}", *lines]]


def exit_status(main):
    """The exit codes, from the line 'Exit codes: 0 success, 1 failure, 2 wrong usage.' of the help."""
    for section in main.sections:
        found = re.search(r"Exit codes: (.*?)\.", section.text)
        if found:
            lines = [".SH EXIT STATUS"]
            for code in found.group(1).split(", "):
                number, text = code.split(" ", 1)
                lines += [".TP", bold(number), escape(text)]
            return lines
    raise ValueError("'udm --help' does not state the exit codes")


def see_also(names):
    return [".SH SEE ALSO", ",\n".join(f".BR {escape(n)} ({s})" for n, s in names)
            .replace(",\n", " ,\n")]


def command_page(page, main, commands, version):
    name = f"udm-{page.name}" if page.name else "udm"
    lines = title(name, 1, version, "User Commands")
    lines += [".SH NAME", f"{escape(name)} \\- {escape(page.summary)}", ".SH SYNOPSIS"]
    for usage in page.usage:
        words = usage.split(" ", 2 if page.name else 1)
        known = 2 if page.name else 1
        rest = " " + escape(" ".join(words[known:])) if words[known:] else ""
        lines += [bold(" ".join(words[:known])) + rest, ".br"]
    lines = lines[:-1] + body(page) + exit_status(main)
    lines += [".SH ENVIRONMENT", "The variables whose names begin with UDM_ are explained in",
              ".BR udm (3)."]
    others = [(f"udm-{c.name}", 1) for c in commands if c is not page]
    others = [("udm", 1)] + others if page.name else others
    return "\n".join(lines + see_also(others + [("udm", 3)])) + "\n"


def comment_lines(text):
    """A comment of udm.h: paragraphs, '@par HEADING', lists of '- ', verbatim indented blocks."""
    lines = []
    # blocks of one program belong together
    text = re.sub(r"(?m)(^    .*)\n\n(?=    )", r"\1\n    \n", text)
    for block in re.split(r"\n\n+", text.strip("\n")):
        heading = re.match(r"@par (.*)\n", block)
        if "SPDX" in block or block.startswith("@file"):
            continue
        if heading:
            lines += [".SS " + escape(heading.group(1))]
            block = block[heading.end():]
        if block.startswith("    "):
            lines += verbatim(re.sub(r"^    ", "", block, flags=re.M))
            continue
        first, *entries = re.split(r"^ *- ", block, flags=re.M)
        if first.strip():
            lines += [".PP", escape(re.sub(r"\s+", " ", first.strip()))]
        for entry in entries:
            lines += [".IP \\(bu 2", escape(re.sub(r"\s+", " ", entry.strip()))]
    return lines


def function_lines(function):
    lines = [f".SS {escape(function.name)}", ".nf", bold(function.prototype), ".fi",
             *comment_lines(function.text)]
    for name, text in function.parameters:
        lines += [".TP", f"\\fI{escape(name)}\\fR", escape(re.sub(r"\s+", " ", text.strip()))]
    if function.returns:
        lines += comment_lines("Returns: " + function.returns)
    return lines + (comment_lines(function.note) if function.note else [])


def library_page(header, commands):
    lines = title("udm", 3, header.version, "Library Functions Manual")
    lines += [".SH NAME", "udm \\- unified decode metadata in one kernel launch", ".SH SYNOPSIS",
              ".nf", "\\fB#include <udm.h>\\fR", "", "link with \\fB\\-ludm\\fR", ".fi",
              ".SH DESCRIPTION", *comment_lines(header.opening), ".SH FUNCTIONS"]
    for function in header.functions:
        lines += function_lines(function)
    lines += [".SH STATUS"]
    for name, value, text in header.statuses:
        lines += [".TP", f"{bold(name)} ({value})", escape(text)]
    lines += [".SH NOTES", "The structures and their fields are described in", ".IR udm.h ;",
              "for C++, see", ".IR udm.hpp ."]
    return "\n".join(lines + see_also([("udm", 1)] + [(f"udm-{c.name}", 1) for c in commands])) + \
        "\n"
