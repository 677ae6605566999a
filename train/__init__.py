"""Training: labelled images come in; a run folder with networks, scores and a report goes out.

Modules are layered as `docs/architecture.md` draws them. Of the device it takes only what both must do alike.
"""
