"""The entry "workflow runs": the list, the page of a run, and the verbs on one run and on many."""
