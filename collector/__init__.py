"""The collector: results over MQTT, vendor outputs and radiologists' reads come in; comparisons and pages go out.

Modules are layered as `docs/architecture.md` draws them. Of the device it takes the contract alone.
"""
