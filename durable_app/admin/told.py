"""What became of a verb, in sentences: what was done, and each reason why something was not."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_app.control.operator import Result


def done(results: Sequence[Result], participle: Any, subject: str = "") -> str:
    """Return what was done, "12 runs were cancelled."; empty if nothing was.

    ``participle`` is the verb's; ``subject`` names the one target for people if its id does not.
    """
    count = sum(one.is_done for one in results)
    if not count:
        return ""
    if len(results) == 1:
        return _("%(target)s was %(done)s.") % {"target": subject or _name(results[0]), "done": participle}
    sentence = ngettext("%(count)d run was %(done)s.", "%(count)d runs were %(done)s.", count)
    return sentence % {"count": count, "done": participle}


def left(results: Sequence[Result], subject: str = "") -> Iterator[str]:
    """Yield a sentence for each reason why something was not done."""
    if len(results) == 1:
        if not results[0].is_done:
            yield f"{subject or _name(results[0])}: {results[0].detail}"
        return
    counts: dict[tuple[bool, str], int] = {}
    for one in results:
        if not one.is_done:
            key = one.outcome == "failed", one.detail
            counts[key] = counts.get(key, 0) + 1
    for (has_failed, reason), count in counts.items():
        yield f"{_failed(count) if has_failed else _skipped(count)}: {reason}"


def _name(result: Result) -> str:
    """Return a target's id in quotation marks: the admin begins messages with a capital letter."""
    return f"“{result.target}”"


def _skipped(count: int) -> str:
    return ngettext("%(count)d run was skipped", "%(count)d runs were skipped", count) % {"count": count}


def _failed(count: int) -> str:
    found = ngettext("With %(count)d run it failed", "With %(count)d runs it failed", count)
    return found % {"count": count}
