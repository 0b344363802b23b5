"""Check a built site: every link leads to a page and place that exist, and nothing is loaded from elsewhere.

python scripts/check_links.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """The places and the links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.places: set[str] = {"", "top"}
        self.links: list[tuple[str, str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names and where it leads."""
        for name, value in attrs:
            if value is None:
                continue
            if name in {"id", "name"}:
                self.places.add(value)
            elif name in {"href", "src"} and not value.startswith(("data:", "mailto:", "javascript:")):
                self.links.append((tag, name, value))


def broken(root: Path) -> list[str]:
    """A sentence for each link that leads nowhere and each file that would be loaded from elsewhere."""
    pages = {path.resolve(): Page(path) for path in sorted(root.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = page.path.relative_to(root)
        for tag, name, value in page.links:
            parts = urlsplit(value)
            if parts.scheme or parts.netloc:
                if (tag, name) in _LOADED:
                    found.append(f"{where}: loads {value} from elsewhere")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                found.append(f"{where}: {value} leads nowhere")
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{where}: {value} names a place that {target.name} has not")
    return found


def main() -> None:
    """Print what is broken; exit status 1 if anything is."""
    root = Path(sys.argv[1])
    problems = broken(root)
    pages = len(list(root.rglob("*.html")))
    print("\n".join([*problems, f"{pages} pages, {len(problems)} broken links"]))
    sys.exit(bool(problems) or not pages)


if __name__ == "__main__":
    main()
