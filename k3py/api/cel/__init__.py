"""CEL, the expression language of validation rules: parsed, checked against types, its cost bounded, compiled to closures.

This folder is the only one that knows how; others use `program.compile_expression`, `rules.RuleSet` and `definitions.validate_rules`.
Sources: the CEL specification; github.com/google/cel-go v0.26 (cost model, extensions); k8s.io/apiserver/pkg/cel v0.35 (libraries).
"""
