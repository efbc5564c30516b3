"""The URL that a worker process gets names the very database of the test."""

import pytest

from tests.databases import from_url, to_url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////tmp/some%20where/default.sqlite3",
        "postgres://user:p%40ss%2Fword@127.0.0.1:5433/durable",
        "postgres://user:secret@db.example.org/durable?sslmode=require",
        "postgres://user:secret@/durable?host=/run/postgresql",
    ],
)
def test_a_url_survives_the_way_to_settings_and_back(url):
    assert from_url(to_url(from_url(url))) == from_url(url)


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="sqlite:// or postgres://, not 'mysql'"):
        from_url("mysql://user@server/name")
