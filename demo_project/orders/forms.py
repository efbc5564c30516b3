"""What the checkout page accepts."""

import secrets

from django import forms

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is mistaken for something else
NUMBER_LENGTH = 10
QUANTITIES = {str(number): number for number in range(1, 6)}


def new_order_number() -> str:
    """Return a number nobody can guess: who knows it may see the order."""
    return "".join(secrets.choice(ALPHABET) for _ in range(NUMBER_LENGTH))


def quantity_from(text: object) -> int:
    """Return the quantity that is asked for in an address or a form, or one."""
    return QUANTITIES.get(str(text), 1)


class CheckoutForm(forms.Form):
    """The number is drawn with the page, so that sending the form twice orders once."""

    order_number = forms.RegexField(
        regex=rf"\A[{ALPHABET}]{{{NUMBER_LENGTH}}}\Z",
        widget=forms.HiddenInput,
        initial=new_order_number,
    )
    quantity = forms.TypedChoiceField(
        coerce=int, choices=[(number, text) for text, number in QUANTITIES.items()], initial=1
    )
