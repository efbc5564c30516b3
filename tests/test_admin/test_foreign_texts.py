"""Texts of others on our pages: nothing of them hides, turns round its neighbours, or fills the page."""

import re
import sys
import unicodedata
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from durable_app.admin.visible import page, visible
from durable_app.models import Status
from tests.test_admin.pages import LIST, inspected, made, page_of, queue, verb_page, with_steps

OVERRIDE = "\u202eevil\u202c"

HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\x1b]")


def test_what_steers_or_hides_is_written_out() -> None:
    """All that turns text round, and all that Unicode says is not to be seen, but for line ends and tabs."""
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        turns = unicodedata.bidirectional(char) in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
        steers = unicodedata.category(char) in {"Cc", "Zl", "Zp"} and char not in "\t\n\r"
        if turns or steers:
            assert visible(f"a{char}b") == f"a{char.encode('unicode_escape').decode()}b"
    assert visible("a\u200db\ufeff") == r"a\u200db\ufeff"


@pytest.mark.parametrize(
    "text",
    [
        "a b\tc\r\n",
        "naïve – “x” \xa0 12\u202f000",
        "می\u200cشود",
        "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥",
        "שלום\u200f, x",
    ],
)
def test_what_other_scripts_and_emoji_need_stays(text: str) -> None:
    """Joiners and marks of direction do their work between letters that are not Latin."""
    assert visible(text) == text


def test_what_a_form_carries_and_a_link_leads_to_stays_as_it_is() -> None:
    """A value that is posted back is the value that was shown."""
    html = (
        f'<a href="/x{OVERRIDE}" title="{OVERRIDE}">{OVERRIDE}</a><input value="{OVERRIDE}">'
        f'<textarea>{OVERRIDE} <b></textarea><b data-durable-copy="{OVERRIDE}" aria-label="{OVERRIDE}">'
    )
    seen = r"\u202eevil\u202c"
    assert page(html) == (
        f'<a href="/x{OVERRIDE}" title="{seen}">{seen}</a><input value="{OVERRIDE}">'
        f'<textarea>{OVERRIDE} <b></textarea><b data-durable-copy="{OVERRIDE}" aria-label="{seen}">'
    )


@pytest.mark.django_db
def test_no_page_shows_a_character_that_turns_it_round(boss: Client) -> None:
    """Lists, a run with each of its parts, confirmations, messages, history, the audit, a queue."""
    run = made(
        Status.CANCELLED, workflow_id=OVERRIDE, name=f"shop.{OVERRIDE}", queue_name=OVERRIDE,
        attributes={"k\u200b": OVERRIDE}, schedule_name=OVERRIDE, user="\x1b[31m",
    )  # fmt: skip
    with_steps(run, f"step {OVERRIDE}", f"other {OVERRIDE}", fails=True)
    queue(OVERRIDE)
    here = page_of(run)
    tabs = ("values", "messages", "streams", "family", "history", "raw")
    told = boss.post(verb_page(run, "resume"), {"reason": OVERRIDE, "queue_name": OVERRIDE}, follow=True)
    assert r"“\u202eevil\u202c” was resumed" in told.content.decode()
    base = "/admin/durable_app"
    for url in (
        LIST, f"{LIST}?q={quote(OVERRIDE)}", f"{LIST}?q=status:{quote(OVERRIDE)}", here,
        *(f"{here}?tab={tab}" for tab in tabs), here.replace("change", "history"), verb_page(run, "delete"),
        verb_page(run, "fork"), f"{base}/auditevent/", f"{base}/queue/", f"{base}/overview/",
        reverse("admin:durable_app_queue_change", args=[OVERRIDE]),
    ):  # fmt: skip
        response = boss.get(url, follow=True)
        assert response.status_code in (200, 400), url
        text = re.sub(r'(value|href|data-[a-z-]+)="[^"]*"', "", response.content.decode())
        assert not HIDDEN.search(text), (url, HIDDEN.search(text))


@pytest.mark.django_db
def test_a_long_attribute_is_a_line_that_opens(boss: Client) -> None:
    """All of it is there, behind the beginning of it; a short one is as it is."""
    run = made(attributes={"long": "L" * 10_000, "short": "acme"})
    text = boss.get(page_of(run)).content.decode()
    [fold] = re.findall(r'<details class="durable-fold">.*?</details>', text)
    summary, _, rest = fold.partition("</summary>")
    assert len(summary) < 300
    assert "L" * 10_000 in rest
    assert "<dd>acme</dd>" in text


@pytest.mark.django_db
def test_long_names_leave_room_for_the_other_columns(boss: Client) -> None:
    """The middle is left out: the title has all of it."""
    name = "shop.orders." + "x" * 40 + "_refund"
    made(name=name, queue_name="q" * 60)
    response: Any = boss.get(LIST)
    text = response.content.decode()
    [shown] = re.findall(f'<span title="{re.escape(name)}">([^<]*)</span>', text)
    assert len(shown) == 24
    assert shown.startswith("xxx")
    assert shown.endswith("x_refund")
    assert f'<span title="{"q" * 60}">qqqqqqqq…qqqqqqq</span>' in text


MISTYPED = {
    "workflow/?q=status:nope": (
        "status:nope",
        "“nope” is none of active, failed, finished, cancelled, delayed",
    ),
    "workflow/?q=%22open": ('"open', "A quotation mark has no partner."),
    "auditevent/?q=outcome:nope": ("outcome:nope", "“nope” is none of done, denied, refused, failed"),
    "auditevent/?q=colour:red": ("colour:red", "“colour”; it is by verb, actor, kind, target, bulk, request"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("url", MISTYPED)
def test_a_mistyped_search_can_be_put_right_where_it_was_typed(boss: Client, url: str) -> None:
    """The list's own page, with the words in its box and all that is allowed; nothing matches."""
    made()
    typed, sentence = MISTYPED[url]
    response: Any = boss.get(f"/admin/durable_app/{url}")
    assert response.status_code == 400
    text = response.content.decode()
    [box] = [found for _tag, found in inspected(response).elements if found.get("id") == "searchbar"]
    assert box["value"] == typed
    assert sentence in text
    assert response.context_data["cl"].result_list == []
    assert "/bulk/" not in text
    assert "/export/" not in text
