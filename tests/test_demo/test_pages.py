"""What all pages of the demo have in common: links to each other, and nothing that is inline."""

import re
import urllib.request

import pytest

PAGES = ("/", "/orders/", "/manuals/", "/manuals/?q=spring", "/reports/", "/assistant/", "/webhooks/")
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://(?!127\.0\.0\.1)"
)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_links_to_every_room_and_carries_nothing_inline(house, address):
    """The policy forbids scripts and styles in a page, and everything from elsewhere."""
    page = house.browser.open(address)
    links = {href for _, href in page.says.links}
    assert {"/manuals/", "/reports/", "/assistant/", "/webhooks/"} <= links
    assert INLINE.findall(page.text) == []


def test_the_policy_is_sent_with_every_page(house):
    """Browsers are told to load from the site alone."""
    with urllib.request.urlopen(f"{house.browser.site}/assistant/") as response:
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["orders/shop.css", "orders/progress.js", "orders/icon.svg"])
def test_what_the_pages_need_is_the_site_s_own(house, path):
    """Each static file is served."""
    with urllib.request.urlopen(f"{house.browser.site}/static/{path}") as response:
        assert response.status == 200


def test_a_question_is_shown_as_text(house):
    """Markup in a question is no markup in the page."""
    page = house.press("/assistant/", question="<script>alert(1)</script>")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "&lt;script&gt;" in house.browser.open("/manuals/?q=%3Cscript%3Ex").text
