"""The widget store: products, orders and payments, and the workflows behind them."""
