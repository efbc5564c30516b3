"""A customer's browser: it keeps cookies, reads pages, follows links and sends forms."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin

from demo_project.tour.errors import DemoFailed

PATIENCE_SECONDS = 20


class Reader(HTMLParser):
    """Notes what a customer sees: links, the form, the headline and the progress."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.fields: dict[str, str] = {}
        self.action = ""
        self.method = ""
        self.headline = ""
        self.percent = 0
        self.finished = False
        self._href = ""
        self._in_headline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the beginning of a link, a field, the headline."""
        given = {name: value or "" for name, value in attrs}
        self._href = given.get("href", "") if tag == "a" else self._href
        self._in_headline = self._in_headline or "data-headline" in given
        self.finished = self.finished or "data-finished" in given
        if tag == "form":
            self.action, self.method = given.get("action", ""), given.get("method", "get")
        elif tag == "input":
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "progress":
            self.percent = int(given["value"])

    def handle_data(self, data: str) -> None:
        """Note the words of a link or the headline."""
        if self._href:
            self.links.append((data.strip(), self._href))
        if self._in_headline:
            self.headline += data

    def handle_endtag(self, tag: str) -> None:
        """Note that a link or the headline is over."""
        self._href = "" if tag == "a" else self._href
        self._in_headline = self._in_headline and tag != "h2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as it came, and what it says."""

    url: str
    text: str
    says: Reader

    def link(self, text: str) -> str | None:
        """Return where the first link with this text leads."""
        return next((urljoin(self.url, href) for words, href in self.says.links if text in words), None)


class Browser:
    """Opens pages of one site."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def open(self, address: str) -> Page:
        """Open a page."""
        return self._load(urljoin(self.site, address), None)

    def follow(self, page: Page, text: str) -> Page:
        """Click a link."""
        if address := page.link(text):
            return self.open(address)
        raise DemoFailed(f"The page {page.url} has no link “{text}”.")

    def submit(self, page: Page, **answers: str) -> Page:
        """Fill in the page's form and send it, hidden fields (the CSRF token) included."""
        form = urlencode({**page.says.fields, **answers})
        address = urljoin(page.url, page.says.action)
        if page.says.method == "get":
            return self._load(f"{address}?{form}", None)
        return self._load(address, form.encode())

    def _load(self, address: str, data: bytes | None) -> Page:
        try:
            with self._opener.open(address, data, timeout=PATIENCE_SECONDS) as response:
                return _read(response)
        except urllib.error.HTTPError as error:
            raise DemoFailed(f"The site answered {error.code} to {address}.") from error
        except OSError as error:
            raise DemoFailed(f"The site does not answer at {address}: {error}") from error


def _read(response: Any) -> Page:
    text = response.read().decode()
    reader = Reader()
    reader.feed(text)
    return Page(url=response.url, text=text, says=reader)
