"""The manuals: a folder read through a rate-limited queue, by workers that may die."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from demo_project.ingestion import options, texts
from demo_project.ingestion.embedding import embed, similarity
from tests.test_demo.house import House

PATHS = texts.texts_in(options.SHIPPED)
ALL_READ = f"{len(PATHS)} texts read, 1 could not be."


@pytest.fixture
def readings(house: House) -> Iterator[dict[str, int]]:
    """Return how often each document has been stored before the test."""
    yield stored(house)


def stored(house: House) -> dict[str, int]:
    return dict(house.rows("SELECT path, readings FROM ingestion_document"))


def starts(house: House) -> list[datetime]:
    """Return when the runs of the last reading's files were started first."""
    (last,) = house.rows(
        "SELECT workflow_id FROM durable_app_workflow WHERE name = 'ingest_folder' ORDER BY id DESC LIMIT 1"
    )[0]
    found = house.rows(
        "SELECT started_at FROM durable_app_workflow WHERE parent_workflow_id = %s ORDER BY started_at", last
    )
    return [moment(value) for (value,) in found]


def moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def test_a_folder_is_read_at_the_rate_of_its_queue_and_can_be_searched(house, readings):
    """Each text is stored once, a broken one stops nobody; at most three files are begun in any second."""
    house.staff()
    house.press("/manuals/")
    last = house.watch("/manuals/progress/", lambda now: now.says.finished)
    assert last.says.headline == ALL_READ
    assert last.says.percent == 100
    assert stored(house) == {path: readings.get(path, 0) + 1 for path in PATHS}
    begun = starts(house)
    assert len(begun) == len(PATHS) + 1
    for first, fourth in zip(begun, begun[3:], strict=False):
        assert fourth - first >= timedelta(seconds=1)
    found = house.browser.open("/manuals/?q=my+spring+squeaks")
    assert "A spring that squeaks is dry." in found.text
    assert found.text.index("A spring that squeaks") < found.text.index(
        "<article", found.text.index("squeaks is")
    )


def test_a_killed_worker_s_files_are_read_by_another_one_once(house, readings):
    """`kill -9` in the middle: the second worker goes on, and no document is stored twice."""
    (victim,) = house.staff(1)
    house.press("/manuals/")
    house.watch("/manuals/progress/", lambda now: 15 <= now.says.percent < 80)
    house.kill(victim)
    half = stored(house)
    assert readings != half != {path: readings.get(path, 0) + 1 for path in PATHS}
    house.hire()
    last = house.watch("/manuals/progress/", lambda now: now.says.finished)
    assert last.says.headline == ALL_READ
    assert stored(house) == {path: readings.get(path, 0) + 1 for path in PATHS}


def test_pressing_the_button_twice_reads_the_folder_once(house):
    """While a run over the folder is active, that one is meant."""
    count = "SELECT COUNT(*) FROM durable_app_workflow WHERE name = 'ingest_folder'"
    house.dismiss()
    (before,) = house.rows(count)[0]
    house.press("/manuals/")
    house.press("/manuals/")
    assert house.rows(count) == [(before + 1,)]
    house.staff()
    house.watch("/manuals/progress/", lambda now: now.says.finished)


def test_the_embedding_is_the_same_everywhere_and_finds_words_by_their_parts():
    """A vector has length one; near texts are near; a text without words is near nothing."""
    assert embed("A spring that squeaks") == embed("a SPRING that squeaks!")
    assert similarity(embed("springs"), embed("springs")) == pytest.approx(1, abs=1e-5)
    assert (
        similarity(embed("springs"), embed("spring")) > 0.3 > similarity(embed("springs"), embed("goldsmith"))
    )
    assert similarity(embed("..."), embed("spring")) == 0


@pytest.mark.parametrize("length", [texts.LONGEST_PASSAGE - 1, texts.LONGEST_PASSAGE, 5000])
def test_passages_lose_no_word(length):
    """Paragraphs become passages; long ones are cut between words."""
    words = [f"word{number}" for number in range(length // 8)]
    text = f"Title\n\n{' '.join(words)}\n\n  \n\nthe end"
    passages = texts.passages_of(text)
    assert " ".join(passages).split() == [*words, "the", "end"]
    assert max(map(len, passages)) <= texts.LONGEST_PASSAGE


def test_a_passage_without_a_space_is_cut_all_the_same():
    """A text of one word longer than a passage loses no letter."""
    assert "".join(texts.passages_of(f"T\n{'x' * 2000}")) == "x" * 2000


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\xfa", b"x" * (texts.LONGEST_TEXT + 1)])
def test_what_is_no_text_is_refused(tmp_path, content):
    """Empty, binary or endless files are named in the error."""
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(texts.UnreadableText, match=r"bad\.txt"):
        texts.read_text(tmp_path, "bad.txt")


def test_a_file_that_has_gone_is_refused(tmp_path):
    """It was there when the folder was listed."""
    with pytest.raises(texts.UnreadableText):
        texts.read_text(tmp_path, "gone.txt")
