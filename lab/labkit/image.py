# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the lab hosts. Its tag is a hash of all that goes into it: a change rebuilds it, nothing else does."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .machine import CACHE, LAB, LabError, as_root, podman, run, say

BASE_NAME = "localhost/ops-runbook-base"
IMAGE_NAME = "localhost/ops-runbook-lab"
FLEET_NAME = "localhost/ops-runbook-fleet"
REGISTRY_IMAGE = os.environ.get("LAB_REGISTRY_IMAGE", "debian:bookworm")
PACKAGES = LAB / "image" / "packages"
# What the images of each kind of host are made of: folders with a rootfs, copied over one another.
PARTS = {
    "database": ("image", "mongodb", "apps/simplers"),
    "fleet": ("image", "apps/logcaster", "fleet"),
}
MONGODB_PACKAGES = ("mongodb-org-server", "mongodb-database-tools")
NO_PYTHON = "RUN systemctl disable mongod simplers-seed simplers-writer && rm -f /usr/bin/python3*\n"


def choice(variable: str, *allowed: str) -> str:
    """The value of an environment variable that has a few values; `auto` when it is not set."""
    value = os.environ.get(variable) or "auto"
    if value not in ("auto", *allowed):
        raise LabError(f"{variable}={value}", "the environment", f"use auto, {' or '.join(allowed)}")
    return value


def server_kind() -> str:
    """`mongod` where apt has the genuine server, else `ferretdb`."""
    value = choice("LAB_MONGODB", "mongod", "ferretdb")
    if value != "auto":
        return value
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    if not any("mongodb" in source.read_text(errors="replace") for source in sources if source.is_file()):
        return "ferretdb"  # asking apt takes longer than starting a host
    policy = run(["env", "LC_ALL=C", "apt-cache", "policy", MONGODB_PACKAGES[0]], check=False).stdout
    return "mongod" if "Candidate:" in policy and "Candidate: (none)" not in policy else "ferretdb"


def base_kind() -> str:
    """`mmdebstrap` on Debian, where apt knows the way to packages; elsewhere an image from a container registry."""
    value = choice("LAB_BASE", "mmdebstrap", "registry")
    if value != "auto":
        return value
    return "mmdebstrap" if "\nID=debian\n" in "\n" + Path("/etc/os-release").read_text() else "registry"


def digest(*parts: str, folders: tuple[Path, ...] = ()) -> str:
    """A short hash over texts, and over names, modes and contents of all files in folders."""
    total = hashlib.sha256("\0".join(parts).encode())
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        executable = bool(path.stat().st_mode & 0o100)
        total.update(f"\0{path.relative_to(LAB)}\0{executable}\0".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def base_tag() -> str:
    """Name and tag of the base image."""
    return f"{BASE_NAME}:{digest(base_kind(), REGISTRY_IMAGE, PACKAGES.read_text())}"


def image_tag(kind: str) -> str:
    """Name and tag of the image of a kind of host: `database`, `no_python` or `fleet`."""
    if kind == "fleet":
        return f"{FLEET_NAME}:{digest(base_tag(), folders=folders(kind))}"
    extra = NO_PYTHON if kind == "no_python" else ""
    return f"{IMAGE_NAME}:{digest(base_tag(), server_kind(), extra, folders=folders('database'))}"


def folders(kind: str) -> tuple[Path, ...]:
    """The folders that an image is made from."""
    return tuple(LAB / part for part in PARTS[kind])


def exists(tag: str) -> bool:
    """Whether podman has the image."""
    return run(podman("image", "exists", tag), check=False).returncode == 0


def ensure(kind: str) -> str:
    """Build what is missing of the image of a kind of host and return its tag."""
    tag = image_tag(kind)
    if exists(tag):
        return tag
    if kind == "no_python":
        return build(tag, f"FROM {ensure('database')}\n{NO_PYTHON}")
    server_name = f"{server_kind()}, " if kind == "database" else ""
    say(f"Building the image of the {kind} hosts ({server_name}base by {base_kind()})")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        server = pool.submit(server_files if kind == "database" else list)
        base = pool.submit(ensure_base)
        folder = context(kind, server.result())
    try:
        return build(tag, folder=folder, base=base.result())
    finally:
        shutil.rmtree(folder)


def ensure_base() -> str:
    """The base image: Debian with systemd and the packages that a lab host needs."""
    tag = base_tag()
    if not exists(tag):
        {"mmdebstrap": make_base, "registry": pull_base}[base_kind()](tag)
    return tag


def make_base(tag: str) -> None:
    """Make the base from the machine's own Debian mirrors."""
    suite, sources = debian_sources()
    names = [line for line in PACKAGES.read_text().splitlines() if not line.startswith("#")]
    lean = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "info")]
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        archive, listing = Path(folder, "base.tar"), Path(folder, "debian.list")
        listing.write_text(sources)
        options = ["--variant=minbase", "--mode=root", "--include=" + ",".join(names), *lean]
        run(as_root("mmdebstrap", *options, suite, str(archive), str(listing)), timeout=600)
        run(podman("import", "--quiet", str(archive), tag), timeout=120)
        run(as_root("rm", "-f", str(archive)))


def debian_sources() -> tuple[str, str]:
    """The suite of this machine and a sources.list with the Debian mirrors that its apt uses."""
    layout = "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)|$(RELEASE)"
    rows = run(["apt-get", "indextargets", "--format", layout, "Identifier: Packages"]).stdout.splitlines()
    fields = [row.split("|") for row in rows if row.startswith("Debian|main|")]
    suites = sorted({field[2] for field in fields if "-" not in field[2]})
    if not suites:
        raise LabError("apt knows no Debian release", "/etc/apt/sources.list*", "apt-get update, or LAB_BASE=registry")
    suite = suites[0]
    lines = {f"deb {uri} {release} main" for _, _, name, uri, release in fields if name.split("-")[0] == suite}
    return suite, "\n".join(sorted(lines)) + "\n"


def pull_base(tag: str) -> None:
    """Take the base from a container registry."""
    try:
        if not exists(REGISTRY_IMAGE):
            run(podman("pull", "--quiet", REGISTRY_IMAGE), timeout=180)
    except LabError as error:
        hint = "on Debian LAB_BASE=mmdebstrap, else look at podman's registries.conf"
        raise LabError(f"no base image: {error.what}", REGISTRY_IMAGE, hint) from None
    run(podman("tag", REGISTRY_IMAGE, tag))


def server_files() -> list[Path]:
    """The files that install the server under test."""
    if server_kind() == "mongod":
        folder = CACHE / "mongodb-packages"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            run(["env", f"--chdir={folder}", "apt-get", "download", "-q", *MONGODB_PACKAGES], timeout=600)
        except LabError as error:
            hint = "add MongoDB's own source to apt, or LAB_MONGODB=ferretdb"
            raise LabError(f"no genuine MongoDB: {error.what}", "apt", hint) from None
        return [*folder.glob("*.deb"), LAB / "mongodb" / "genuine" / "mongod.service"]
    script = str(LAB / "mongodb" / "install.sh")  # its progress may be seen: a build takes minutes
    done = subprocess.run([script], stdout=subprocess.PIPE, text=True, timeout=3600, check=False)
    if done.returncode:
        raise LabError("the database server could not be built", script, "see the lines above")
    return [*Path(done.stdout.strip()).iterdir(), LAB / "mongodb" / "ferretdb" / "mongod.service"]


def context(kind: str, server: list[Path]) -> Path:
    """Gather what the image is built from in one folder."""
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="image-"))
    shutil.copy(PACKAGES, folder / "packages")
    shutil.copy(LAB / "image" / "Containerfile", folder / "Containerfile")
    for part in folders(kind):
        shutil.copytree(part / "rootfs", folder / "rootfs", dirs_exist_ok=True)
    (folder / "server").mkdir()
    for file in server:
        shutil.copy(file, folder / "server" / file.name)
    return folder


def build(tag: str, containerfile: str | None = None, folder: Path | None = None, base: str = "") -> str:
    """Build one image, from a folder or from the text of a Containerfile, and drop the ones that it replaces."""
    source = ["--file=-"] if containerfile else [f"--build-arg=BASE={base}", str(folder)]
    options = ["--quiet", "--isolation=chroot", "--network=host", "--layers=false", "--tag=" + tag]
    run(podman("build", *options, *source), timeout=900, stdin=containerfile)
    remove_old(keep={base_tag(), *map(image_tag, ("database", "no_python", "fleet"))})
    return tag


def remove_old(keep: set[str]) -> None:
    """Remove images of the lab that nothing uses any more."""
    listed = run(podman("images", "--format={{.Repository}}:{{.Tag}}"), check=False).stdout.split()
    for tag in {tag for tag in listed if tag.startswith((IMAGE_NAME, FLEET_NAME, BASE_NAME))} - keep:
        with contextlib.suppress(LabError):  # a container still runs from it
            run(podman("image", "rm", tag))
