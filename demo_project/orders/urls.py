"""Addresses of the shop."""

from django.urls import path

from demo_project.orders import views

app_name = "orders"

urlpatterns = [
    path("", views.product_list, name="products"),
    path("products/<slug:sku>/", views.product_page, name="product"),
    path("products/<slug:sku>/checkout/", views.checkout_page, name="checkout"),
    path("orders/", views.order_list, name="orders"),
    path("orders/<slug:number>/", views.order_page, name="order"),
    path("orders/<slug:number>/progress/", views.order_progress, name="progress"),
    path("orders/<slug:number>/payment/", views.payment_page, name="payment"),
]
