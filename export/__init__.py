"""Export: a run folder comes in; a signed model bundle with its card goes out.

Modules are layered as `docs/architecture.md` draws them. Builds on train and on the device's bundle and classifier.
"""
