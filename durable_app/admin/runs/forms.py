"""What the verbs on a run ask for besides a reason."""

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from durable_app.admin.confirming import ReasonForm
from durable_app.conf import options
from durable_app.control.operator import LOWEST
from durable_app.insight.payloads import HIDDEN
from durable_app.limits import DEFAULT_QUEUE

ID_LENGTH = 255


class JSONText(forms.CharField):
    """A text that is JSON; the value is what it says."""

    widget = forms.Textarea

    def __init__(self, *, kind: type | None = None, **options: Any) -> None:
        self.kind = kind
        super().__init__(**options)

    def to_python(self, value: Any) -> Any:
        """Return what the text says, or raise ValidationError."""
        text = super().to_python(value) or ""
        if len(text) > options().MAX_PAYLOAD:
            raise ValidationError(_("This is larger than a stored value may be."))
        try:
            found = json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            raise ValidationError(_("This is not JSON: %(error)s.") % {"error": error}) from error
        if self.kind is not None and found is not None and not isinstance(found, self.kind):
            expected = _("a list, such as [1, 2]") if self.kind is list else _("an object, such as {}")
            raise ValidationError(_("This must be %(kind)s.") % {"kind": expected})
        return found


class FamilyForm(ReasonForm):
    """Asks whether descendants are meant, too."""

    children = forms.BooleanField(label=_("Children too, and theirs"), required=False)


class ResumeForm(ReasonForm):
    """Asks for the queue."""

    queue_name = forms.CharField(label=_("Queue"), initial=DEFAULT_QUEUE, max_length=ID_LENGTH)


class PriorityForm(ReasonForm):
    """Asks for the priority."""

    priority = forms.IntegerField(
        label=_("Priority"),
        min_value=0,
        max_value=LOWEST,
        initial=0,
        help_text=_("0 comes before all others."),
    )


class StepForm(ReasonForm):
    """Asks where a history is run again from."""

    start_step = forms.IntegerField(
        label=_("First step that runs again"), min_value=1, max_value=2_147_483_647, initial=1
    )


class ForkForm(StepForm):
    """Asks where from, and as what."""

    app_version = forms.CharField(
        label=_("Version"),
        required=False,
        max_length=ID_LENGTH,
        help_text=_("Empty: whichever worker takes it, the latest version first."),
    )
    queue_name = forms.CharField(label=_("Queue"), initial=DEFAULT_QUEUE, max_length=ID_LENGTH)
    new_workflow_id = forms.CharField(
        label=_("New ID"), required=False, max_length=ID_LENGTH, help_text=_("Empty: a new one is made.")
    )


class SendForm(ReasonForm):
    """Asks for a message."""

    topic = forms.CharField(required=False, max_length=ID_LENGTH, label=_("Topic"))
    message = JSONText(label=_("Message"), help_text=_('JSON, such as {"ok": true} or "text".'))
    idempotency_key = forms.CharField(
        label=_("Idempotency key"),
        required=False,
        max_length=ID_LENGTH,
        help_text=_("A second message with the same key is dropped."),
    )

    def clean_idempotency_key(self) -> str | None:
        """Return the key; an empty one is none."""
        return self.cleaned_data["idempotency_key"] or None


class StartForm(ReasonForm):
    """Asks how a run is to be started."""

    workflow_id = forms.CharField(
        label=_("ID"), required=False, max_length=ID_LENGTH, help_text=_("Empty: a new one is made.")
    )
    queue_name = forms.CharField(label=_("Queue"), initial=DEFAULT_QUEUE, max_length=ID_LENGTH)
    priority = forms.IntegerField(label=_("Priority"), min_value=0, max_value=LOWEST, initial=0)
    delay = forms.IntegerField(
        label=_("Delay in seconds"), required=False, min_value=0, max_value=10 * 365 * 86_400
    )

    def clean_delay(self) -> timedelta | None:
        """Return the delay as a span."""
        seconds = self.cleaned_data["delay"]
        return timedelta(seconds=seconds) if seconds else None


class ArgumentsForm(ReasonForm):
    """For those who may see payloads: the arguments of the model, to be changed; an empty text keeps them."""

    args = JSONText(label=_("Arguments"), kind=list, required=False)
    kwargs = JSONText(
        label=_("Keyword arguments"),
        kind=dict,
        required=False,
        help_text=_("What is left as it is keeps its type; what is changed is plain JSON."),
    )


class StartWithArgumentsForm(ArgumentsForm, StartForm):
    """Asks how a run is to be started, and with what."""


class ForkWithArgumentsForm(ArgumentsForm, ForkForm):
    """Asks where from, as what, and with what."""

    args = JSONText(
        label=_("Arguments"),
        kind=list,
        required=False,
        help_text=_(
            "If you change these or those below: the steps before the first one that runs again are copied "
            "as they were recorded, with the old arguments."
        ),
    )


def merged(edited: Any, shown: Any, original: Any) -> Any:
    """Return an edited value, in which all that was left as it was shown is the original again.

    What is shown of dates, decimals and secrets is not what they are.
    """
    if same(edited, shown):
        return original
    match edited, shown:
        case dict(), dict() if isinstance(original, dict):
            return {
                key: merged(value, shown[key], original[key]) if key in shown and key in original else value
                for key, value in edited.items()
            }
        case list(), list() if len(edited) == len(shown) and isinstance(original, list | tuple):
            return [merged(*three) for three in zip(edited, shown, original, strict=True)]
        case _:
            return edited


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON; true and 1 are not, though they are equal."""
    return json.dumps(one) == json.dumps(other)


def holds_hidden(value: Any) -> bool:
    """Return whether something hidden was moved to where nobody knows what it stands for."""
    match value:
        case str():
            return value == HIDDEN
        case dict():
            return any(holds_hidden(one) for one in value.values())
        case list() | tuple():
            return any(holds_hidden(one) for one in value)
        case _:
            return False
