#!/usr/bin/env python3
"""The layer that is installed with the library: found from the command and from libudm.so wherever
the tree lies, searched last, trusted as the library itself.

    system_layer.py UDM LIBUDM QUERY_LAYER FAKE_CUDA FAKE_NVRTC FROM_PROGRAM

FROM_PROGRAM is the path of the layer, relative to the folder of the command.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


class Tree:
    """An installed tree with the command, the library and the layer."""

    def __init__(self, tmp, arguments):
        command, library, self.query_layer, fake_cuda, self.fake_nvrtc, relative = arguments
        self.tmp = tmp
        self.command = os.path.join(tmp, "prefix", "bin", "udm")
        self.layer = os.path.normpath(os.path.join(tmp, "prefix", "bin", relative))
        self.library = os.path.join(self.layer, "..", "..", "libudm.so.0")
        self.library = os.path.normpath(self.library)
        for folder in (os.path.dirname(self.command), self.layer):
            os.makedirs(folder)
            os.chmod(folder, 0o755)
        shutil.copy(command, self.command)
        shutil.copy(library, self.library)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("UDM_")}
        self.env.update({"UDM_CACHE_DIR": os.path.join(tmp, "cache"),
                         "UDM_DRIVER_LIBRARY": fake_cuda, "UDM_FAKE_CUDA_DEVICES": "9.0"})

    def run(self, *arguments, command=None, **env):
        answer = subprocess.run([command or self.command, *arguments], env={**self.env, **env},
                                cwd=self.tmp, stdout=subprocess.PIPE, check=False, timeout=240)
        return answer.returncode, answer.stdout.decode()

    def fill(self):
        """Compiles an entry with the fake NVRTC, and puts it there as an installer would."""
        made = os.path.join(self.tmp, "made")
        code, _ = self.run("prewarm", "--arch", "sm_90", "--cache-dir", made,
                           UDM_NVRTC_LIBRARY=self.fake_nvrtc)
        check("prewarm", code, 0)
        (self.entry,) = [name for name in os.listdir(made) if name.endswith(".cubin")]
        shutil.copyfile(os.path.join(made, self.entry), os.path.join(self.layer, self.entry))
        self.chmod(0o644)

    def chmod(self, mode):
        """The mode of the entry; of the folder, with the bits to search it."""
        os.chmod(os.path.join(self.layer, self.entry), mode)
        os.chmod(self.layer, mode | 0o111)

    def layers(self, **env):
        """The folders of the entries, as the command lists them."""
        code, text = self.run("cache", "list", "--json", **env)
        check("udm cache list", code, 0)
        return [(entry["layer"], os.path.dirname(entry["path"]))
                for entry in json.loads(text)["entries"]]

    def query(self, layer, *cache_path):
        """udm_query_cache_layer() of libudm.so: its status, path, and whether it can be used."""
        code, text = self.run(str(layer), *cache_path, command=self.query_layer,
                              LD_LIBRARY_PATH=os.path.dirname(self.library))
        check("query_layer", code, 0)
        status, path, usable, reason = text.splitlines()
        return [status, path, usable == "1", reason]


def check_order(tree):
    check("layers", tree.layers(), [(1, tree.layer)])
    other = os.path.join(tree.tmp, "made")
    for paths in (other, f"{other}:{other}", f":{other}/::{other}:{other}//"):
        check(f"after UDM_CACHE_PATH={paths}", tree.layers(UDM_CACHE_PATH=paths),
              [(1, other), (2, tree.layer)])
    check("of libudm.so", tree.query(1), ["UDM_OK", tree.layer, True, ""])
    check("beyond it", tree.query(2)[0], "UDM_ERROR_NOT_FOUND")
    check("options name other layers", tree.query(1, other)[:2], ["UDM_OK", other])
    check("options name all layers", tree.query(2, other)[0], "UDM_ERROR_NOT_FOUND")


def check_ways_to_run(tree):
    """A link elsewhere, and a command that the shell finds by its name."""
    elsewhere = os.path.join(tree.tmp, "elsewhere")
    os.makedirs(elsewhere)
    os.symlink(tree.command, os.path.join(elsewhere, "udm"))
    for folder in (elsewhere, os.path.dirname(tree.command)):
        code, text = tree.run("-c", f"PATH={folder}:$PATH; udm cache list", command="/bin/sh")
        check("exit code", code, 0)
        check(folder, tree.layer in text, True)


def check_image(tree):
    code, text = tree.run("doctor", "--json", UDM_NO_COMPILE="strict")
    check("udm doctor", code, 0)
    image = json.loads(text)["devices"][0]["image"]
    check("source", image["source"], "read-only layer")
    check("detail", os.path.dirname(image["detail"]), tree.layer)


def check_trust(tree):
    not_trusted = "not trusted: others may write to it (mode %s): chmod go-w it"
    entry = [(1, tree.layer)]
    tree.chmod(0o664)
    check("group may write", tree.query(1)[2:], [False, not_trusted % "0775"])
    os.chmod(tree.library, 0o775)
    check("group may write both", tree.query(1)[2:], [True, ""])
    tree.chmod(0o646)
    check("others may write", tree.query(1)[2:], [False, not_trusted % "0757"])
    tree.chmod(0o644)
    os.chmod(tree.library, 0o755)
    if os.geteuid() == 0:
        for path in (tree.layer, os.path.join(tree.layer, tree.entry)):
            os.chown(path, 65534, 65534)
        check("another user's", tree.query(1)[2:], [False, "not trusted: it belongs to another user"])
        os.chown(tree.command, 65534, 65534)
        check("the user's to whom the command belongs", tree.layers(), entry)
    os.rename(tree.layer, tree.layer + ".moved")
    os.symlink(tree.layer + ".moved", tree.layer)
    check("link", tree.query(1)[2:], [False, "it is a symbolic link, which is not followed"])


def main():
    with tempfile.TemporaryDirectory() as tmp:
        tree = Tree(os.path.realpath(tmp), sys.argv[1:])
        tree.fill()
        check_order(tree)
        check_ways_to_run(tree)
        check_image(tree)
        check_trust(tree)
        os.remove(tree.layer)
        check("no folder", tree.query(1)[0], "UDM_ERROR_NOT_FOUND")


if __name__ == "__main__":
    main()
