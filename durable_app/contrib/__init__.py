"""What other packages are given, a module for each; the pages and the API need none of it."""
