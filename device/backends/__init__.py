"""One file per accelerator; each makes a TensorFlow Lite interpreter or says why it cannot."""
