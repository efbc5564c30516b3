"""The entry "workers": who executes runs, what each holds, and the verbs on one."""
