"""Labels: the names of figures and reasons, for terminal and pages. Imports nothing heavy."""

from __future__ import annotations

NOT_FOR = "For research and quality comparison, not for diagnosis."
NAMES = {
    "accuracy": "accuracy",
    "precision": "precision (PPV)",
    "sensitivity": "sensitivity (recall)",
    "specificity": "specificity",
    "npv": "NPV",
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
}
REASONS = {
    "readers_tied": "readers tied",
    "no_read": "no read",
    "missing_in_system": "no output of this system",
    "unclassified": "unclassified by the box",
    "no_score": "no score for the rule's findings",
    "ambiguous": "matches several exposures",
    "conflicting": "contradictory outputs",
    "unmatched": "no such exposure in the store",
}


def p_text(p: float) -> str:
    """Return `0.1640`, or `<0.0001`."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"
