"""Our multilinear algebra behind the names and arguments of TensorLy; the adapters state which convention differs."""

import string

import numpy as np

from tnattn.arrays import contract
from tnattn.decomposition import multilinear
from tnattn.decomposition.cp.thin_products import thin_product
from tnattn.structured.cp import CPTensor
from tnattn.structured.partial_tucker import PartialTuckerTensor
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tt_matrix import TTMatrix
from tnattn.structured.tucker import TuckerTensor

LETTERS = string.ascii_letters


# --- multilinear algebra --------------------------------------------------------------------------------------------


def unfold(tensor, mode=0):
    return multilinear.unfold(tensor, mode, order=tensor.ndim)


def fold(matrix, mode, shape):
    return multilinear.fold(matrix, mode, tuple(shape))


def partial_unfold(tensor, mode=0, skip_begin=1, skip_end=0, ravel_tensors=False):
    """Our batch axes all lead; theirs may follow the modes."""
    ends = range(tensor.ndim - skip_end, tensor.ndim)
    moved = np.moveaxis(tensor, ends, range(skip_begin, skip_begin + skip_end))
    batch = skip_begin + skip_end
    matrix = multilinear.unfold(moved, mode, order=tensor.ndim - batch)
    found = matrix.reshape(*matrix.shape[:batch], -1) if ravel_tensors else matrix
    return np.moveaxis(found, range(skip_begin, batch), range(found.ndim - skip_end, found.ndim))


def partial_fold(unfolded, mode, shape, skip_begin=1, skip_end=0):
    shape = tuple(shape)
    sizes = shape[skip_begin : len(shape) - skip_end]
    batch = skip_begin + skip_end
    moved = np.moveaxis(unfolded, range(unfolded.ndim - skip_end, unfolded.ndim), range(skip_begin, batch))
    matrix = moved.reshape(*moved.shape[:batch], sizes[mode], -1)
    return np.moveaxis(multilinear.fold(matrix, mode, sizes), range(skip_begin, batch), range(-skip_end, 0))


def mode_dot(tensor, factor, mode, transpose=False):
    """A stack of matrices is a batch here, not an error; a vector is a matrix of one row whose mode is dropped."""
    if factor.ndim > 2:
        raise ValueError("a stack of matrices is a batch here")
    matrix = factor[None, :] if factor.ndim == 1 else factor.T if transpose else factor
    found = multilinear.mode_product(tensor, matrix, mode, order=tensor.ndim)
    return found.reshape((*found.shape[:mode], *found.shape[mode + 1 :])) if factor.ndim == 1 else found


def multi_mode_dot(tensor, factors, modes=None, skip=None, transpose=False):
    """Ours takes one product after the other; modes that vectors have removed shift those behind them."""
    modes, gone = list(range(len(factors)) if modes is None else modes), []
    for place, (factor, mode) in enumerate(zip(factors, modes, strict=True)):
        if place != skip:
            tensor = mode_dot(tensor, factor, mode - sum(other < mode for other in gone), transpose)
            gone += [mode] * (factor.ndim == 1)
    return tensor


def khatri_rao(matrices, weights=None, skip_matrix=None):
    """Stacks of matrices are batch here, not an error."""
    kept = [matrix for place, matrix in enumerate(matrices) if place != skip_matrix]
    if any(matrix.ndim != 2 for matrix in kept):
        raise ValueError("stacks of matrices are a batch here")
    return multilinear.khatri_rao(kept if weights is None else [kept[0] * weights, *kept[1:]])


def kronecker(matrices, skip_matrix=None, reverse=False):
    kept = [matrix for place, matrix in enumerate(matrices) if place != skip_matrix]
    return multilinear.kronecker(kept[::-1] if reverse else kept)


def unfolding_dot_khatri_rao(tensor, cp_tensor, mode):
    weights, factors = cp_tensor
    return thin_product(np.ascontiguousarray(unfold(tensor, mode)), khatri_rao(factors, weights, skip_matrix=mode))


def tensordot(tensor1, tensor2, modes, batched_modes=()):
    """Ours is an einsum expression: summed and batch modes are letters that both tensors have."""
    pairs = [_pairs(tensor1, tensor2, given, batch) for given, batch in ((modes, False), (batched_modes, True))]
    first, second = list(LETTERS[: tensor1.ndim]), list(LETTERS[tensor1.ndim : tensor1.ndim + tensor2.ndim])
    for i, j in (*pairs[0], *pairs[1]):
        second[j] = first[i]
    kept = [c for i, c in enumerate(first) if i not in [i for i, _ in pairs[0]]]
    kept += [c for c in second if c not in first]
    return contract(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", tensor1, tensor2)


def _pairs(tensor1, tensor2, modes, batch):
    if isinstance(modes, int) and not batch:
        modes = (range(tensor1.ndim - modes, tensor1.ndim), range(modes))
    elif isinstance(modes, int) or len(modes) != 2:
        modes = (modes, modes)
    left, right = ([m] if np.ndim(m) == 0 else list(m) for m in modes)
    if len(left) != len(right):
        raise ValueError("as many modes of one tensor as of the other are needed")
    return [(i % tensor1.ndim, j % tensor2.ndim) for i, j in zip(left, right, strict=True)]


def inner(tensor1, tensor2, n_modes=None):
    if n_modes is None and tensor1.shape != tensor2.shape:
        raise ValueError("tensors of one shape are needed")
    return tensordot(tensor1, tensor2, tensor1.ndim if n_modes is None else n_modes)


def outer(tensors):
    found = tensors[0]
    for tensor in tensors[1:]:
        found = tensordot(found, tensor, ())
    return found


def batched_outer(tensors):
    found = tensors[0]
    for tensor in tensors[1:]:
        found = tensordot(found, tensor, (), batched_modes=0)
    return found


# --- structured tensors ---------------------------------------------------------------------------------------------


def cp(tensor):
    weights, factors = tensor
    return CPTensor(np.ones(factors[0].shape[-1]) if weights is None else weights, tuple(factors))


def validate_cp(tensor):
    found = cp(tensor)
    return found.shape, found.rank


def cp_to_tensor(tensor, mask=None):
    assert mask is None
    return np.array(cp(tensor).to_dense())


def cp_to_unfolded(tensor, mode):
    others = [j for j in range(cp(tensor).order) if j != mode]
    return np.array(cp(tensor).as_matrix((mode,), others).to_dense())


def cp_to_vec(tensor):
    return cp_to_tensor(tensor).reshape(-1)


def cp_norm(tensor):
    return cp(tensor).norm()


def validate_tucker(tensor):
    core, factors = tensor
    if len(factors) != core.ndim:
        raise ValueError("leading axes of a core are a batch here, not an error")
    found = TuckerTensor(core, tuple(factors))
    return found.shape, found.largest_ranks


def tucker_to_tensor(tensor, modes=None, **_):
    core, factors = tensor
    if modes is not None:
        return np.array(PartialTuckerTensor(core, tuple(factors), tuple(modes), core.ndim).to_dense())
    return np.array(TuckerTensor(core, tuple(factors)).to_dense())


def tucker_to_unfolded(tensor, mode=0):
    core, factors = tensor
    return np.array(
        TuckerTensor(core, tuple(factors)).as_matrix((mode,), [j for j in range(core.ndim) if j != mode]).to_dense()
    )


def tucker_to_vec(tensor):
    return tucker_to_tensor(tensor).reshape(-1)


def tucker_storage(shape, rank):
    return TuckerTensor(np.zeros(rank), tuple(np.zeros(pair) for pair in zip(shape, rank, strict=True))).storage


def validate_tt(cores):
    found = TensorTrain(tuple(cores))
    return found.shape, (1, *found.largest_ranks, 1)


def tt_to_tensor(cores):
    return np.array(TensorTrain(tuple(cores)).to_dense())


def tt_storage(shape, rank):
    return TensorTrain(tuple(np.zeros(s) for s in zip(rank, shape, rank[1:], strict=False))).storage


def tt_matrix_to_matrix(cores):
    return np.array(TTMatrix(tuple(cores)).to_dense())


def tt_matrix_to_tensor(cores):
    """Ours is the matrix; theirs has the digits of rows and columns as modes."""
    rows, columns = ([core.shape[axis] for core in cores] for axis in (1, 2))
    return tt_matrix_to_matrix(cores).reshape(*rows, *columns)


def tt_matrix_to_vec(cores):
    return tt_matrix_to_matrix(cores).reshape(-1)
