"""Reads the help text of the udm command or of one of its commands.

    usage: udm replay TRACE [OPTION...]          usage lines, up to a blank one

    A paragraph, in lines of any length.

    where                                        a heading: the next line is indented
      --device auto|gpu|cpu    its text          an item: two spaces, then two or more before
                               goes on           its text, which may go on deeper; an option of
        --other                its text          the item above may be two spaces deeper

The items that are words, such as 'export FILE', are the actions of 'udm COMMAND ACTION'.

SPDX-License-Identifier: Apache-2.0
"""
import re
import subprocess
from dataclasses import dataclass, field

ITEM = re.compile(r"^  (?:  (?=--))?(\S+(?: \S+)*)(?:  +(\S.*))?$")
DEEPER = re.compile(r"^ {3,}(\S.*)$")
OPTION = re.compile(r"^(--[a-z][a-z0-9-]*)(?:[ =](\S+))?$")
ACTION = re.compile(r"^([a-z]+)(?: ([A-Z]+))?$")


@dataclass
class Item:
    term: str
    text: str = ""

    @property
    def option(self):
        """(name, argument or None) of an option, None for any other item."""
        match = OPTION.match(self.term)
        return match and (match.group(1), match.group(2))


@dataclass
class Section:
    heading: str = ""
    items: list = field(default_factory=list)  # empty: a paragraph
    text: str = ""


@dataclass
class Help:
    name: str  # "" for the udm command itself
    summary: str
    usage: list
    sections: list

    def options(self):
        """Every option once: (name, argument or None, text)."""
        found = {}
        for section in self.sections:
            for item in section.items:
                if item.option and section.heading != "examples":
                    found.setdefault(item.option[0], (*item.option, item.text))
        return list(found.values())

    def positionals(self):
        """The arguments before the options in the usage, except an action: ['TRACE']."""
        words = self.usage[0].split()[2:]
        found = []
        for word in words:
            if word.startswith(("[", "-")):
                break
            found.append(word)
        return [] if self.actions() else found

    def actions(self):
        """The words that may stand in the place of ACTION or a|b|c: {'export': 'FILE'}."""
        words = self.usage[0].split()[2:]
        if not words or not re.fullmatch(r"ACTION|[a-z]+(\|[a-z]+)+", words[0]):
            return {}
        matches = [ACTION.match(item.term) for section in self.sections
                   if section.heading != "examples" for item in section.items]
        return {match.group(1): match.group(2) for match in matches if match}


def parse_usage(lines):
    usage = []
    while lines and lines[0].strip():
        line = lines.pop(0)
        text = re.sub(r"^usage:", "", line).strip()
        if text.startswith("udm"):
            usage.append(text)
        else:
            usage[-1] += " " + text
    return usage


def parse_items(lines, heading):
    section = Section(heading)
    while lines and lines[0].startswith("  "):
        line = lines.pop(0)
        item = ITEM.match(line)
        deeper = DEEPER.match(line)
        if item:
            section.items.append(Item(item.group(1), item.group(2) or ""))
        elif deeper and section.items:
            last = section.items[-1]
            last.text = f"{last.text} {deeper.group(1)}".strip()
        else:
            raise ValueError(f"neither an item nor its continuation: {line!r}")
    return section


def parse_sections(lines):
    sections = []
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif lines[0].startswith("  "):
            sections.append(parse_items(lines, ""))
        elif len(lines) > 1 and lines[1].startswith("  "):
            sections.append(parse_items(lines, lines.pop(0)))
        else:
            text = []
            while lines and lines[0].strip() and not lines[0].startswith("  "):
                text.append(lines.pop(0))
            sections.append(Section(text=" ".join(text)))
    return sections


def parse(text, name, summary):
    lines = text.splitlines()
    if not name:
        summary = lines.pop(0).split(": ", 1)[1]
        lines.pop(0)
    if not lines or not lines[0].startswith("usage: udm"):
        raise ValueError(f"the help of 'udm {name}' does not begin with its usage")
    return Help(name, summary, parse_usage(lines), parse_sections(lines))


def read(udm):
    """The help of the command itself, and of each command that it lists."""

    def run(*arguments):
        return subprocess.run([udm, *arguments], check=True, capture_output=True, text=True).stdout

    main = parse(run("--help"), "", "")
    commands = next(s for s in main.sections if s.heading == "commands")
    return main, [parse(run(i.term, "--help"), i.term, i.text) for i in commands.items]
