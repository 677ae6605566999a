"""The workshop: a trained run comes in; a signed int8 bundle goes out."""
