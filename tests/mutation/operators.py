"""Mutations that Cosmic Ray lacks, and the choice of those of its own that are tried.

One or two wrong versions of an operator suffice: a test that tells + from - tells it from << as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cosmic_ray.plugins
import parso
from cosmic_ray.operators.operator import Example, Operator

PROVIDER = "tnattn"
CORE = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Pow_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Div", "Mod_Mul", "BitAnd_BitOr", "BitOr_BitAnd")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_GtE", "LtE_Gt", "Gt_LtE", "GtE_Lt")),
    *("ReplaceUnaryOperator_USub_UAdd", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_Invert"),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop"),
)
SWAPS = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "any": "all", "all": "any"}


class DeleteStatement(Operator):  # type: ignore[misc]
    """Replace a statement by pass: in-place arithmetic, raise, or a call for its effect."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and _has_an_effect(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        statement = node.children[0]
        replaced = parso.parse("pass").children[0]
        replaced.prefix = statement.get_first_leaf().prefix
        node.children[0] = replaced
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("x *= 2\n", "pass\n"), Example("f(x)\n", "pass\n"), Example("raise x\n", "pass\n"))


def _has_an_effect(statement: Any) -> bool:
    if statement.type == "expr_stmt":  # parso keeps the target, the operator with its equality sign, the value
        return getattr(statement.children[1], "value", "=") != "=" and statement.children[1].type != "annassign"
    called = statement.type in ("atom_expr", "power") and statement.children[-1].type == "trailer"
    return called or statement.type == "raise_stmt"


class SwapExtremes(Operator):  # type: ignore[misc]
    """Call min where max was called, any where all was, and so on."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "name" and node.value in SWAPS:
            following = node.get_next_leaf()
            if following is not None and following.value == "(":
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = SWAPS[node.value]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("max(a, b)", "min(a, b)"),)


class Provider(dict[str, type[Operator]]):
    """The operators of this file, in the form in which Cosmic Ray asks for them."""


def install() -> None:
    """Make the operators of this file known to Cosmic Ray in this process."""
    own = Provider({cls.__name__: cls for cls in (DeleteStatement, SwapExtremes)})
    cosmic_ray.plugins.OPERATOR_PROVIDERS[PROVIDER] = own


def chosen(name: str) -> bool:
    """Return true if mutations of an operator are tried."""
    provider, _, operator = name.partition("/")
    return provider == PROVIDER or operator in CORE
