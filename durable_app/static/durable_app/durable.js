// The durable_app pages work without this; it only saves clicks. No inline code, no dependencies.
