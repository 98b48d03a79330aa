#!/usr/bin/env python3
"""Reads the includes of runtime/ and tools/ and fails on a circle, on an arrow against the order of
the rooms of runtime/, and on a folder of runtime/ with more than a dozen sources.

usage: includes.py ROOT [--self-test]

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sys
import tempfile

# The rooms of runtime/ and the rooms that each may use besides itself.
MAY_USE = {
    "core": set(),
    "driver": {"core"},
    "nvrtc": {"core"},
    "cache": {"core"},
    "image": {"core", "driver", "nvrtc", "cache"},
    "launch": {"core", "driver", "nvrtc", "cache", "image"},
    "query": {"core", "driver", "nvrtc", "cache", "image"},
}
MAX_SOURCES = 12
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def sources_below(folder):
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("build")]
        for name in names:
            if name.endswith((".c", ".h")):
                yield os.path.join(place, name)


def read_graph(folder):
    """The sources below a folder, and which of them each includes."""
    folder = os.path.normpath(folder)
    sources = set(sources_below(folder))
    graph = {}
    for source in sorted(sources):
        graph[source] = set()
        with open(source, encoding="utf-8") as file:
            included = INCLUDE.findall(file.read())
        for name in included:
            for start in (os.path.dirname(source), folder):
                target = os.path.normpath(os.path.join(start, name))
                if target in sources and target != source:
                    graph[source].add(target)
                    break
    return graph


def as_modules(graph):
    """A module is x.c with x.h: two modules that use each other are a circle."""
    modules = {}
    for source, targets in graph.items():
        uses = modules.setdefault(os.path.splitext(source)[0], set())
        uses |= {os.path.splitext(target)[0] for target in targets}
    return {module: uses - {module} for module, uses in modules.items()}


def find_circle(modules):
    state = {}

    def visit(module, path):
        state[module] = "open"
        for used in sorted(modules.get(module, ())):
            if state.get(used) == "open":
                return path[path.index(used):] + [used] if used in path else [module, used]
            if used not in state:
                circle = visit(used, path + [used])
                if circle:
                    return circle
        state[module] = "done"
        return None

    for module in sorted(modules):
        if module not in state:
            circle = visit(module, [module])
            if circle:
                return circle
    return None


def check_rooms(runtime, graph):
    problems = []

    def room_of(source):
        parts = os.path.relpath(source, runtime).split(os.sep)
        return parts[0] if len(parts) > 1 else ""

    counts = {}
    for source, targets in graph.items():
        room = room_of(source)
        counts[room] = counts.get(room, 0) + 1
        if room not in MAY_USE:
            problems.append(f"{source}: '{room}' is not a room of runtime/")
            continue
        for target in targets:
            other = room_of(target)
            if other != room and other not in MAY_USE[room]:
                problems.append(f"{source} includes {target}: {room} may not use {other}")
    for room, count in sorted(counts.items()):
        if count > MAX_SOURCES:
            problems.append(f"{runtime}/{room}: {count} sources, more than {MAX_SOURCES}")
    return problems


def check(root):
    problems = []
    for name in ("runtime", "tools"):
        folder = os.path.normpath(os.path.join(root, name))
        graph = read_graph(folder)
        if name == "runtime":
            problems += check_rooms(folder, graph)
        circle = find_circle(as_modules(graph))
        if circle:
            problems.append("circle: " + " -> ".join(os.path.relpath(part, root) for part in circle))
    return problems


def plant(root, files):
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def self_test():
    """Each planted mistake is found, and a tree without mistakes passes."""
    good = {"runtime/core/a.h": "", "runtime/cache/b.c": '#include "core/a.h"\n', "tools/c.h": ""}
    mistakes = {
        "may not use": {"runtime/core/a.h": '#include "cache/b.h"\n', "runtime/cache/b.h": ""},
        "circle": {"tools/c.h": '#include "d.h"\n', "tools/d.c": '#include "c.h"\n',
                   "tools/d.h": ""},
        "more than": {f"runtime/cache/f{i}.c": "" for i in range(MAX_SOURCES)},
        "not a room": {"runtime/stray.c": ""},
    }
    for wanted, files in [(None, {})] + list(mistakes.items()):
        with tempfile.TemporaryDirectory() as root:
            plant(root, {**good, **files})
            problems = check(root)
        found = any(wanted in problem for problem in problems) if wanted else not problems
        if not found:
            return [f"self-test: '{wanted}' was not found: {problems}"]
    return []


def main():
    problems = self_test() if "--self-test" in sys.argv else check(sys.argv[1])
    print("\n".join(problems) if problems else "no circle, no arrow against the order of the rooms")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
