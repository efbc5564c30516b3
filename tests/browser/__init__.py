"""The demo in a real browser, as operators and customers have it: `make test-browser`."""
