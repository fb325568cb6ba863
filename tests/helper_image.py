"""The image of Squall's helpers for tests: this machine's Python, `runner`, `scenarios` and the tools of networks.

`python -m tests.helper_image` builds it where sources have changed, and prints its name. No registry is needed:
a base of what seldom changes is imported from a tar, and a thin layer with the sources lies above it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

IMAGE, BASE = "squall:local", "squall-base:local"
LABEL = "squall.sources"
ROOT = Path(__file__).parent.parent
HOME = "opt/squall"  # in the image, on PYTHONPATH
TOOLS = ("tc", "ip", "nft", "nsenter", "iptables", "conntrack")
UNUSED = re.compile(
    r"(^|/)(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|site-packages|config-[^/]*)(/|$)"
    r"|\.opt-[12]\.pyc$|/_(test|tkinter)[^/]*\.so$"
)


def build() -> str:
    """Build the image unless it is there already with these very sources; return its name."""
    with Path(tempfile.gettempdir(), "squall-helper-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base, sources = _hash(_base_facts()), _hash(_source_facts())
        if _label(BASE) != base:
            _import_base(base)
        if _label(IMAGE) != f"{base}-{sources}":
            _add_sources(f"{base}-{sources}")
    return IMAGE


def _base_facts() -> Iterator[str]:
    yield from (sys.version, msgspec.__version__, yaml.__version__, Path(__file__).read_text())
    for tool in TOOLS:
        facts = _tool(tool).stat()
        yield f"{tool} {facts.st_size} {facts.st_mtime}"


def _source_facts() -> Iterator[str]:
    for path in _sources():
        yield f"{path.relative_to(ROOT)} {path.read_text()}"


def _sources() -> list[Path]:
    return sorted(path for room in ("runner", "scenarios") for path in (ROOT / room).rglob("*.py"))


def _hash(facts: Iterator[str]) -> str:
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def _label(image: str) -> str:
    shown = _docker("image", "inspect", "-f", f'{{{{index .Config.Labels "{LABEL}"}}}}', image, check=False)
    return shown.strip()


def _docker(*argv: str, check: bool = True) -> str:
    return subprocess.run(["docker", *argv], check=check, capture_output=True, text=True).stdout


def _import_base(label: str) -> None:
    changes = [
        f"LABEL {LABEL}={label}",
        f"ENV PYTHONPATH=/{HOME}",
        "ENV PYTHONDONTWRITEBYTECODE=1",
        "ENV PATH=/usr/bin:/bin",
        "ENV TERM=dumb",  # or nft complains of having no terminal when it is spoken to
    ]
    argv = ["docker", "import", *(word for change in changes for word in ("--change", change)), "-", BASE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
        assert importing.stdin
        with tarfile.open(fileobj=importing.stdin, mode="w|") as tar:
            _busybox(tar)
            added = _python(tar) + [_tool_into(tar, tool) for tool in TOOLS] + _plugins(tar)
            for name in ("msgspec", "yaml", "_yaml"):
                added += _folder(tar, Path(msgspec.__file__).parent.parent / name, f"{HOME}/{name}")
            _libraries(tar, [path for path in added if path.suffix == ".so" or os.access(path, os.X_OK)])
        importing.stdin.close()
        assert importing.wait() == 0, "docker import failed"


def _add_sources(label: str) -> None:
    before = _docker("image", "inspect", "-f", "{{.Id}}", IMAGE, check=False).strip()
    made = _docker("create", BASE, "true").strip()
    try:
        _sources_into(made)
        _docker("commit", "--change", f"LABEL {LABEL}={label}", made, IMAGE)
    finally:
        _docker("rm", "-f", made)
    if before:
        _docker("image", "rm", before, check=False)  # stays while a container uses it


def _sources_into(container: str) -> None:
    """Bring sources with their bytecode: the image is read-only where it runs, and a helper shall start quickly."""
    with tempfile.TemporaryDirectory() as folder:
        for room in ("runner", "scenarios"):
            shutil.copytree(ROOT / room, f"{folder}/{room}", ignore=shutil.ignore_patterns("__pycache__"))
        argv = [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
        subprocess.run([*argv, "-s", folder, "-p", f"/{HOME}", folder], check=True)
        subprocess.run(["docker", "cp", f"{folder}/.", f"{container}:/{HOME}"], check=True)


def _tool(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found, f"{name} is not installed: the helper image needs it"
    return Path(found).resolve()


def _tool_into(tar: tarfile.TarFile, name: str) -> Path:
    path = _tool(name)
    tar.add(path, f"usr/bin/{name}")
    return path


def _busybox(tar: tarfile.TarFile) -> None:
    busybox = _tool("busybox")
    for name in ("tmp", "etc", "proc", "sys", "dev", "run", "bin", "usr/bin"):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
    tar.add(busybox, "bin/busybox")
    tar.add(_tool("dash"), "bin/sh")  # busybox's own prefers its applets to the real tc and ip
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in set(applets) - {"busybox", "sh", *TOOLS}:
        _link(tar, f"bin/{applet}", "busybox")


def _python(tar: tarfile.TarFile) -> list[Path]:
    """The interpreter at the same place as here, so that it finds itself; return what was added."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    binary = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}").resolve()
    tar.add(binary, str(binary).lstrip("/"))
    for name in ("python3", f"python3.{sys.version_info.minor}"):
        _link(tar, f"usr/bin/{name}", str(binary))
    return [binary, *_folder(tar, stdlib, str(stdlib).lstrip("/"))]


def _folder(tar: tarfile.TarFile, folder: Path, name: str) -> list[Path]:
    added = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        within = str(path.relative_to(folder))
        if path.is_file() and not UNUSED.search(within):
            tar.add(path.resolve(), f"{name}/{within}")
            added.append(path)
    return added


def _plugins(tar: tarfile.TarFile) -> list[Path]:
    """What tc, iptables and nft load: tables of distributions, extensions, the dumbest of terminals."""
    triple = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    added: list[Path] = []
    for name in (f"usr/lib/{triple}/tc", "usr/lib/tc", f"usr/lib/{triple}/xtables", "lib/terminfo/d"):
        added += _folder(tar, Path("/", name), name)
    return added


def _libraries(tar: tarfile.TarFile, users: list[Path]) -> None:
    environment = {"PATH": os.environ["PATH"]}
    listed = subprocess.run(
        ["ldd", *users, _tool("dash")], capture_output=True, text=True, env=environment
    ).stdout
    wanted = set(re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE))
    for library in sorted(wanted):
        tar.add(Path(library).resolve(), library.lstrip("/"))


def _link(tar: tarfile.TarFile, name: str, to: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, to
    tar.addfile(link)


if __name__ == "__main__":
    print(build())
