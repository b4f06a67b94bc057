"""Inference backends: their interface (`protocol`), their implementations, and the choice among them (`selection`)."""
