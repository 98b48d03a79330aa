#!/usr/bin/env python3
"""Fails if runtime/ reads or writes the text of udm_last_error() outside a public function: only
functions that runtime/udm.map exports may call udm_thread_error(), none may call udm_last_error().

usage: last_error.py ROOT [--self-test]

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sys

DEFINED_IN = "status"
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DEFINITION = re.compile(r"^(?!typedef|#)[A-Za-z_].*?\b(\w+)\((?!.*;\s*$)")
USE = re.compile(r"\b(udm_thread_error|udm_last_error|udm_last_error_of_thread)\b")


def without_comments(text):
    return COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)


def problems_in(name, text, exported):
    problems = []
    function = None
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        definition = DEFINITION.match(line)
        if definition:
            function = definition.group(1)
        for use in USE.findall(line):
            if use != "udm_thread_error":
                problems.append(f"{name}:{number}: {use}: pass a struct error instead")
            elif function not in exported:
                problems.append(f"{name}:{number}: {function}() is not public: take a struct error")
    return problems


def exported_by(text):
    return set(re.findall(r"^\s*(udm_\w+);", text, re.MULTILINE))


def check(root):
    runtime = os.path.join(root, "runtime")
    with open(os.path.join(runtime, "udm.map"), encoding="utf-8") as file:
        exported = exported_by(file.read())
    problems = []
    for place, _, names in os.walk(runtime):
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending not in (".c", ".h") or stem == DEFINED_IN:
                continue
            with open(os.path.join(place, name), encoding="utf-8") as file:
                problems += problems_in(os.path.join(place, name), file.read(), exported)
    return problems


def self_test():
    """Each text with the number of mistakes in it."""
    use = "  struct error *error = udm_thread_error();\n"
    planted = {
        "udm_status udm_create(const udm_options *options,\n                      int a) {\n" + use: 0,
        "static udm_status find(int a) {\n" + use: 1,
        "udm_status udm_create(int a) {\n}\n\nstatic udm_status find(int a) {\n" + use: 1,
        "static udm_status find(int a);\nudm_status udm_create(int a) {\n" + use: 0,
        "static void keep(void) {\n  copy(udm_last_error());\n}\n": 1,
        "/* udm_last_error()\n * and udm_thread_error() */\n": 0,
    }
    exported = exported_by("UDM_0.1 {\n  global:\n    udm_create;\n};\n")
    return [f"self-test: {text!r}" for text, count in planted.items()
            if len(problems_in("planted", text, exported)) != count]


def main():
    problems = self_test() if "--self-test" in sys.argv else check(sys.argv[1])
    print("\n".join(problems) if problems else "public functions alone use the last error")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
