"""What may be asked."""

import secrets

from django import forms


def new_key() -> str:
    """Return a key nobody can guess: who knows it may read the conversation."""
    return secrets.token_hex(8)


class QuestionForm(forms.Form):
    """The key is drawn with the page, so that sending the form twice asks once."""

    key = forms.RegexField(regex=r"\A[0-9a-f]{16}\Z", widget=forms.HiddenInput, initial=new_key)
    question = forms.CharField(max_length=300)
