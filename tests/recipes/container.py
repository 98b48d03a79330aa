"""What the recipes run in: a recipe's text, containers, and pods as Kubernetes starts them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import stat
import subprocess
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GPU = {"UDM_DRIVER_LIBRARY": "/recipe/lib/libfake_cuda.so"}


def check(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: {got}, want {want}")


class Document:
    """A recipe: its text, and its blocks of code in their order."""

    def __init__(self, text):
        self.text = text
        self.blocks = [block.strip("\n") for fenced, indented in re.findall(
            r"```\w+\n(.*?)```|((?:^    [^\n]*\n)+)", text, re.DOTALL | re.MULTILINE)
                       for block in (fenced or re.sub(r"^    ", "", indented, flags=re.M),)]
        self.used = 0

    def block(self):
        self.used += 1
        return self.blocks[self.used - 1]

    def assignment(self, variable):
        """VARIABLE=value in the text outside the blocks."""
        return {variable: re.search(rf"`{variable}=([^`\s]+)`", self.text).group(1)}


def read_recipes(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        section = re.search(r"^## Recipes\n(.*?)(?=^## )", file.read(), re.DOTALL | re.MULTILINE)
    parts = re.split(r"^### (.*)\n", section.group(1), flags=re.MULTILINE)[1:]
    return dict(zip(parts[0::2], map(Document, parts[1::2])))


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


# A container's own mount namespace and root; chroot would forbid user namespaces.
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
ENTER = 'cd "$0" && pivot_root . old && umount --lazy /old && exec setpriv "$@"'


class Container:
    """A root of its own: the machine's programs, and nothing else that could be written."""

    tools = None

    def __init__(self, *volumes):
        self.root = tempfile.mkdtemp(prefix="udm-recipe-")
        mount("-t", "tmpfs", "-o", "mode=0755", "recipe", self.root)
        for folder in ("usr", "bin", "lib", "lib64", "etc", "dev", "proc", "sys"):
            if os.path.islink(f"/{folder}"):
                os.symlink(os.readlink(f"/{folder}"), f"{self.root}/{folder}")
            elif os.path.isdir(f"/{folder}"):
                self.bind(f"/{folder}", f"/{folder}", "rbind")
        self.bind(Container.tools, "/recipe")
        os.mkdir(f"{self.root}/old")
        os.mkdir(f"{self.root}/tmp")
        os.chmod(f"{self.root}/tmp", 0o1777)
        for outside, inside in volumes:
            self.bind(outside, inside)

    def bind(self, outside, inside, kind="bind", read_only=False):
        os.makedirs(self.root + inside, exist_ok=True)
        mount("-o", kind, outside, self.root + inside)
        if read_only:
            mount("-o", "remount,bind,ro", self.root + inside)

    def make_read_only(self):
        mount("-o", "remount,bind,ro", self.root)  # the volumes stay as they are

    def folder(self, path, user, mode=0o755):
        os.makedirs(self.root + path)
        os.chown(self.root + path, user[0], user[1])
        os.chmod(self.root + path, mode)

    def run(self, script, user, *environments, code=0):
        env = {"PATH": "/recipe/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        for environment in environments:
            env.update(environment)
        uid, gid, groups = user
        others = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
        done = subprocess.run(
            [*NAMESPACE, "/bin/sh", "-c", ENTER, self.root, f"--reuid={uid}", f"--regid={gid}",
             others, "/bin/bash", "-euo", "pipefail", "-c", script],
            env=env, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=120)
        if done.returncode != code:
            raise AssertionError(f"exit {done.returncode}, want {code}: {script}\n{done.stdout}"
                                 f"{done.stderr}")
        return done

    def serves(self, source, user, *environments):
        """A server starts, and doctor names this source of its image; both must be content."""
        done = self.run("serve", user, GPU, *environments)
        report = json.loads(self.run("udm doctor --json", user, GPU, *environments).stdout)
        check("image", report["devices"][0]["image"]["source"], source)
        return done.stderr


def emptydir():
    """A volume as Kubernetes makes it."""
    volume = tempfile.mkdtemp(prefix="udm-volume-")
    os.chmod(volume, 0o777)
    return volume


def give_to_group(volume, group):
    """What Kubernetes does with fsGroup: everything belongs to the group, which may write."""
    for folder, _, files in os.walk(volume):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            os.chown(path, -1, group)
            os.chmod(path, mode | (0o2770 if path == folder else 0o660))


class Pod:
    """The fields of a pod that matter here; the manifests of the documents are in flow style."""

    def __init__(self, manifest):
        spec, *containers = re.split(r"^    - name: ", manifest.split("  volumes:")[0], flags=re.M)
        numbers = dict(re.findall(r"(runAsUser|runAsGroup|fsGroup): (\d+)", spec))
        self.group = int(numbers["fsGroup"]) if "fsGroup" in numbers else None
        self.user = (int(numbers.get("runAsUser", 0)), int(numbers.get("runAsGroup", 0)),
                     (self.group,) if self.group else ())
        self.once = "fsGroupChangePolicy: OnRootMismatch" in spec
        self.containers = {text.split("\n")[0]: text for text in containers}

    def env(self, name):
        return dict(re.findall(r'\{name: (\w+), value: "?([^"}]*)"?\}', self.containers[name]))

    def command(self, name):
        return re.search(r"command: \[(.*?)\]", self.containers[name]).group(1).replace(", ", " ")

    def start(self, name, volume):
        """Makes the volume ready as for a new pod, and a container with it."""
        status = os.stat(volume)
        ready = status.st_gid == self.group and status.st_mode & 0o2770 == 0o2770
        if self.group and not (self.once and ready):
            give_to_group(volume, self.group)
        text = self.containers[name]
        container = Container()
        inside = re.search(r"mountPath: ([\w/]+)", text).group(1)
        container.bind(volume, inside, read_only="readOnly: true" in text)
        if "readOnlyRootFilesystem: true" in text:
            container.make_read_only()
        return container
