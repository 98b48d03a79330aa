#!/usr/bin/env python3
"""Follows the recipes of docs/DEPLOYMENT.md and docs/CACHE.md letter by letter.

The commands, variables and fields come from the documents: who changes a recipe changes what runs
here, and a recipe without a function below fails. Each runs in containers of its own (a new root,
in a private mount namespace), as the users and with the modes that the platform would give, over
the fake driver and the fake NVRTC. What a machine cannot do is said plainly.

    follow_recipes.py UDM FAKE_CUDA FAKE_NVRTC

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from container import (GPU, NAMESPACE, SOURCE, Container, Pod, check, emptydir, give_to_group,
                       mount, read_recipes)

DOCUMENTS = ("docs/DEPLOYMENT.md", "docs/CACHE.md")
RECIPES = {}

USER = (1000, 1000, ())
ROOT = (0, 0, ())
NO_GPU = {"UDM_DRIVER_LIBRARY": "/none/libcuda.so.1"}
NVRTC = {"UDM_NVRTC_LIBRARY": "/recipe/lib/libfake_nvrtc.so"}
NO_NVRTC = {"UDM_NVRTC_LIBRARY": "/none/libnvrtc.so"}


def skipped(what, why):
    print(f"skipped: {what}: {why}")


def recipe(title):
    def remember(function):
        RECIPES[title] = function
        return function
    return remember


# --------------------------------------------------------------------------------------------------
# docs/DEPLOYMENT.md
# --------------------------------------------------------------------------------------------------


def build_layer(document):
    """The folder of images that an image build without a GPU makes."""
    build = Container()
    install, *commands = document.block().split("\n")
    check("the first command", install.split()[:3], ["pip", "install", "nvidia-cuda-nvrtc"])
    skipped(install.split("#")[0].strip(), "no network here; the fake NVRTC stands for it")
    build.run("\n".join(commands), ROOT, NO_GPU, NVRTC)
    return f"{build.root}/opt/udm-cache"


@recipe("An image built without a GPU")
def image_without_gpu(document):
    layer = build_layer(document)
    env = document.assignment("UDM_CACHE_PATH")
    serving = Container((layer, env["UDM_CACHE_PATH"]))
    serving.make_read_only()
    for user in (ROOT, USER):
        serving.serves("read-only layer", user, NO_NVRTC, env)


@recipe("A fleet with drivers of two generations")
def two_driver_generations(document):
    build = Container()
    if os.path.isdir(f"{build.root}/usr/local"):
        mount("-t", "tmpfs", "recipe", f"{build.root}/usr/local")  # it may have a real NVRTC
    skipped("pip install", "no network here; it puts fake NVRTCs where the wheels have theirs")
    pip = """
pip() {
  local folder=$VIRTUAL_ENV/lib/python3.11/site-packages/nvidia
  [[ $* == "install nvidia-cuda-nvrtc nvidia-cuda-nvrtc-cu12" ]]
  mkdir -p "$folder/cu13/lib" "$folder/cuda_nvrtc/lib"
  cp /recipe/lib/libfake_nvrtc.so "$folder/cu13/lib/libnvrtc.so.13"
  cp /recipe/lib/libfake_nvrtc.so "$folder/cuda_nvrtc/lib/libnvrtc.so.12"
  echo 12.9 >"$folder/cuda_nvrtc/lib/version"
}
"""
    build.run(pip + document.block(), ROOT, NO_GPU, {"VIRTUAL_ENV": "/env"})
    layer = {"UDM_CACHE_PATH": "/opt/udm-cache"}
    gate = re.search(r"`(UDM_NO_COMPILE=strict udm doctor)`", document.text).group(1)
    node = Container((f"{build.root}/opt/udm-cache", "/opt/udm-cache"))
    node.make_read_only()
    for driver, code in (("12080", 0), ("13000", 0), ("13010", 0), ("11080", 1)):
        node.run(gate, USER, GPU, NO_NVRTC, layer, {"UDM_FAKE_CUDA_VERSION": driver}, code=code)
        if code == 0:
            node.serves("read-only layer", USER, NO_NVRTC, layer,
                        {"UDM_FAKE_CUDA_VERSION": driver, "UDM_NO_COMPILE": "strict"})


@recipe("A locked-down node")
def locked_down_node(document):
    images = read_recipes(DOCUMENTS[0])["An image built without a GPU"]
    node = Container((build_layer(images), "/opt/udm-cache"))
    node.make_read_only()
    commands = document.block()
    node.run(commands, USER, GPU, NO_NVRTC)
    empty = Container()
    empty.make_read_only()
    empty.run(commands, USER, GPU, NO_NVRTC, code=1)


@recipe("A machine with pip wheels only")
def pip_wheels(document):
    machine = Container()
    machine.folder("/home/user", USER)
    skipped("pip install", "no network here; it puts the fake NVRTC where the wheel has its own")
    pip = """
pip() {
  local folder=$(echo "$VIRTUAL_ENV"/lib/python3*/site-packages)/nvidia/cu13/lib
  [[ $* == "install nvidia-cuda-nvrtc" ]] && mkdir -p "$folder"
  cp /recipe/lib/libfake_nvrtc.so "$folder/libnvrtc.so.13"
}
cd
"""
    done = machine.run(pip + document.block() + " --json", USER, GPU, {"HOME": "/home/user"})
    candidates = {entry["library"]: entry for entry in
                  json.loads(done.stdout)["nvrtc_candidates"]}
    wheel = [name for name in candidates if name.startswith("/home/user/env/")]
    check("the wheel's NVRTC", [candidates[name]["usable"] for name in wheel], [True])


@recipe("A read-only root")
def read_only_root(document):
    pod = Pod(document.block())
    volume = emptydir()
    server = pod.start("server", volume)
    server.serves("cache", pod.user, NVRTC, pod.env("server"))
    without = Container()
    without.make_read_only()
    check("the warning", "not cached" in without.serves("nvrtc", pod.user, NVRTC), True)


@recipe("A persistent volume with fsGroup")
def volume_with_fsgroup(document):
    pod = Pod(document.block())
    volume = emptydir()
    os.chmod(volume, 0o755)
    for start in range(3):
        server = pod.start("server", volume)
        expected = NVRTC if start == 0 else NO_NVRTC
        server.serves("cache", pod.user, expected, pod.env("server"))
    give_to_group(volume, pod.group)  # the default policy; the text names what mends it
    server = pod.start("server", volume)
    server.serves("shipped ptx", pod.user, NO_NVRTC, pod.env("server"))
    mend = re.search(r"`(chmod [^`]*)`", document.text).group(1)
    server.run(mend, pod.user)
    server.serves("cache", pod.user, NO_NVRTC, pod.env("server"))


@recipe("A random user (OpenShift)")
def random_user(document):
    pod = Pod(document.block())
    pod.user = (1000650000, 0, (1000650000,))
    pod.group = 1000650000
    for variables in (pod.env("server"), dict(pod.env("server"), HOME="/")):
        pod.start("server", emptydir()).serves("cache", pod.user, NVRTC, variables)
    layer = build_layer(read_recipes(DOCUMENTS[0])["An image built without a GPU"])
    server = Container((layer, "/opt/udm-cache"))
    server.serves("read-only layer", pod.user, NO_NVRTC, {"UDM_CACHE_PATH": "/opt/udm-cache"})


@recipe("A systemd unit")
def systemd_unit(document):
    unit = re.findall(r"^(\w+)=(.*)$", document.block(), re.MULTILINE)
    fields = dict(unit)
    check("strict", fields["ProtectSystem"], "strict")
    service = (990, 990, ())
    machine = Container()
    machine.folder(f"/var/cache/{fields['CacheDirectory']}", service,
                   int(fields["CacheDirectoryMode"], 8))
    cache = f"{machine.root}/var/cache/{fields['CacheDirectory']}"
    machine.bind(cache, f"/var/cache/{fields['CacheDirectory']}")
    machine.make_read_only()
    env = dict([fields["Environment"].split("=", 1)])
    machine.run(fields["ExecStartPre"], service, GPU, NVRTC, env)
    machine.run(fields["ExecStart"], service, GPU, NO_NVRTC, env)
    machine.serves("cache", service, NO_NVRTC, env)
    dynamic = re.search(r"UDM_CACHE_DIR=(/var/cache/private[^`]*)`", document.text).group(1)
    machine = Container()
    machine.folder(dynamic, service)
    os.symlink("private/udm", f"{machine.root}/var/cache/udm")
    machine.serves("nvrtc", service, NVRTC, {"UDM_CACHE_DIR": "/var/cache/udm"})
    machine.serves("cache", service, NVRTC, {"UDM_CACHE_DIR": dynamic})
    skipped("systemd itself", "it does not run here; the fields are followed by hand")


@recipe("A shared home, two drivers")
def two_drivers(document):
    home = tempfile.mkdtemp(prefix="udm-home-")
    os.chown(home, USER[0], USER[1])
    node = Container((home, "/home/user"))
    command = document.block()
    nodes = [{"HOME": "/home/user", "UDM_FAKE_CUDA_VERSION": driver,
              "UDM_FAKE_NVRTC_VERSION": nvrtc}
             for driver, nvrtc in (("12080", "12.8"), ("13000", "13.0"))]
    for env in nodes:
        node.run(command, USER, GPU, NVRTC, env)
    for env in (*nodes, *nodes):
        node.serves("cache", USER, NO_NVRTC, env, {"UDM_NO_COMPILE": "strict"})


# --------------------------------------------------------------------------------------------------
# docs/CACHE.md
# --------------------------------------------------------------------------------------------------


@recipe("A layer of a container image")
def container_layer(document):
    lines = document.block().split("\n")
    build = Container()
    variables = {}
    for line in lines:
        instruction, rest = line.split(" ", 1)
        if instruction == "RUN":
            build.run(rest, ROOT, NO_GPU, NVRTC)
        else:
            check("instruction", instruction, "ENV")
            variables.update(part.split("=", 1) for part in rest.split())
    serving = Container((f"{build.root}/opt/udm-cache", variables["UDM_CACHE_PATH"]))
    serving.make_read_only()
    for user in (ROOT, USER):
        serving.serves("read-only layer", user, NO_NVRTC, variables)


@recipe("A read-only mount")
def read_only_mount(document):
    images = read_recipes(DOCUMENTS[0])["An image built without a GPU"]
    env = document.assignment("UDM_CACHE_PATH")
    strict = dict(env, UDM_NO_COMPILE="strict")
    node = Container()
    node.folder("/home/user", USER)
    layer = build_layer(images)
    node.bind(layer, env["UDM_CACHE_PATH"], read_only=True)
    node.serves("read-only layer", USER, NO_NVRTC, env, {"HOME": "/home/user"})
    check("what is written", os.listdir(f"{node.root}/home/user"), [])
    rootless = "unshare --user --map-root-user serve"
    try:
        node.run("unshare --user --map-root-user true", USER)
    except AssertionError:
        skipped("a rootless container", "this machine allows no user namespace")
        return
    node.run(rootless, USER, GPU, NO_NVRTC, strict, code=1)  # it belongs to nobody there
    mount("-o", "remount,bind,rw", node.root + env["UDM_CACHE_PATH"])
    subprocess.run(["chown", "-R", "1000:1000", layer], check=True)
    node.run(rootless, USER, GPU, NO_NVRTC, strict)


@recipe("A Kubernetes init container")
def init_container(document):
    pod = Pod(document.block())
    volume = emptydir()
    pod.start("udm-prewarm", volume).run(pod.command("udm-prewarm"), pod.user, GPU, NVRTC)
    pod.start("server", volume).serves("read-only layer", pod.user, NO_NVRTC, pod.env("server"))
    archs = re.search(r"`(--arch [^`]+)`", document.text).group(1)
    volume = emptydir()
    pod.start("udm-prewarm", volume).run(f"{pod.command('udm-prewarm')} {archs}", pod.user, NO_GPU,
                                         NVRTC)
    pod.start("server", volume).serves("read-only layer", pod.user, NO_NVRTC, pod.env("server"))


@recipe("A shared network home")
def shared_home(document):
    skipped("a network file system", "this machine has none; a local folder stands for it")
    home = tempfile.mkdtemp(prefix="udm-home-")
    os.chown(home, USER[0], USER[1])
    for nvrtc in (NVRTC, NO_NVRTC):
        Container((home, "/home/user")).serves("cache", USER, nvrtc, {"HOME": "/home/user"})
    local = re.search(r"`(UDM_CACHE_DIR=/local/\$USER/udm)`", document.text).group(1)
    node = Container()
    node.folder("/local/user", USER)
    node.run(f"export {local}\nserve", USER, GPU, NVRTC, {"USER": "user"})
    check("local", os.path.isdir(f"{node.root}/local/user/udm"), True)


@recipe("Many ranks under MPI")
def mpi(document):
    commands = document.block()
    if not shutil.which("mpirun"):
        skipped("mpirun", "this machine has none")
        return
    node = Container()
    node.folder("/home/user", USER)
    node.run(commands, USER, GPU, NVRTC, {"HOME": "/home/user"})


@recipe("From one machine to others")
def export_import(document):
    skipped("ssh", "one machine here; another home stands for the other")
    machine = Container()
    machine.folder("/home/user", USER)
    machine.folder("/home/other", USER)
    ssh = 'ssh() { shift; HOME=/home/other "$@"; }\ncd\nudm prewarm\n'
    machine.run(ssh + document.block(), USER, GPU, NVRTC, {"HOME": "/home/user"})
    machine.serves("cache", USER, NO_NVRTC, {"HOME": "/home/other", "UDM_NO_COMPILE": "strict"})


def collect_tools(udm, driver, nvrtc, folder):
    """What every container finds under /recipe; any user may read it."""
    os.makedirs(f"{folder}/bin")
    os.makedirs(f"{folder}/lib")
    shutil.copy(udm, f"{folder}/bin/udm")
    shutil.copy(driver, f"{folder}/lib/libfake_cuda.so")
    shutil.copy(nvrtc, f"{folder}/lib/libfake_nvrtc.so")
    shutil.copy(os.path.join(SOURCE, "tests/cli/traces/good.csv"), folder)
    with open(f"{folder}/bin/serve", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec udm replay /recipe/good.csv --device gpu --steps 1 --check\n")
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    os.chmod(f"{folder}/bin/serve", 0o755)


@recipe("An installation that never compiles")
def never_compiles(document):
    commands = document.block()
    for what in ("pip wheel", "UDM_BUILD_CUBINS=ON", "cpack -G DEB"):
        check(f"the commands have {what}", what in commands, True)
    skipped("its builds", ".ci/wheel and .ci/packages make them and use them")


def follow(title, document):
    try:
        RECIPES[title](document)
        check("blocks of code that were followed", document.used, len(document.blocks))
    except (AssertionError, AttributeError, LookupError, OSError) as error:
        print(f"FAILED: {title}: {type(error).__name__}: {error}")
        return False
    print(f"followed: {title}")
    return True


def main():
    tools = sys.argv[1:]
    if "UDM_RECIPES_INSIDE" not in os.environ:
        if os.geteuid() != 0 or subprocess.run([*NAMESPACE, "true"], check=False).returncode != 0:
            print("skipped: it takes root and a mount namespace to make containers")
            sys.exit(77)
        os.environ["UDM_RECIPES_INSIDE"] = "1"
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, os.path.abspath(__file__), *tools])
    documents = {title: document for path in DOCUMENTS
                 for title, document in read_recipes(path).items()}
    without = set(documents) ^ set(RECIPES)
    if without:
        sys.exit(f"a recipe without a function here, or a function without a recipe: {without}")
    os.umask(0o022)
    mine = tempfile.mkdtemp(prefix="udm-recipes-")
    mount("-t", "tmpfs", "-o", "mode=0755", "recipes", mine)  # all of it ends with the namespace
    tempfile.tempdir = mine
    Container.tools = f"{mine}/tools"
    try:
        collect_tools(*tools, Container.tools)
        good = [follow(title, document) for title, document in documents.items()]
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", mine], check=True)
        os.rmdir(mine)
    sys.exit(0 if all(good) else 1)


main()
