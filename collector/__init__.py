"""The hospital side: results, vendor outputs and reads come in; comparisons go out."""
