"""The box: an exposure comes in by C-STORE or from a folder; a flag on its board and a result over MQTT go out.

Modules are layered as `docs/architecture.md` draws them. Imports no other package of the project, and never TensorFlow.
"""
