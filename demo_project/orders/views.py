"""The shop's pages. They start workflows, send them messages and read what these publish."""

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.orders.forms import CheckoutForm, quantity_from
from demo_project.orders.models import Order, Product, workflow_id_for
from demo_project.orders.signals import order_placed, payment_answered
from demo_project.orders.timeline import Progress, progress_of
from demo_project.orders.workflows import CANCELLED, PAID, checkout
from durable_app import NonExistentWorkflowError, SetWorkflowID, get_event, send, start_workflow


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """Show what is on sale."""
    return render(request, "orders/product_list.html", {"products": Product.objects.all()})


@require_safe
def product_page(request: HttpRequest, sku: str) -> HttpResponse:
    """Show one product, with a form that leads to the checkout."""
    product = get_object_or_404(Product, sku=sku)
    form = CheckoutForm()
    return render(request, "orders/product.html", {"product": product, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def checkout_page(request: HttpRequest, sku: str) -> HttpResponse:
    """Show what is about to be ordered; on POST, order it."""
    product = get_object_or_404(Product, sku=sku)
    if request.method == "POST":
        form = CheckoutForm(request.POST)
        if form.is_valid():
            return _place_order(request, product, form)
    else:
        form = CheckoutForm(initial={"quantity": quantity_from(request.GET.get("quantity"))})
    quantity = quantity_from(form["quantity"].value())
    context = {"product": product, "form": form, "quantity": quantity}
    return render(request, "orders/checkout.html", context)


def _place_order(request: HttpRequest, product: Product, form: CheckoutForm) -> HttpResponseRedirect:
    """Start the workflow, once a number: it exists if and only if the transaction commits."""
    number, quantity = form.cleaned_data["order_number"], form.cleaned_data["quantity"]
    with transaction.atomic(), SetWorkflowID(workflow_id_for(number)):
        start_workflow(checkout, number, product.sku, quantity)
        order_placed.send(Order, number=number, sku=product.sku, quantity=quantity)
    _remember(request, "orders", number)
    return redirect("orders:order", number)


@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    """Show the orders placed from this browser."""
    numbers = _remembered(request, "orders")
    orders = Order.objects.filter(number__in=numbers).select_related("product")
    return render(request, "orders/order_list.html", {"orders": orders})


@require_safe
@never_cache
def order_page(request: HttpRequest, number: str) -> HttpResponse:
    """Show an order; a script keeps the progress up to date."""
    order, progress = _order_and_progress(request, number)
    context = {"number": number, "order": order, "progress": progress}
    return render(request, "orders/order.html", context)


@require_safe
@never_cache
def order_progress(request: HttpRequest, number: str) -> HttpResponse:
    """Return the part of the order's page that changes."""
    order, progress = _order_and_progress(request, number)
    return render(request, "orders/_progress.html", {"order": order, "progress": progress})


def _order_and_progress(request: HttpRequest, number: str) -> tuple[Order | None, Progress]:
    order = Order.objects.select_related("product").filter(number=number).first()
    try:
        return order, progress_of(number, order, answered=number in _remembered(request, "answers"))
    except NonExistentWorkflowError:
        raise Http404(f"There is no order {number}.") from None


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def payment_page(request: HttpRequest, number: str) -> HttpResponse:
    """Let the customer pay or cancel; the answer wakes the waiting workflow."""
    order = get_object_or_404(Order.objects.select_related("product"), number=number)
    run_id = workflow_id_for(number)
    awaited = order.status == Order.Status.AWAITING_PAYMENT
    if not awaited or not get_event(run_id, "payment_url", timeout_seconds=0):
        return redirect("orders:order", number)
    if request.method == "POST":
        answer = PAID if request.POST.get("answer") == PAID else CANCELLED
        with transaction.atomic():
            send(run_id, answer, topic="payment", idempotency_key="answer")
            payment_answered.send(Order, number=number, answer=answer)
        _remember(request, "answers", number)
        return redirect("orders:order", number)
    return render(request, "orders/payment.html", {"order": order})


def _remembered(request: HttpRequest, what: str) -> list[str]:
    numbers: list[str] = request.session.get(what, [])
    return numbers


def _remember(request: HttpRequest, what: str, number: str) -> None:
    """Note in the visitor's session an order that was placed, or whose payment was answered."""
    request.session[what] = [*_remembered(request, what), number]
