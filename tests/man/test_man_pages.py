#!/usr/bin/env python3
"""The manual pages and completions of udm: test_man_pages.py UDM FOLDER ROOT

SPDX-License-Identifier: Apache-2.0
"""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

UDM, FOLDER, ROOT = sys.argv[1:4]
sys.path.insert(0, os.path.join(ROOT, "tools", "man"))
import header_text  # noqa: E402
import help_text  # noqa: E402

MAIN, COMMANDS = help_text.read(UDM)
BASH_COMPLETION = os.path.join(FOLDER, "bash-completion", "completions", "udm")
ZSH_COMPLETION = os.path.join(FOLDER, "zsh", "_udm")


def bash_completes(*words):
    """What bash offers for the last of these words."""
    script = """
      source "$1" && shift
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
      _udm && printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script, "bash", BASH_COMPLETION, "udm", *words],
                          capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if line]


def a_value_for(argument):
    return argument.split("|")[0] if "|" in argument else {"LIST": "sm_90"}.get(argument, "1")


class ManualPages(unittest.TestCase):
    def pages(self):
        return sorted(glob.glob(os.path.join(FOLDER, "man", "man?", "*.gz")))

    def test_there_is_one_for_each_command_and_the_library(self):
        names = {os.path.basename(page) for page in self.pages()}
        wanted = {f"udm-{c.name}.1.gz" for c in COMMANDS} | {"udm.1.gz", "udm.3.gz"}
        self.assertEqual(names, wanted)

    def test_groff_has_nothing_to_say(self):
        if not shutil.which("groff"):
            self.skipTest("no groff here")
        for page in self.pages():
            with gzip.open(page) as file:
                done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8"], input=file.read(),
                                      capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""), page)

    def test_the_help_is_in_the_page(self):
        for command in COMMANDS:
            path = os.path.join(FOLDER, "man", "man1", f"udm-{command.name}.1.gz")
            with gzip.open(path, "rt") as file:
                text = file.read().replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")
            for section in command.sections:
                for item in section.items:
                    self.assertIn(item.text, text)
                self.assertIn(section.text, text)
            self.assertIn("EXIT STATUS", text)

    def test_the_library_page_has_every_function(self):
        with open(os.path.join(ROOT, "runtime", "udm.map"), encoding="utf-8") as file:
            functions = re.findall(r"^ +(udm_[a-z_]+);$", file.read(), re.M)
        with gzip.open(os.path.join(FOLDER, "man", "man3", "udm.3.gz"), "rt") as file:
            text = file.read()
        self.assertGreater(len(functions), 20)
        for function in functions:
            self.assertIn(f"{function}(", text)

    def test_every_function_of_the_header_is_documented(self):
        header = header_text.read(os.path.join(ROOT, "include", "udm.h"))
        self.assertGreater(len(header.functions), 20)
        for function in header.functions:
            self.assertTrue(function.text, function.name)
            self.assertTrue(function.note, function.name)
            self.assertEqual([name for name, _ in function.parameters],
                             function.declared_parameters(), function.name)
            self.assertEqual(bool(function.returns),
                             not function.prototype.startswith("void "), function.name)


class Options(unittest.TestCase):
    def test_the_command_takes_every_option_of_its_help(self):
        for command in COMMANDS:
            self.assertTrue(command.options(), command.name)
            for name, argument, _ in command.options():
                words = [name, a_value_for(argument)] if argument else [name]
                done = subprocess.run([UDM, command.name, *words, "--help"], capture_output=True,
                                      text=True, check=False)
                self.assertEqual(done.returncode, 0, f"{command.name} {words}: {done.stderr}")

    def test_every_option_of_the_sources_is_in_a_help(self):
        known = {name for c in COMMANDS for name, _, _ in c.options()} | {"--help"}
        found = set()
        for path in glob.glob(os.path.join(ROOT, "tools", "**", "*.c"), recursive=True):
            with open(path, encoding="utf-8") as file:
                found |= set(re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', file.read()))
        self.assertGreater(len(found), 5)
        self.assertEqual({f"--{name}" for name in found} - known, set())


class Bash(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(set(bash_completes("")),
                         {c.name for c in COMMANDS} | {"--help", "--version"})
        self.assertEqual(bash_completes("rep"), ["replay"])

    def test_options(self):
        for command in COMMANDS:
            wanted = {name for name, _, _ in command.options()} | {"--help"}
            self.assertEqual(set(bash_completes(command.name, "-")), wanted)

    def test_values(self):
        self.assertEqual(set(bash_completes("replay", "--device", "")), {"auto", "gpu", "cpu"})
        self.assertEqual(bash_completes("replay", "--seed", ""), [])
        self.assertEqual(bash_completes("no-such-command", ""), [])

    def test_actions_of_cache(self):
        self.assertIn("verify", bash_completes("cache", "ver"))

    def test_folders_and_files(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "a folder"))
            with open(os.path.join(folder, "trace.csv"), "w", encoding="utf-8"):
                pass
            self.assertEqual(bash_completes("doctor", "--cache-dir", folder + "/"),
                             [os.path.join(folder, "a folder")])
            self.assertIn(os.path.join(folder, "trace.csv"), bash_completes("replay", folder + "/"))


class Zsh(unittest.TestCase):
    def zsh(self, script):
        if not shutil.which("zsh"):
            self.skipTest("no zsh here")
        done = subprocess.run(["zsh", "-fc", script, "zsh", ZSH_COMPLETION], capture_output=True,
                              text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def specs(self, *words):
        """What the completion gives zsh's own functions to work with."""
        quoted = " ".join(f"'{word}'" for word in words)
        return self.zsh(f"""
          _arguments() {{ print -rl -- "$@" }}
          _describe() {{ print -rl -- ${{(P)2}} }}
          words=(udm {quoted}) CURRENT={len(words) + 1}
          source $1""")

    def test_commands(self):
        names = {line.split(":")[0] for line in self.specs("")}
        self.assertLessEqual({c.name for c in COMMANDS}, names)

    def test_options(self):
        for command in COMMANDS:
            names = {line.split("[")[0] for line in self.specs(command.name, "")}
            self.assertLessEqual({name for name, _, _ in command.options()}, names)

    def test_zsh_can_parse_it(self):
        self.zsh("zsh -n $1")


class HelpText(unittest.TestCase):
    def test_another_form_is_refused(self):
        for text in ("no usage\n", "usage: udm x\n\n  --option  text\n   \n x\n  --b\n -c"):
            with self.assertRaises((ValueError, IndexError)):
                page = help_text.parse(text, "x", "summary")
                if not page.options():
                    raise ValueError("no options")
                help_text.parse("usage: udm x\n\nheading\n   three spaces\n", "x", "summary")

    def test_items_go_on_and_headings_are_found(self):
        page = help_text.parse("usage: udm x A|B [OPTION...]\n\nText.\n\nhead\n  --one N   text\n"
                               "            more\n  --two\n", "x", "summary")
        self.assertEqual(page.options(), [("--one", "N", "text more"), ("--two", None, "")])
        self.assertEqual(page.positionals(), ["A|B"])
        self.assertEqual(page.actions(), {})
        self.assertEqual([s.heading for s in page.sections], ["", "head"])

    def test_actions_and_their_options(self):
        page = help_text.parse("usage: udm x ACTION [OPTION...]\n\nlook\n  list         text\n"
                               "move\n  export FILE  text\n    --stale    of it\n", "x", "summary")
        self.assertEqual(page.actions(), {"list": None, "export": "FILE"})
        self.assertEqual(page.options(), [("--stale", None, "of it")])
        self.assertEqual(page.positionals(), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
