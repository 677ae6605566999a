"""A whole site on one machine: modality, box, broker, collector, vendors. For the demo and the tests."""
