"""Command-line and configuration plumbing that the five programs share.

Takes a typer application, a YAML file or log records; gives exit codes, checked settings, JSON log lines and progress
bars. The two services share the settings of the broker and their log-in there.
It imports nothing of the project. Every package but `metrics` may import it.
"""
