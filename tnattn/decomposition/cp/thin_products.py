"""Products of a large matrix with few columns, limited by memory bandwidth."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, eps, prefers_host_tiles

__all__: list[str] = []

TILE = 900_000  # scalar multiplications: BLAS multiplies smaller products in place, and packs larger ones first


def thin_product(matrix: Array, columns: Array) -> Array:
    """Return ``matrix @ columns`` (..., m, r) of a matrix (..., m, n) and few columns (..., n, r).

    Notes
    -----
    On the host in tiles of whole rows so small that BLAS does not copy them: up to twice as fast for up to 32 columns.
    Where not even half as many rows as columns make a tile, in one product, in the order that is fastest in the dtype:
    in float32 half again as fast as the other, in float64 as slow.
    """
    xp = array_namespace(matrix, columns)
    rows, length = (int(n) for n in matrix.shape[-2:])
    width = int(columns.shape[-1])
    tile = TILE // (width * length)
    if prefers_host_tiles(matrix) and tile < rows and 2 * tile >= width:
        whole = rows - rows % tile  # rows in complete tiles; the remainder is multiplied at the end
        stack = xp.reshape(matrix[..., :whole, :], (*matrix.shape[:-2], whole // tile, tile, length))
        product = xp.matmul(stack, columns[..., None, :, :])
        product = xp.reshape(product, (*product.shape[:-3], whole, width))
        if whole == rows:
            return product
        return xp.concat([product, xp.matmul(matrix[..., whole:, :], columns)], axis=-2)
    if eps(matrix) > eps("float64"):
        return xp.matmul(matrix, columns)
    return xp.matrix_transpose(xp.matmul(xp.matrix_transpose(columns), xp.matrix_transpose(matrix)))
